"""PostgreSQL connections: their options and settings, and access to the driver's own connection."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from sqlalchemy import Connection

from ..config import BUSY_SECONDS
from .errors import UnusableDatabase

if TYPE_CHECKING:
    import psycopg

CONNECT_SECONDS = 2
"""How long connecting may take; the minimum of libpq."""

SERVER_SILENCE_SECONDS = 10
"""How long the server may send nothing before a connection counts as broken."""

OPTIONS = {
    "connect_timeout": CONNECT_SECONDS,
    "tcp_user_timeout": 1000 * SERVER_SILENCE_SECONDS,
    "keepalives_idle": SERVER_SILENCE_SECONDS // 2,
    "keepalives_interval": 1,
    "application_name": "bytelog",
}
"""The options of a connection, for libpq."""

_CONFIGURE = f"""
    SET timezone = 'UTC';
    SET lock_timeout = '{BUSY_SECONDS}s';
    SELECT set_config('synchronous_commit', 'on', false)
    WHERE current_setting('synchronous_commit') = 'off';
"""


def driver(connection: Connection) -> psycopg.Connection[Any]:
    """Return the driver's own connection."""
    return cast("psycopg.Connection[Any]", connection.connection.driver_connection)


def configure_connection(connection: psycopg.Connection[Any], _: object) -> None:
    """Configure a new connection; raises UnusableDatabase if the encoding is not UTF-8."""
    encoding = connection.info.parameter_status("server_encoding")
    if encoding != "UTF8":
        raise UnusableDatabase(f"the database is in {encoding}; create it with ENCODING 'UTF8'.")
    connection.execute(_CONFIGURE)
