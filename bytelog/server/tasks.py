"""The application's part in a request: it responds, or turns an error into a response."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from waitress.task import WSGITask
from werkzeug.exceptions import BadRequest, HTTPException, default_exceptions
from werkzeug.test import create_environ

from ..api import admission


class Task(WSGITask):
    """A request that the application handles."""

    def execute(self) -> None:
        """Run the application; mark the connection as broken if the response ends too early."""
        try:
            super().execute()
        except Exception:
            self.channel.is_broken = self.wrote_header
            raise

    def get_environment(self) -> dict[str, Any]:
        """Return the WSGI environment, with the access that was granted before the body arrived."""
        environ: dict[str, Any] = super().get_environment()
        environ.update(self.request.environment)
        return environ


class RefusalTask(Task):
    """A refused request: the application turns the error into a response, as it does its own."""

    def execute(self) -> None:
        """Write the response; the connection is closed once the client has been able to read it."""
        self.channel.is_refused = True
        self.set_close_on_finish()
        super().execute()

    def get_environment(self) -> dict[str, Any]:
        """Return the WSGI environment, with the error."""
        error = self.request.error
        if isinstance(error, Exception):
            return super().get_environment() | {admission.REFUSAL: error}
        # Waitress found the error. The path may not have been parsed; `*` matches no page.
        headers = [(name.replace("_", "-"), value) for name, value in self.request.headers.items()]
        method = getattr(self.request, "command", "GET")
        environ = create_environ("*", method=method, headers=headers)
        environ["REMOTE_ADDR"] = self.channel.addr[0]
        return environ | {admission.REFUSAL: _convert(error)}


def _convert(error: Any) -> HTTPException:
    if error.code == HTTPStatus.NOT_IMPLEMENTED:
        return BadRequest(
            "The body's transfer encoding is not supported; use chunked, or Content-Length."
        )
    return default_exceptions.get(error.code, BadRequest)(error.body)
