from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from support.commands import Bytelog

from bytelog.config import SETTINGS

ROOT = Path(__file__).parents[2]


@pytest.fixture
def bytelog(tmp_path: Path) -> Bytelog:
    (tmp_path / "config.py").write_text("BYTELOG_KEEP_DAYS = 90\nBYTELOG_PORT = 1\n")
    (tmp_path / "key").write_text("hidden key\n")
    bytelog = Bytelog(tmp_path)
    bytelog.environment |= {
        "BYTELOG_API_KEY_FILE": str(tmp_path / "key"),
        "BYTELOG_DATABASE_URL": "postgresql+psycopg://user:hidden@host/name?sslpassword=hidden",
        "BYTELOG_PORT": "2",
        "BYTELOG_RATE_LIMITS": "1 per second",
    }
    return bytelog


def test_every_setting_is_shown_with_its_source(bytelog: Bytelog) -> None:
    output, errors = bytelog.finish("config")
    heading, *lines = output.decode().splitlines()
    assert heading.split() == ["SETTING", "VALUE", "FROM"]
    rows = {line.split()[0]: line.split(maxsplit=2)[1:] for line in lines}
    assert [*rows] == [*SETTINGS]
    folder = bytelog.folder
    assert rows["BYTELOG_API_KEY"] == ["********", f"file {folder / 'key'}"]
    assert rows["BYTELOG_DATA"] == [str(folder), "environment"]
    assert rows["BYTELOG_DATABASE_URL"] == [
        "postgresql+psycopg://user:***@host/name",
        "environment",
    ]
    assert rows["BYTELOG_EXPLORER"] == ["true", "default"]
    assert rows["BYTELOG_KEEP_DAYS"] == ["90", str(folder / "config.py")]
    assert rows["BYTELOG_PORT"] == ["2", "environment"]
    assert b"hidden" not in output
    assert errors.startswith("BYTELOG_RATE_LIMITS (environment) is not a setting of bytelog")


def test_a_url_that_cannot_be_read_is_hidden(bytelog: Bytelog) -> None:
    bytelog.environment["BYTELOG_DATABASE_URL"] = "hidden"
    assert b"hidden" not in bytelog.run("config")


def test_a_wrong_setting_is_one_sentence(bytelog: Bytelog) -> None:
    bytelog.environment["BYTELOG_PORT"] = "http"
    assert "BYTELOG_PORT must be a whole number" in bytelog.refuse("config")


def test_an_application_shows_what_its_code_sets(tmp_path: Path) -> None:
    (tmp_path / "host.py").write_text(
        "from bytelog import create_app\n"
        f"app = create_app({{'BYTELOG_KEEP_DAYS': 90}}, {str(tmp_path / 'data')!r})\n"
    )
    command = [sys.executable, "-m", "flask", "--app", str(tmp_path / "host.py"), "config"]
    output = subprocess.check_output(command, cwd=ROOT, text=True)
    rows = {line.split()[0]: line.split()[1:] for line in output.splitlines()}
    assert rows["BYTELOG_KEEP_DAYS"] == ["90", "create_app"]
    assert rows["BYTELOG_DATA"] == [str(tmp_path / "data"), "create_app"]
