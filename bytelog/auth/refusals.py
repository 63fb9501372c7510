"""Why a request gets no access, or not yet."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from werkzeug.exceptions import HTTPException


class Denied(HTTPException):
    """The request has no key, an invalid one, or one without the scope (RFC 6750 section 3)."""

    def __init__(self, code: HTTPStatus, description: str, **attributes: str) -> None:
        super().__init__(description)
        self.code = code
        values = {"realm": "bytelog", **attributes}
        self._challenge = "Bearer " + ", ".join(
            f'{name}="{value}"' for name, value in values.items()
        )

    def get_headers(self, *args: Any, **kwargs: Any) -> list[tuple[str, str]]:
        """Return the headers of the response, with the challenge."""
        return [*super().get_headers(*args, **kwargs), ("WWW-Authenticate", self._challenge)]


class MustWait(Exception):
    """The access of a request is not known yet: the database or the hook has to be asked."""
