"""The key in the header `Authorization` of a request: a bearer token, or HTTP Basic."""

from __future__ import annotations

from base64 import b64decode

from flask import request


def read_token() -> str | None:
    """Return the bearer token of the request (RFC 6750), or None if it has none."""
    scheme, credentials = _split_header()
    # WSGI passes header bytes as Latin-1 (PEP 3333).
    return _decode(credentials.encode("latin-1")) if scheme == "bearer" else None


def read_key() -> str | None:
    """Return the bearer token of the request, or the key in HTTP Basic (RFC 7617).

    There, the key is the password, or the user name if the password is empty. None if the request
    has neither, or if Basic is malformed.
    """
    scheme, credentials = _split_header()
    if scheme != "basic":
        return read_token()
    try:
        user, colon, password = b64decode(credentials, validate=True).partition(b":")
    except ValueError:
        return None
    return _decode(password or user) if colon else None


def _split_header() -> tuple[str, str]:
    scheme, _, credentials = request.headers.get("Authorization", "").partition(" ")
    return scheme.lower(), credentials.strip(" \t")


def _decode(key: bytes) -> str:
    # A key may be any bytes; those that are not UTF-8 match only the same bytes of BYTELOG_API_KEY.
    return key.decode("utf-8", "surrogateescape")
