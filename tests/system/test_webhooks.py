from __future__ import annotations

import json
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from support.api import CLICK, EVENTS
from support.commands import Bytelog
from support.history import make_history
from support.processes import Process, spawn
from support.receiver import SECRET, Answer, Received, Receiver
from support.server import Server, wait_for

pytestmark = pytest.mark.slow

GUIDE = (Path(__file__).parents[2] / "docs" / "follow.md").read_text()
(SAMPLE,) = re.findall(r"```python\n(.*?)```", GUIDE, re.DOTALL)

IMPATIENT = """from bytelog.follow import attempts, connection, progress
attempts.FIRST_DELAY_SECONDS = 0.02
attempts.MAX_DELAY_SECONDS = 0.1
attempts.REFUSED_SECONDS = 0.5
connection.REQUEST_SECONDS = 0.5
progress.SAVE_SECONDS = 0.1
"""
FOLLOW = ("follow", "--as", "a", "--from-start", "--allow-private", "--post")


def post(server: Server, *ids: int) -> None:
    events = [{**CLICK, "id": number} for number in ids]
    assert server.request(EVENTS, json.dumps(events).encode()).status == 201


@pytest.fixture
def server(serve: Callable[..., Server]) -> Server:
    server = serve(BYTELOG_API_KEY=Server.key, BYTELOG_METRICS_KEY="m")
    (server.folder / "data").mkdir(exist_ok=True)  # It is missing beside PostgreSQL.
    (server.folder / "data" / "config.py").write_text(IMPATIENT)
    return server


@pytest.fixture
def bytelog(server: Server) -> Bytelog:
    bytelog = Bytelog(server.folder / "data")
    bytelog.environment["BYTELOG_WEBHOOK_SECRET"] = SECRET
    return bytelog


@contextmanager
def follow(bytelog: Bytelog, *arguments: str) -> Iterator[tuple[Process, Path]]:
    """Run a follower until the block ends, unless it ends before; yields its log too."""
    log = bytelog.folder / f"log{len(list(bytelog.folder.glob('log*')))}"
    with log.open("w") as file:
        process = bytelog.start(*FOLLOW, *arguments, stderr=file)
    with process:
        try:
            yield process, log
        finally:
            process.kill()


