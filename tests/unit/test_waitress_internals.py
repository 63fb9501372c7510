"""The undocumented names of Waitress that `bytelog.server` relies on.

An upgrade of Waitress that renames, removes or no longer uses one of them fails here, by name.
"""

from __future__ import annotations

import ast
import inspect
import socket
import threading
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from waitress import utilities, wasyncore
from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser
from waitress.receiver import ChunkedReceiver
from waitress.server import BaseWSGIServer, TcpWSGIServer
from waitress.task import ErrorTask, Task, ThreadedTaskDispatcher, WSGITask

from bytelog.server import channel, dispatcher, listener, parser, tasks

CLASSES = [BaseWSGIServer, ErrorTask, HTTPChannel, HTTPRequestParser, Task, WSGITask]
OWNERS: dict[str, Any] = {owner.__name__: owner for owner in CLASSES}
OWNERS |= {"ThreadedTaskDispatcher": ThreadedTaskDispatcher, "wasyncore": wasyncore}

# The methods that bytelog overrides: their parameters, and the functions that call them.
OVERRIDDEN = {
    "BaseWSGIServer.add_task": ("self, task", "HTTPChannel.received, HTTPChannel.service"),
    "BaseWSGIServer.handle_accept": ("self", "wasyncore.dispatcher.handle_read_event"),
    "BaseWSGIServer.maintenance": ("self, now", "BaseWSGIServer.readable"),
    "BaseWSGIServer.pull_trigger": ("self", "HTTPChannel.service, HTTPChannel.write_soon"),
    "HTTPChannel._flush_outbufs_below_high_watermark": (
        "self",
        "HTTPChannel.service, HTTPChannel.write_soon",
    ),
    "HTTPChannel.check_client_disconnected": ("self", "WSGITask.get_environment"),
    "HTTPChannel.handle_close": ("self", "HTTPChannel.handle_write, wasyncore.readwrite"),
    "HTTPChannel.handle_read": ("self", "wasyncore.dispatcher.handle_read_event"),
    "HTTPChannel.handle_write": ("self", "wasyncore.dispatcher.handle_write_event"),
    "HTTPChannel.readable": ("self", "wasyncore.poll2"),
    "HTTPChannel.received": ("self, data", "HTTPChannel.handle_read"),
    "HTTPChannel.send_continue": ("self", "HTTPChannel.received, HTTPChannel.service"),
    "HTTPChannel.write_soon": ("self, data", "Task.write, Task.finish"),
    "HTTPRequestParser.__init__": ("self, adj", ""),
    "HTTPRequestParser.get_body_stream": ("self", "WSGITask.get_environment"),
    "HTTPRequestParser.parse_header": ("self, header_plus", "HTTPRequestParser.received"),
    "HTTPRequestParser.received": ("self, data", "HTTPChannel.received"),
    "ThreadedTaskDispatcher.__init__": ("self", ""),
    "ThreadedTaskDispatcher.add_task": ("self, task", "BaseWSGIServer.add_task"),
    "ThreadedTaskDispatcher.handler_thread": (
        "self, thread_no",
        "ThreadedTaskDispatcher.set_thread_count",
    ),
    "WSGITask.execute": ("self", "Task.service"),
    "WSGITask.get_environment": ("self", "WSGITask.execute"),
}

# The classes that bytelog puts in place of Waitress's own, and the functions that use them.
REPLACED = {
    "BaseWSGIServer.channel_class": (HTTPChannel, "BaseWSGIServer.handle_accept"),
    "HTTPChannel.error_task_class": (ErrorTask, "HTTPChannel.service"),
    "HTTPChannel.last_activity": (0, "HTTPChannel.handle_read, HTTPChannel._flush_some"),
    "HTTPChannel.parser_class": (HTTPRequestParser, "HTTPChannel.received"),
    "HTTPChannel.task_class": (WSGITask, "HTTPChannel.service"),
}

