"""The parts of an OTLP request, each in the encoding of the request until it is needed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol


class Scope(NamedTuple):
    """A scope and its log records."""

    scope: bytes
    records: Sequence[bytes]
    schema_url: str | None


class Resource(NamedTuple):
    """A resource and its scopes."""

    resource: bytes
    scopes: Sequence[Scope]
    schema_url: str | None


class Reader(Protocol):
    """Reads a request in one of the encodings."""

    def split(self, body: bytes) -> list[Resource]:
        """Return the resources of a request; raises ValidationError and RequestEntityTooLarge."""

    def decode_resource(self, part: bytes, /) -> dict[str, Any]:
        """Return a resource; raises ValidationError and RequestEntityTooLarge."""

    def decode_scope(self, part: bytes, /) -> dict[str, Any]:
        """Return a scope; raises ValidationError and RequestEntityTooLarge."""

    def decode_record(self, part: bytes, /) -> dict[str, Any]:
        """Return a log record; raises ValidationError and RequestEntityTooLarge."""
