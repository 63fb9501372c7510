"""The check of a request's headers before its body is received."""

from __future__ import annotations

from functools import partial

from waitress.channel import HTTPChannel
from waitress.proxy_headers import PROXY_HEADERS

from ..api import admission
from ..auth.bearer import GRANT
from ..auth.refusals import MustWait
from .parser import Parser
from .tasks import Task


class HeadCheck:
    """A check in a thread, because it may wait for the database or a hook."""

    def __init__(self, channel: HTTPChannel) -> None:
        self._channel = channel
        self._request: Parser = channel.request

    def service(self) -> None:
        """Check the headers, and let the loop act on the result."""
        channel, request = self._channel, self._request
        error = find_error(channel, request, may_wait=True)
        channel.server.trigger.pull_trigger(partial(channel.finish_head_check, request, error))

    def cancel(self) -> None:
        """Do nothing: the connection is closed."""


def find_error(channel: HTTPChannel, request: Parser, *, may_wait: bool) -> Exception | None:
    """Return why a request is refused, or None; raises MustWait if that may take long."""
    environ = Task(channel, request).get_environment()
    for name in PROXY_HEADERS:
        environ.pop(f"HTTP_{name}", None)
    try:
        app = channel.server.service
        request.needs_body = admission.check_head(app, environ, may_wait=may_wait)
    except MustWait:
        raise
    except Exception as error:
        return error
    request.environment = {GRANT: environ[GRANT]} if GRANT in environ else {}
    return None
