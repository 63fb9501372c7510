"""NUL in the texts of `data`, which the databases cannot compare.

PostgreSQL cannot read JSON with an escaped NUL. SQLite before 3.45 ends a text or a name there, so
that `a` and the same text followed by NUL would be equal. I-JSON should have no noncharacters (RFC
7493 section 2.1), so U+FDD0 replaces NUL where members are compared.
"""

from __future__ import annotations

import re
from typing import Any

NONCHARACTER = "\ufdd0"

# An even number of backslashes before it is text.
_ESCAPED_NUL = re.compile(r"(?<!\\)((?:\\\\)*)\\u0000")
_ESCAPED_NONCHARACTER = re.compile(r"(?<!\\)((?:\\\\)*)\\ufdd0")


def register_functions(connection: Any) -> None:
    """Add the functions to a connection of SQLite's driver."""
    connection.create_function("replace_nul", 1, _replace, deterministic=True)
    connection.create_function("restore_nul", 1, _restore, deterministic=True)


def sqlite_json(data: str) -> str:
    """Return SQL for the text `data` as JSON, in which U+FDD0 replaces NUL."""
    return rf"CASE WHEN instr({data}, '\u0000') > 0 THEN replace_nul({data}) ELSE {data} END"


def sqlite_written(data: str, member: str) -> str:
    """Return SQL for a part of `sqlite_json` as it is in `data`."""
    return rf"CASE WHEN instr({data}, '\u0000') > 0 THEN restore_nul({member}) ELSE {member} END"


def postgresql_json(data: str) -> str:
    """Return SQL for the text `data` as JSON, in which U+FDD0 replaces NUL."""
    readable = f"regexp_replace({data}, '{_ESCAPED_NUL.pattern}', '\\1\\\\ufdd0', 'g')"
    has_nul = rf"strpos({data}, '\u0000') > 0"
    return f"CAST(CASE WHEN {has_nul} THEN {readable} ELSE {data} END AS json)"


def _replace(data: str) -> str:
    return _ESCAPED_NUL.sub(r"\1\\ufdd0", data)


def _restore(member: str | None) -> str | None:
    return member and _ESCAPED_NONCHARACTER.sub(r"\1\\u0000", member)
