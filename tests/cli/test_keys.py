from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from support.api import EVENTS
from support.commands import Bytelog
from support.server import Server, wait_for

ROOT = Path(__file__).parents[2]


@pytest.fixture
def run(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[..., str]:
    bytelog = Bytelog(tmp_path / "data")

    def run(*arguments: str, status: int = 0) -> str:
        output, errors = bytelog.finish("keys", *arguments, status=status)
        return output.decode() if status == 0 else errors

    def run_program(*arguments: str, status: int = 0) -> str:
        done = subprocess.run(
            [sys.executable, "-m", *request.param.split(), "keys", *arguments],
            cwd=ROOT,
            env=bytelog.environment,
            capture_output=True,
            text=True,
        )
        assert done.returncode == status, done.stderr
        assert "Traceback" not in done.stderr
        return done.stdout if status == 0 else done.stderr

    return run_program if hasattr(request, "param") else run


@pytest.mark.parametrize("run", ["bytelog", "flask --app wsgi"], indirect=True)
def test_create_prints_only_the_key(run: Callable[..., str]) -> None:
    key = run("create", "alice")
    assert key.startswith("byl_")
    assert key == key.strip() + "\n"


def test_list_shows_scopes_and_state_but_not_the_key(run: Callable[..., str]) -> None:
    key = run("create", "alice", "--project", "shop", "--scope", "read").strip()
    run("create", "bob", "--expires", "2999-12-31")
    run("create", "old", "--expires", "2001-01-01")
    listing = run("list")
    alice, bob, old = listing.splitlines()[1:]
    assert alice.split()[1:4] == ["alice", "shop", "read"]
    assert "never" in alice
    assert "active" in alice
    assert "read write" in bob
    assert "expires 2999-12-31" in bob
    assert "expired 2001-01-01" in old
    assert key not in listing


def test_json_has_each_key_without_its_secret(run: Callable[..., str]) -> None:
    run("create", "alice", "--project", "shop", "--scope", "read", "--expires", "2999-12-31")
    (key,) = json.loads(run("list", "--json"))["keys"]
    assert key.pop("created").endswith("Z")
    assert key == {
        "id": 1,
        "name": "alice",
        "project": "shop",
        "scopes": ["read"],
        "expires": "2999-12-31T00:00:00.000Z",
        "revoked": None,
        "last_used": None,
        "only": None,
    }


def test_only_limits_a_key_to_events(run: Callable[..., str]) -> None:
    run("create", "alice", "--only", "name=click", "--only", "name=a\u202eb", "--only", "data.n=1")
    assert run("list").endswith("  only name=click|a\\u202eb and data.n=1\n")
    assert "FIELD=VALUE" in run("create", "bob", "--only", "name[not]=click", status=2)


def test_revoke_takes_a_name_or_an_id(run: Callable[..., str]) -> None:
    run("create", "alice")
    run("create", "bob")
    assert run("revoke", "alice") == "Revoked alice.\n"
    assert run("revoke", "2") == "Revoked bob.\n"
    assert run("list").count("revoked") == 2
    assert "no active key 'alice'" in run("revoke", "alice", status=1)


@pytest.mark.slow
@pytest.mark.parametrize("run", ["bytelog", "flask --app wsgi"], indirect=True)
def test_revoke_rejects_a_name_that_two_keys_share(run: Callable[..., str]) -> None:
    run("create", "alice")
    run("create", "alice")
    assert "use the id of one: 1, 2" in run("revoke", "alice", status=1)


def test_an_invalid_date_is_rejected(run: Callable[..., str]) -> None:
    assert "2021-07-04" in run("create", "alice", "--expires", "soon", status=2)


@pytest.mark.parametrize("name", ["", "a\nb", "n" * 256])
def test_an_unprintable_name_is_rejected(run: Callable[..., str], name: str) -> None:
    assert "printable" in run("create", name, status=2)
    assert "printable" in run("create", "alice", "--project", name, status=2)


def test_a_locked_database_is_one_sentence(run: Callable[..., str], tmp_path: Path) -> None:
    run("create", "alice")
    other = sqlite3.connect(tmp_path / "data" / "bytelog.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    assert run("create", "alice", status=1) == (
        "Error: another program has locked the database; try again\n"
    )
    other.close()


def test_a_running_server_accepts_a_new_key_and_rejects_a_revoked_one(server: Server) -> None:
    bytelog = Bytelog(server.folder / "data")
    server.key = bytelog.run("keys", "create", "alice").decode().strip()
    assert server.request(EVENTS).status == 200
    day = datetime.now(UTC).date()
    wait_for(lambda: f"{day}  active" in bytelog.run("keys", "list").decode())
    bytelog.run("keys", "revoke", "alice")
    wait_for(lambda: server.request(EVENTS).status == 401, seconds=1)
