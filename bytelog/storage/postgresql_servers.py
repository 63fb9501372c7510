"""The PostgreSQL servers that a URL names, of which one is the primary at a time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from sqlalchemy import Engine, event

from .postgresql_connection import driver

if TYPE_CHECKING:
    import psycopg

DEFAULT_PORT = "5432"


def list_servers(engine: Engine) -> list[str]:
    """Return the host and port of each server that the URL of an engine names."""
    _, options = engine.dialect.create_connect_args(engine.url)
    return [":".join(server) for server in _split(options)]


def find_primary(engine: Engine) -> str:
    """Return which server of `list_servers` is the primary, "" if the engine uses a standby.

    Raises the driver's errors.
    """
    servers = list_servers(engine)
    with engine.connect() as connection:
        if connection.exec_driver_sql("SELECT pg_is_in_recovery()").scalar_one():
            return ""
        # A URL without a host has a name of its own for the only server.
        return servers[0] if len(servers) == 1 else _server_of(driver(connection))


def prefer_last_primary(engine: Engine) -> None:
    """Let each connection to the primary try first the server of the connection before.

    libpq tries them in the order of the URL, and each connection would wait CONNECT_SECONDS for a
    lost machine. Servers of which several would do keep their order, which says what is preferred.
    """
    last = ""

    def note_server(connection: psycopg.Connection[Any], _: object) -> None:
        nonlocal last
        last = _server_of(connection)

    def connect(_: object, __: object, ___: object, options: dict[str, Any]) -> None:
        servers = sorted(_split(options), key=lambda server: ":".join(server) != last)
        options["host"], options["port"] = map(",".join, zip(*servers, strict=True))

    query = engine.url.query
    if query.get("target_session_attrs") in {"read-write", "primary"} and "hostaddr" not in query:
        event.listen(engine, "connect", note_server)
        event.listen(engine, "do_connect", connect)


def _server_of(connection: psycopg.Connection[Any]) -> str:
    return f"{connection.info.host}:{connection.info.port}"


def _split(options: Mapping[str, Any]) -> list[tuple[str, str]]:
    hosts = str(options.get("host", "")).split(",")
    ports = str(options.get("port", "")).split(",")
    # libpq uses a single port for all hosts, and an empty one means the default.
    ports = ports * len(hosts) if len(ports) == 1 else ports
    return [(host, port or DEFAULT_PORT) for host, port in zip(hosts, ports, strict=True)]