# What bytelog reads, sets or calls on an instance; `object` admits a value of any type.
USED: dict[str, type | Callable[[object], bool]] = {
    "BaseWSGIServer.active_channels": dict,
    "BaseWSGIServer.del_channel": callable,
    "BaseWSGIServer.socket": socket.socket,
    "ChunkedReceiver.control_line": bytes,
    "ChunkedReceiver.trailer": bytes,
    "HTTPChannel._flush_exception": callable,
    "HTTPChannel._flush_some": callable,
    "HTTPChannel.addr": tuple,
    "HTTPChannel.adj": object,
    "HTTPChannel.close_when_flushed": bool,
    "HTTPChannel.connected": bool,
    "HTTPChannel.recv": callable,
    "HTTPChannel.sent_continue": bool,
    "HTTPChannel.request": object,
    "HTTPChannel.requests": list,
    "HTTPChannel.requests_lock": type(threading.Lock()),
    "HTTPChannel.server": BaseWSGIServer,
    "HTTPChannel.service": callable,
    "HTTPChannel.socket": socket.socket,
    "HTTPChannel.total_outbufs_len": int,
    "HTTPChannel.will_close": bool,
    "HTTPRequestParser.body_rcv": ChunkedReceiver,
    "HTTPRequestParser.chunked": bool,
    "HTTPRequestParser.close": callable,
    "HTTPRequestParser.command": str,
    "HTTPRequestParser.completed": bool,
    "HTTPRequestParser.content_length": int,
    "HTTPRequestParser.error": object,
    "HTTPRequestParser.expect_continue": bool,
    "HTTPRequestParser.headers": dict,
    "HTTPRequestParser.headers_finished": bool,
    "HTTPRequestParser.path": str,
    "HTTPRequestParser.version": str,
    "ThreadedTaskDispatcher.active_count": int,
    "ThreadedTaskDispatcher.lock": type(threading.Lock()),
    "ThreadedTaskDispatcher.queue": deque,
    "ThreadedTaskDispatcher.queue_cv": threading.Condition,
    "ThreadedTaskDispatcher.set_thread_count": callable,
    "ThreadedTaskDispatcher.stop_count": int,
    "ThreadedTaskDispatcher.thread_exit_cv": threading.Condition,
    "ThreadedTaskDispatcher.threads": set,
    "WSGITask.channel": HTTPChannel,
    "WSGITask.content_length": object,
    "WSGITask.request": HTTPRequestParser,
    "WSGITask.response_headers": list,
    "WSGITask.set_close_on_finish": callable,
    "WSGITask.status": str,
    "WSGITask.write": callable,
    "WSGITask.wrote_header": bool,
    "utilities.BadRequest.body": str,
    "utilities.BadRequest.code": int,
}

SUBCLASSES = [
    parser.Parser,
    tasks.Task,
    tasks.RefusalTask,
    channel.Channel,
    listener.Listener,
    dispatcher.ReadDispatcher,
    dispatcher.WriteDispatcher,
    dispatcher.RequestDispatcher,
]


def look_up(path: str) -> Any:
    value: Any = OWNERS[path.split(".")[0]]
    for name in path.split(".")[1:]:
        if not hasattr(value, name):
            pytest.fail(f"Waitress no longer has {path}.")
        value = getattr(value, name)
    return value


def check_callers(path: str, callers: str) -> None:
    for caller in filter(None, callers.split(", ")):
        names = look_up(caller).__code__.co_names
        assert path.rpartition(".")[2] in names, f"{caller} of Waitress no longer uses {path}."


@pytest.mark.parametrize("path", OVERRIDDEN)
def test_a_method_that_bytelog_overrides_is_still_called(path: str) -> None:
    parameters, callers = OVERRIDDEN[path]
    assert ", ".join(inspect.signature(look_up(path)).parameters) == parameters, path
    check_callers(path, callers)


@pytest.mark.parametrize("path", REPLACED)
def test_a_class_that_bytelog_replaces_is_still_used(path: str) -> None:
    original, callers = REPLACED[path]
    assert look_up(path) is original, path
    check_callers(path, callers)


class Queue:
    """A dispatcher that runs no task and records whether the connection was locked."""

    was_locked: bool | None = None

    def add_task(self, task: HTTPChannel) -> None:
        self.was_locked = task.requests_lock.locked()