@contextmanager
def receive(folder: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """Run the receiver of the guide until the block ends, as a process that is then killed."""
    sample = SAMPLE.replace("9000", str(port))
    environment = os.environ | {"BYTELOG_WEBHOOK_SECRET": SECRET}
    command = [sys.executable, "-c", sample]
    log = subprocess.DEVNULL
    with spawn(command, cwd=folder, env=environment, stderr=log) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.each_database
def test_every_event_arrives_in_order_whatever_is_down_or_killed(
    server: Server, bytelog: Bytelog, tmp_path: Path
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url, events = f"http://127.0.0.1:{port}/", tmp_path / "events.txt"
    last = 0
    for killed in ("receiver", "follower", "server"):
        with ExitStack() as stack:
            follower, log = stack.enter_context(follow(bytelog, url))
            post(server, *range(last + 1, last + 4))
            wait_for(lambda: "cannot be reached" in log.read_text())  # noqa: B023
            receiver = stack.enter_context(receive(tmp_path, port))
            wait_for(lambda: events.exists() and f" {last + 3} " in events.read_text())  # noqa: B023
            post(server, *range(last + 4, last + 20))
            if killed == "follower":
                follower.kill()
            elif killed == "receiver":
                receiver.kill()
            else:
                server.stop(signal.SIGKILL)
                server.start()
        last += 19
    with follow(bytelog, url), receive(tmp_path, port):
        wait_for(lambda: f" {last} click" in events.read_text())
    lines = [line.split()[:2] for line in events.read_text().splitlines()]
    messages = {message: int(number) for message, number in lines}
    assert [*messages.values()] == [*range(1, last + 1)]
    assert len(set(map(tuple, lines))) == last


def test_a_message_has_the_shape_of_standard_webhooks(server: Server, bytelog: Bytelog) -> None:
    event = {**CLICK, "name": 'söme "name"', "data": {"n": 10**30, "deep": [1.50, None]}}
    assert server.request(EVENTS, json.dumps(event).encode()).status == 201
    with Receiver() as receiver, follow(bytelog, receiver.url):
        wait_for(lambda: receiver.received)
    (received,) = receiver.received
    assert re.fullmatch(r"msg_[0-9a-f]{32}", received.id)
    assert abs(received.timestamp - time.time()) < 20
    date = "2021-08-15T23:41:41.507Z"
    assert received.message == {
        "type": event["name"],
        "timestamp": date,
        "data": {**event, "date": date},
    }
    assert list(received.message["data"]) == ["id", "name", "trace_id", "date", "data"]


def test_a_slow_receiver_gets_the_same_message_again(server: Server, bytelog: Bytelog) -> None:
    is_late = threading.Event()

    def respond(_: Received) -> Answer:
        if not is_late.is_set():
            is_late.set()
            time.sleep(0.8)
        return 200, {}, b""

    post(server, 1, 2)
    with Receiver(respond) as receiver, follow(bytelog, receiver.url) as (_, log):
        wait_for(lambda: 2 in receiver.events)
        assert "no response within 0.5 seconds" in log.read_text()
    assert receiver.events == [1, 1, 2]
    assert receiver.received[0].id == receiver.received[1].id != receiver.received[2].id


def test_a_temporary_failure_is_repeated_and_the_receiver_names_the_delay(
    server: Server, bytelog: Bytelog
) -> None:
    delay, redirect = {"Retry-After": "1"}, {"Location": "/"}
    responses = iter([(500, {}), (408, {}), (429, delay), (302, redirect)])

    def respond(_: Received) -> Answer:
        times.append(time.monotonic())
        return (*next(responses, (204, {})), b"")

    times: list[float] = []
    post(server, 1, 2)
    with Receiver(respond) as receiver, follow(bytelog, receiver.url) as (_, log):
        wait_for(lambda: 2 in receiver.events)
        assert "redirects are not followed" in log.read_text()
    assert receiver.events == [1, 1, 1, 1, 1, 2]
    assert times[3] - times[2] >= 1


def read_metrics(server: Server) -> dict[str, float]:
    text = server.request("/metrics", Authorization="Bearer m").body.decode()
    labels = '{follower="a",project="default"}'
    return {
        name: float(value) for name, value in re.findall(rf"_follower_(\w+){labels} (.+)", text)
    }


@pytest.mark.each_database
def test_a_refused_event_is_set_aside_and_the_rest_goes_on(
    server: Server, bytelog: Bytelog
) -> None:
    def respond(received: Received) -> Answer:
        return (422, {}, b"not \x1b[31mthis") if received.event == 2 else (204, {}, b"")

    post(server, 1, 2, 3)
    with Receiver(respond) as receiver:
        with follow(bytelog, receiver.url) as (process, _):
            wait_for(lambda: 3 in receiver.events)
            process.terminate()
            assert process.wait(20) == 0
        post(server, 4)
        with follow(bytelog, receiver.url):
            wait_for(lambda: 4 in receiver.events)
            wait_for(lambda: read_metrics(server)["lag_events"] == 0)
            assert 0 <= read_metrics(server)["delivery_age_seconds"] < 20
    assert read_metrics(server)["set_aside_events"] == 1
    assert receiver.events.count(2) > 2
    assert [event for event in receiver.events if event != 2] == [1, 3, 4]
    (refused,) = json.loads(bytelog.run("followers", "set-aside", "a", "--json"))["set_aside"]
    assert refused["event"]["id"] == 2
    assert refused["reason"] == "127.0.0.1 responds with 422 'not \\x1b[31mthis'"
    shown = bytelog.run("followers", "set-aside", "a").decode()
    assert refused["message"] in shown
    assert '"id":2' in shown


def test_a_receiver_that_is_gone_stops_the_follower(server: Server, bytelog: Bytelog) -> None:
    post(server, 1, 2)
    with (
        Receiver(lambda _: (410, {}, b"")) as receiver,
        follow(bytelog, receiver.url) as (process, log),
    ):
        assert process.wait(20) == 3
        assert "Error: 127.0.0.1 responds with 410: it wants no more events." in log.read_text()
    assert receiver.events == [1]


@pytest.fixture
def alone(tmp_path: Path) -> Bytelog:
    """Return the command with a database that no server uses."""
    make_history(tmp_path / "data", 1)
    bytelog = Bytelog(tmp_path / "data")
    bytelog.environment["BYTELOG_WEBHOOK_SECRET"] = SECRET
    return bytelog


def test_a_private_address_is_refused_unless_allowed(alone: Bytelog) -> None:
    arguments = [argument for argument in FOLLOW if argument != "--allow-private"]
    for host in ("localhost", "127.0.0.1", "[::ffff:127.0.0.1]", "169.254.169.254", "0"):
        errors = alone.refuse(*arguments, f"https://{host}:1/")
        assert "use --allow-private" in errors


def test_an_address_that_becomes_private_is_refused_when_connecting(
    server: Server, bytelog: Bytelog
) -> None:
    with (server.folder / "data" / "config.py").open("a") as config:
        config.write(REBINDING)
    arguments = [argument for argument in FOLLOW if argument != "--allow-private"]
    post(server, 1)
    with Receiver() as receiver:
        url = f"https://receiver.example:{receiver.port}/events?from=bytelog"
        errors = bytelog.refuse(*arguments, url, status=3)
    assert "receiver.example is at the private address 127.0.0.1" in errors
    assert receiver.events == []


# The configuration file is Python code, so it can be the name server.
REBINDING = """import socket
answers = iter(("93.184.216.34", "127.0.0.1"))
def resolve(host, port, **_):
    assert host == "receiver.example"
    return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (next(answers), port))]
socket.getaddrinfo = resolve
"""


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    file = tmp_path / "certificate.pem"
    names = "subjectAltName=IP:127.0.0.1"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=x"]
    options = ["-addext", names, "-keyout", str(file), "-out", str(tmp_path / "public.pem")]
    subprocess.run([*command, *options], check=True, capture_output=True)
    with file.open("a") as both:
        both.write((tmp_path / "public.pem").read_text())
    return file


def test_the_certificate_of_the_receiver_is_verified(
    server: Server, bytelog: Bytelog, certificate: Path
) -> None:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate)
    post(server, 1)
    with Receiver(tls=tls) as receiver:
        with follow(bytelog, receiver.url) as (_, log):
            wait_for(lambda: "certificate verify failed" in log.read_text())
        assert receiver.events == []
        bytelog.environment["SSL_CERT_FILE"] = str(certificate)
        with follow(bytelog, receiver.url):
            wait_for(lambda: receiver.events)


@pytest.mark.parametrize(
    ("arguments", "status", "error"),
    [
        (["--as", "a", "--post", "ftp://x.example"], 1, "--post must be a URL like https://"),
        (["--as", "a", "--post", "https://a:b@x.example"], 1, "must not contain a user or passw"),
        (["--as", "a", "--post", "https://x.example/ö"], 1, "--post must be a URL like https://"),
        (["--as", "a", "--post", "https://x.example:0"], 1, "--post must be a URL like https://"),
        (["--as", "a", "--post", "http://x.example"], 1, "--post must be an https URL."),
        (["--post", "https://x.example"], 2, "--post needs a name with --as"),
        (["--as", "a", "--exec", "cat", "--post", "https://x.example"], 2, "and excludes --exec"),
    ],
)
def test_wrong_arguments_are_explained(
    alone: Bytelog, arguments: list[str], status: int, error: str
) -> None:
    assert error in alone.refuse("follow", *arguments, status=status)


def test_a_secret_is_required(alone: Bytelog) -> None:
    del alone.environment["BYTELOG_WEBHOOK_SECRET"]
    assert "needs a secret to sign with" in alone.refuse(*FOLLOW, "http://127.0.0.1:1/")
