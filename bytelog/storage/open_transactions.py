"""The oldest open transaction of a PostgreSQL server, which holds back arrivals: see `horizon`."""

from __future__ import annotations

from sqlalchemy import Connection

from .maintenance import OpenTransaction

# Only superusers and members of pg_read_all_stats see when transactions of other users began. The
# percent signs are doubled for the driver.
_OLDEST = """
    SELECT extract(epoch FROM clock_timestamp() - start)::float, name, remedy
    FROM (
        SELECT backend_xid AS id, xact_start AS start,
            format('process %%s of user %%s in database %%s, application %%s',
                pid, usename, datname, coalesce(nullif(application_name, ''), 'unknown')) AS name,
            format('SELECT pg_terminate_backend(%%s)', pid) AS remedy
        FROM pg_stat_activity WHERE backend_xid IS NOT NULL
        UNION ALL
        SELECT transaction, prepared,
            format('prepared transaction %%s of user %%s in database %%s', gid, owner, database),
            format('ROLLBACK PREPARED %%L', gid)
        FROM pg_prepared_xacts
    ) AS open ORDER BY age(id) DESC LIMIT 1
"""


def find_oldest(connection: Connection) -> OpenTransaction | None:
    """Return the oldest transaction that has an id, in any database of the server."""
    row = connection.exec_driver_sql(_OLDEST, ()).first()
    return OpenTransaction(*row) if row else None