@pytest.fixture
def queue() -> Queue:
    return Queue()


@pytest.fixture
def sockets() -> Iterator[dict[int, Any]]:
    sockets: dict[int, Any] = {}
    yield sockets
    wasyncore.close_all(sockets)


@pytest.fixture
def server(queue: Queue, sockets: dict[int, Any]) -> Any:
    listening = socket.create_server(("127.0.0.1", 0))
    return TcpWSGIServer(
        object(),
        map=sockets,
        dispatcher=queue,
        _sock=listening,
        bind_socket=False,
        sockinfo=(listening.family, listening.type, listening.proto, listening.getsockname()),
        sockets=[listening],
    )


@pytest.fixture
def connection(server: Any, sockets: dict[int, Any]) -> Iterator[Any]:
    """Return a connection that has received a request with a chunked body."""
    with socket.create_connection(server.socket.getsockname()) as client:
        server.handle_accept()
        (connection,) = server.active_channels.values()
        client.sendall(b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
        while not connection.requests:
            wasyncore.loop(timeout=1, use_poll=True, map=sockets, count=1)
        yield connection


@pytest.fixture
def instances(server: Any, connection: Any) -> dict[str, Any]:
    (request,) = connection.requests
    return {
        "BaseWSGIServer": server,
        "ChunkedReceiver": request.body_rcv,
        "HTTPChannel": connection,
        "HTTPRequestParser": request,
        "ThreadedTaskDispatcher": ThreadedTaskDispatcher(),
        "WSGITask": WSGITask(connection, request),
        "utilities.BadRequest": utilities.BadRequest("bad"),
    }


@pytest.mark.parametrize("path", USED)
def test_an_instance_still_has_the_attributes_that_bytelog_uses(
    instances: dict[str, Any], path: str
) -> None:
    owner, _, name = path.rpartition(".")
    assert hasattr(instances[owner], name), f"Waitress no longer has {path}."
    value, kind = getattr(instances[owner], name), USED[path]
    matches = isinstance(value, kind) if isinstance(kind, type) else kind(value)
    assert matches, f"Waitress now has {value!r} in {path}."


def test_a_request_is_queued_while_its_connection_is_locked(connection: Any, queue: Queue) -> None:
    assert connection.requests
    assert queue.was_locked


def test_a_receiver_keeps_a_line_that_has_not_ended() -> None:
    receiver = ChunkedReceiver(bytearray())
    receiver.received(b"0000")
    assert receiver.control_line == b"0000"
    receiver.received(b"\r\nX-Trailer: ")
    assert receiver.trailer == b"X-Trailer: "


def waitress_owner(subclass: type, name: str) -> str | None:
    """Return the first base class of Waitress that defines a name."""
    bases = (base for base in subclass.__mro__ if base.__module__.startswith("waitress."))
    return next((base.__name__ for base in bases if name in vars(base)), None)


@pytest.mark.parametrize("subclass", SUBCLASSES)
def test_every_override_is_listed(subclass: type) -> None:
    ignored = {"__annotations__", "__doc__", "__module__"}
    for name in vars(subclass).keys() - ignored:
        if owner := waitress_owner(subclass, name):
            assert f"{owner}.{name}" in OVERRIDDEN.keys() | REPLACED.keys()


def names_on_self(subclass: type) -> set[str]:
    """Return the attributes of `self` that a class uses but does not define."""
    nodes = ast.walk(ast.parse(inspect.getsource(subclass)))
    uses = [node for node in nodes if isinstance(node, ast.Attribute)]
    uses = [node for node in uses if ast.unparse(node.value) == "self"]
    own = {node.attr for node in uses if isinstance(node.ctx, ast.Store) and node.attr[0] == "_"}
    return {node.attr for node in uses} - own - set(vars(subclass))


@pytest.mark.parametrize("subclass", SUBCLASSES)
def test_every_attribute_that_a_subclass_uses_is_listed(subclass: type) -> None:
    listed = {path.rpartition(".")[2] for path in USED}
    declared = set(inspect.get_annotations(subclass)) - listed
    assert names_on_self(subclass) - declared <= listed
