"""A seal: the JSON document that is kept elsewhere."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from ..config import MAX_ID, SetupError

FORMAT = "bytelog-seal-1"

_HASH = "[0-9a-f]{64}"
_TEXTS = {
    "log": "[0-9a-f]{32}",
    "time": r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z",
    "head": _HASH,
    "erasures": _HASH,
}
"""What the database is compared with, or the terminal shows, must match."""

MAX_SEAL_BYTES = 64 * 1024
"""Size up to which a file is read: a seal has less than a kilobyte."""


class SealError(SetupError):
    """A seal or a key cannot be used; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Seal:
    """What a seal says, in the order of the document. Bytes are hexadecimal.

    `events` is the number of events up to `last_key`, those that were `erased` included.
    """

    format: str
    log: str
    number: int
    time: str
    events: int
    last_key: int
    head: str
    erased: int
    erasures: str
    public_key: str
    signature: str = ""

    def signed_bytes(self) -> bytes:
        """Return what is signed: the other members as canonical JSON (RFC 8785)."""
        members = asdict(self)
        del members["signature"]
        return json.dumps(members, sort_keys=True, separators=(",", ":")).encode()

    def write(self) -> str:
        """Return the document."""
        return json.dumps(asdict(self), indent=2) + "\n"


def read_seal(file: Path) -> Seal:
    """Read a seal, whose signature is not verified yet; raises SealError and OSError."""
    with file.open("rb") as source:
        text = source.read(MAX_SEAL_BYTES)
    try:
        members = json.loads(text, object_pairs_hook=_reject_duplicates)
    except (ValueError, RecursionError) as error:
        raise SealError(f"{file} is not a seal: {error}.") from error
    if not isinstance(members, dict):
        raise SealError(f"{file} is not a seal: it is not a JSON object.")
    if members.get("format") != FORMAT:
        raise SealError(
            f"{file} is not a seal that this version reads: its format is not {FORMAT}."
        )
    kinds = {field.name: {"int": int, "str": str}[str(field.type)] for field in fields(Seal)}
    if {name: type(value) for name, value in members.items()} != kinds:
        raise SealError(f"{file} is not a seal: its members are not those of {FORMAT}.")
    for name, value in members.items():
        if not _is_possible(name, value):
            raise SealError(f"{file} is not a seal: its member {name} is wrong. Get the original.")
    return Seal(**members)


def _is_possible(name: str, value: str | int) -> bool:
    if isinstance(value, int):
        return 0 <= value <= MAX_ID
    return re.fullmatch(_TEXTS.get(name, ".*"), value) is not None


def _reject_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a name is repeated")
    return members
