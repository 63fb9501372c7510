"""Epochs: which events two copies of a database have in common.

Each writing connection begins an epoch, with a random name, before it stores its first event. An
epoch ends where the next one begins. A restored backup is written to by a new connection. So an
event that was lost, and the event that gets its key after the restore, are in different epochs, no
matter how the backup was made and restored. A cursor names the epoch of its event: if the key is in
another epoch now, the cursor belongs to events that were lost. Events of version 0.1.0 are in no
epoch, and so are its cursors.
"""

from __future__ import annotations

import secrets
from string import ascii_lowercase

from sqlalchemy import BigInteger, Connection, ScalarSelect, bindparam, delete, insert, select

from .backend import Backend
from .models import Epoch

_newest = Epoch.first_key.desc()

newest_first_key = select(Epoch.first_key).order_by(_newest).limit(1).scalar_subquery()
"""The first key of the newest epoch, None if there is none."""

newest_name = select(Epoch.name).order_by(_newest).limit(1).scalar_subquery()
"""The name of the newest epoch, None if there is none."""


def name_of(parameter: str) -> ScalarSelect[str]:
    """Return an expression for the name of a key's epoch; None if the key is in no epoch."""
    key = bindparam(parameter, type_=BigInteger)
    name = select(Epoch.name).where(Epoch.first_key <= key).order_by(_newest)
    return name.limit(1).scalar_subquery()


def begin(backend: Backend, connection: Connection) -> None:
    """Begin an epoch with the next key, within a transaction."""
    first_key = backend.last_assigned_key(connection) + 1
    # An epoch without events has no cursors.
    connection.execute(delete(Epoch).where(Epoch.first_key >= first_key))
    name = "".join(secrets.choice(ascii_lowercase) for _ in range(8))
    connection.execute(insert(Epoch).values(first_key=first_key, name=name))
