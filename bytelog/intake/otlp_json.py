"""The JSON encoding of OTLP."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from .otlp_parts import Resource, Scope
from .recording import check_count, split_texts
from .requests import decode

_NULL = b"null"


class _ScopeLogs(msgspec.Struct, rename="camel", gc=False):
    scope: msgspec.Raw = msgspec.Raw(_NULL)
    # Decoded one by one: an invalid one is left out.
    log_records: msgspec.Raw = msgspec.Raw(_NULL)
    schema_url: str | None = None


class _ResourceLogs(msgspec.Struct, rename="camel", gc=False):
    resource: msgspec.Raw = msgspec.Raw(_NULL)
    scope_logs: list[_ScopeLogs] | None = None
    schema_url: str | None = None


class _Request(msgspec.Struct, rename="camel"):
    resource_logs: list[_ResourceLogs] | None = None


class Reader:
    """Reads a request."""

    def split(self, body: bytes) -> list[Resource]:
        """Return the resources of a request.

        Raises ValidationError if it is not valid JSON, and RequestEntityTooLarge for more than
        BYTELOG_BATCH_EVENTS resources, scopes, or log records of a scope.
        """
        resources = decode(body, _Request).resource_logs or []
        check_count(len(resources))
        check_count(sum(len(resource.scope_logs or ()) for resource in resources))
        return [
            Resource(
                bytes(resource.resource),
                [_split_scope(scope) for scope in resource.scope_logs or ()],
                resource.schema_url,
            )
            for resource in resources
        ]

    def decode_record(self, text: bytes) -> dict[str, Any]:
        """Return a log record; raises ValidationError."""
        return decode(text, dict[str, Any])

    def decode_resource(self, text: bytes) -> dict[str, Any]:
        """Return a resource; raises ValidationError."""
        return {} if text == _NULL else decode(text, dict[str, Any])

    decode_scope = decode_resource


def write_response(content: dict[str, Any]) -> bytes:
    """Return a response in JSON."""
    return json.dumps(content).encode()


def _split_scope(scope: _ScopeLogs) -> Scope:
    array = bytes(scope.log_records)
    records = [] if array == _NULL else split_texts(array)
    return Scope(bytes(scope.scope), records, scope.schema_url)
