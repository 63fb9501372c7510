"""The parts of an OTLP request, each in the encoding of the request until it is needed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


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
