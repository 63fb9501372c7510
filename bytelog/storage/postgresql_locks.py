"""Advisory locks of PostgreSQL: of transactions that write, and of names.

Two locks order the transactions. Those that store events hold the lock of the commits together, all
other writing transactions hold it alone, and both until their commit is done. Transactions that
store events also hold the lock of the keys until they commit, so transaction ids and keys are
assigned in one order: `horizon.py` explains what readers derive from it, also on a replica.

No deadlock is possible: a transaction that waits for its commit needs no lock, and only one that
holds the lock of the keys waits for another that stores the same idempotency key.
"""

from __future__ import annotations

from hashlib import blake2s

from sqlalchemy import Connection

from .postgresql_connection import SERVER_SILENCE_SECONDS

LOCK_ALONE = "SELECT pg_advisory_xact_lock(6453612)"
# The lock of the keys is one of the session, because no other can be released before the commit.
LOCK_TOGETHER = "SELECT pg_advisory_lock(6453613), pg_advisory_xact_lock_shared(6453612)"
UNLOCK_KEYS = "SELECT pg_advisory_unlock(6453613)"
UNLOCK_ALL = "SELECT pg_advisory_unlock_all()"

_NAMES = 6453612
_TRY_LOCK = "SELECT pg_try_advisory_lock(%s, %s)"
# Without it, a machine that lost its power would hold the locks of its names for two hours.
_KEEP_ALIVE = f"""
    SET tcp_keepalives_idle = {SERVER_SILENCE_SECONDS // 2};
    SET tcp_keepalives_interval = 1;
    SET tcp_keepalives_count = {SERVER_SILENCE_SECONDS // 2};
"""


def try_lock(connection: Connection, name: str) -> bool:
    """Lock a name until the connection ends; returns False if another has locked it."""
    connection.exec_driver_sql(_KEEP_ALIVE)
    digest = blake2s(name.encode(), digest_size=4).digest()
    values = (_NAMES, int.from_bytes(digest, signed=True))
    return bool(connection.exec_driver_sql(_TRY_LOCK, values).scalar_one())
