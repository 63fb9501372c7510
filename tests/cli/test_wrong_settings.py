from __future__ import annotations

from pathlib import Path

import pytest
from support.commands import Bytelog

from bytelog.config import NUMBERS, SECRETS, SETTINGS, SWITCHES

KEYS = ("two\nlines", " ", "\x7f")
URLS = (
    "garbage",
    "mysql://host/name",
    "postgresql://host/name",
    "sqlite:////no/such/folder/bytelog.db",
    "sqlite:///{file}",
    "sqlite:///{folder}",
    "postgresql+psycopg://user:hidden@[host/name",
    "postgresql+psycopg://user:hidden@127.0.0.1:1/name",
)
WRONG: dict[str, tuple[str, ...]] = {
    "BYTELOG_API_KEY": KEYS,
    "BYTELOG_CORS_ORIGINS": ("shop.example", "https://shop.example/path", "https://shop.example:x"),
    "BYTELOG_DATA": ("{file}", "{file}/below", "/proc/bytelog"),
    "BYTELOG_DATABASE_URL": URLS,
    "BYTELOG_HOOKS": (
        "garbage",
        "[]",
        '{{"a/b": {{}}}}',
        '{{"a": {{"title": "x"}}}}',
        '{{"a": {{"name": 5}}}}',
        '{{"a": {{"signature": {{"header": "x", "secret": ""}}}}}}',
        '{{"a": {{"signature": {{"header": "x", "secret": "hidden", "encoding": "rot"}}}}}}',
    ),
    "BYTELOG_HOST": ("300.300.300.300", "192.0.2.1", "::g", "\N{PARTY POPPER}"),
    "BYTELOG_INTAKE": ("segments", "segment, off", "all"),
    "BYTELOG_KEEP": (
        "many",
        "0d",
        "7d, 7d",
        "shop=",
        "shop=7d,, 5d",
        "shop=7d, shop=8d",
        '"shop=7d',
    ),
    "BYTELOG_METRICS_KEY": KEYS,
    "BYTELOG_PROXY_NETWORKS": ("127.0.0.1/32",),
    "BYTELOG_PROXY_PROJECT": ("Remote-Project",),
    "BYTELOG_PROXY_USER": ("Remote-User", "Remote_User", "Remote User"),
    "BYTELOG_RATE_LIMIT": ("many", "0 per minute", "-1 per minute", "5 per blink"),
    "BYTELOG_READ_DATABASE_URL": URLS,
    "BYTELOG_URL": ("log.example", "ftp://log.example", "https://log.example/?q=1"),
    "BYTELOG_WEBHOOK_SECRET": ("hidden", "whsec_hidden", "whsec_aGlkZGVu", "whsec_" + "A" * 100),
    **dict.fromkeys(NUMBERS, ("many", "-1", "1.5", "1e3", "9" * 30, "0x10")),
    **dict.fromkeys(SWITCHES, ("maybe", "2", "truefalse")),
    **{f"{name}_FILE": ("{folder}", "{file}/below", "{empty}", "/dev/null") for name in SECRETS},
}

CHECKED_BY_A_COMMAND = {"BYTELOG_SEAL_KEY_FILE"}


def test_every_setting_has_wrong_values() -> None:
    assert SETTINGS.keys() - CHECKED_BY_A_COMMAND <= WRONG.keys()


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_value_is_one_sentence_that_says_what_to_do(tmp_path: Path, name: str) -> None:
    paths = {key: tmp_path / key for key in ("file", "folder", "empty")}
    paths["file"].write_text("not a database " * 500)
    paths["folder"].mkdir()
    paths["empty"].touch()
    for value in WRONG[name]:
        bytelog = Bytelog(tmp_path / "data")
        bytelog.environment |= {"BYTELOG_PORT": "0", name: value.format_map(paths)}
        errors = bytelog.refuse("serve")
        assert errors.startswith("Error: "), (value, errors)
        assert len(errors.splitlines()) == 1, (value, errors)
        assert "hidden" not in errors


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("BYTELOG_KEEP_DAYS = 'many'", "BYTELOG_KEEP_DAYS must be a whole number from 1 to"),
        ("BYTELOG_EXPLORER = 5", "BYTELOG_EXPLORER must be true or false, not '5'"),
        ("BYTELOG_URL = 5", "BYTELOG_URL must be text; put it in quotes"),
        ("BYTELOG_API_KEY = b'key'", "BYTELOG_API_KEY must be text; put it in quotes"),
        ("BYTELOG_KEEP_DAYS = 90 days", "cannot be read: invalid syntax"),
        ("import nothing", "No module named 'nothing'"),
    ],
)
def test_a_wrong_line_of_the_file_is_one_sentence(tmp_path: Path, line: str, sentence: str) -> None:
    (tmp_path / "config.py").write_text(line)
    errors = Bytelog(tmp_path).refuse("serve")
    assert sentence in errors
    assert len(errors.splitlines()) == 1
