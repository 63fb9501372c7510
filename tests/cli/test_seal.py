from __future__ import annotations

import json
import re
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from datetime import date
from pathlib import Path

import pytest
from benchmarks.cluster import Cluster
from flask import Flask
from sqlalchemy import select
from support.commands import Bytelog
from support.history import day, make_history
from support.seals import create_key, seal_events

from bytelog.maintenance import expiry
from bytelog.seals.verification import compare
from bytelog.storage import partitions
from bytelog.storage.database import db, fetch
from bytelog.storage.models import SealLeaf
from bytelog.storage.writer import current_writer
from bytelog.timestamps import parse

GUIDE = Path(__file__).parents[2] / "docs" / "sealing.md"


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return create_key(tmp_path_factory.mktemp("keys") / "seal.pem")


@pytest.fixture
def bytelog(tmp_path: Path, key: Path) -> Bytelog:
    make_history(tmp_path / "data", 2)
    bytelog = Bytelog(tmp_path / "data")
    bytelog.environment["BYTELOG_SEAL_KEY_FILE"] = str(key)
    return bytelog


def change(bytelog: Bytelog, statement: str) -> None:
    with closing(sqlite3.connect(bytelog.folder / "bytelog.db")) as database, database:
        database.execute(statement)


def fingerprint(key: Path) -> str:
    command = f"openssl pkey -in '{key}' -pubout -outform DER | sha256sum"
    return subprocess.check_output(["sh", "-c", command], text=True).split()[0]


def test_a_seal_proves_what_was_recorded_and_still_forgets(
    bytelog: Bytelog, key: Path, tmp_path: Path
) -> None:
    output, errors = bytelog.finish("seal")
    first, second = tmp_path / "first.json", tmp_path / "second.json"
    first.write_bytes(output)
    assert errors.startswith("Sealed 2000 events, 2000 of them for the first time.\n")
    bytelog.run("prune", "--before", day(1))
    make_history(bytelog.folder, 1)
    errors = bytelog.finish("seal", "--output", second)[1]
    assert errors.startswith("Sealed 3000 events, 1000 of them for the first time.\n")
    for file, erased in ((first, (0, 1000)), (second, (1000, 0))):
        checked = bytelog.run("check", "--seal", file, "--public-key", key.with_suffix(".pub"))
        assert f"SHA-256 {fingerprint(key)}\n" in checked.decode()
        counts = "{} were erased before the seal, {} since.".format(*erased)
        assert checked.decode().endswith(f"The sealed events are unchanged; {counts}\n")
    bytelog.run("backup", tmp_path / "copy.db")
    assert b"unchanged" in bytelog.run("check", tmp_path / "copy.db", "--seal", second)
    change(bytelog, "UPDATE event SET name = 'other', date = '2021-08-17t' WHERE id = 1500")
    refusal = bytelog.refuse("check", "--seal", first)
    assert "contradicts the seal: the event with the key 1501 (id 1500, name 'other'" in refusal


def test_an_independent_program_verifies_a_seal(bytelog: Bytelog, tmp_path: Path) -> None:
    (program,) = re.findall(r"```python\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    bytelog.run("seal", "--output", tmp_path / "seal.json")
    bytelog.run("prune", "--before", f"{day(0)}T12:00:00Z")
    bytelog.run("seal", "--output", tmp_path / "later.json")

    def verify(file: str) -> int:
        arguments = [str(bytelog.folder / "bytelog.db"), str(tmp_path / file)]
        return subprocess.run([sys.executable, "-c", program, *arguments], check=False).returncode

    assert [verify("seal.json"), verify("later.json")] == [0, 0]
    change(bytelog, "UPDATE event SET name = 'other' WHERE id = 1500")
    assert [verify("seal.json"), verify("later.json")] == [1, 1]
    change(bytelog, "UPDATE seal_leaf SET salt = x'' WHERE key = 1501")
    assert [verify("seal.json"), verify("later.json")] == [1, 1]


@pytest.mark.parametrize(
    ("member", "value", "expected"),
    [
        ("events", 5, "the signature of the seal is invalid"),
        ("head", "0" * 64, "the signature of the seal is invalid"),
        ("head", "00", "its member head is wrong"),
        ("log", "\ud800", "its member log is wrong"),
        ("time", "\x1b[2J", "its member time is wrong"),
        ("last_key", 2**63, "its member last_key is wrong"),
        ("events", -1, "its member events is wrong"),
        ("public_key", "0" * 64, "the signature of the seal is invalid"),
        ("public_key", "no", "the signature of the seal is invalid"),
        ("signature", "", "the signature of the seal is invalid"),
        ("format", "bytelog-seal-2", "its format is not bytelog-seal-1"),
        ("number", "1", "its members are not those"),
        ("more", 1, "its members are not those"),
    ],
)
def test_an_altered_seal_is_rejected(
    tmp_path: Path, app: Flask, member: str, value: object, expected: str
) -> None:
    with app.app_context():
        members = json.loads(seal_events().write())
    file = tmp_path / "seal.json"
    file.write_text(json.dumps({**members, member: value}))
    assert expected in refuse_to_check(app, file)


def test_an_altered_seal_is_rejected_before_its_key_is_compared(
    tmp_path: Path, app: Flask, key: Path
) -> None:
    with app.app_context():
        members = json.loads(seal_events().write())
    file = tmp_path / "seal.json"
    file.write_text(json.dumps({**members, "public_key": "no"}))
    public = str(key.with_suffix(".pub"))
    assert "the signature of the seal is" in refuse_to_check(app, file, "--public-key", public)


@pytest.mark.parametrize("text", ["", "[]", "[" * 60_000, '{"log": "a", "log": "b"}', "\xff"])
def test_a_file_that_is_no_seal_is_rejected(tmp_path: Path, app: Flask, text: str) -> None:
    file = tmp_path / "seal.json"
    file.write_text(text, encoding="latin-1")
    assert "is not a seal" in refuse_to_check(app, file)


def refuse_to_check(app: Flask, *arguments: Path | str) -> str:
    done = app.test_cli_runner().invoke(args=["check", "--seal", *map(str, arguments)])
    assert done.exit_code == 1
    return done.output


def test_a_seal_of_another_key_or_log_is_rejected(app: Flask, tmp_path: Path, key: Path) -> None:
    file = tmp_path / "seal.json"
    with app.app_context():
        file.write_text(seal_events().write())
    public = str(key.with_suffix(".pub"))
    assert "signed with another key" in refuse_to_check(app, file, "--public-key", public)
    other = Bytelog(tmp_path / "other")
    other.run("keys", "create", "alice")
    assert "ever sealed" in other.refuse("check", "--seal", file)


def refuse_to_seal(app: Flask, *arguments: Path | str, status: int = 1) -> str:
    with app.app_context():
        done = app.test_cli_runner().invoke(args=["seal", *map(str, arguments)])
    assert done.exit_code == status
    return done.output


def test_a_key_that_is_not_secret_or_not_usable_is_refused(
    app: Flask, tmp_path: Path, key: Path
) -> None:
    assert "Give --private-key" in refuse_to_seal(app, status=2)
    inside = Path(app.instance_path) / "seal.pem"
    inside.write_bytes(key.read_bytes())
    (tmp_path / "link.pem").symlink_to(inside)
    for file in (inside, tmp_path / "link.pem"):
        assert "is in the data folder" in refuse_to_seal(app, "--private-key", file)
    public = tmp_path / "copy.pem"
    public.write_bytes(key.read_bytes())
    public.chmod(0o644)
    assert f"chmod 600 {public}" in refuse_to_seal(app, "--private-key", public)
    other = create_key(tmp_path / "other.pem", "x25519")
    assert "no private Ed25519 key" in refuse_to_seal(app, "--private-key", other)
    text = key.with_suffix(".pub").read_bytes()
    other.write_bytes(text)
    assert "no private Ed25519 key" in refuse_to_seal(app, "--private-key", other)
    command = ["openssl", "pkey", "-in", key, "-aes256", "-passout", "pass:secret", "-out", other]
    subprocess.run([str(argument) for argument in command], check=True)
    assert "is encrypted" in refuse_to_seal(app, "--private-key", other)


def test_an_earlier_seal_is_not_replaced(app: Flask, tmp_path: Path, key: Path) -> None:
    file = tmp_path / "seal.json"
    file.write_text("earlier")
    refusal = refuse_to_seal(app, "--private-key", key, "--output", file)
    assert "earlier seals prove more" in refusal
    assert file.read_text() == "earlier"
    missing = tmp_path / "missing" / "seal.json"
    assert "there is no folder" in refuse_to_seal(app, "--private-key", key, "--output", missing)


def test_without_the_library_the_commands_tell_what_to_install(
    app: Flask, tmp_path: Path, key: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with app.app_context():
        (tmp_path / "seal.json").write_text(seal_events().write())
    monkeypatch.setitem(sys.modules, "cryptography", None)
    assert "pip install 'bytelog[seal]'" in refuse_to_seal(app, "--private-key", key)
    assert "pip install 'bytelog[seal]'" in refuse_to_check(app, tmp_path / "seal.json")


def test_nothing_but_the_commands_imports_the_library() -> None:
    program = "import sys, bytelog.__main__; assert 'cryptography' not in sys.modules"
    subprocess.run([sys.executable, "-c", program], check=True)


def test_sealing_creates_no_database(tmp_path: Path, key: Path) -> None:
    bytelog = Bytelog(tmp_path / "nothing")
    assert "there is no database at" in bytelog.refuse("seal", "--private-key", key)
    assert not bytelog.folder.exists()


@pytest.mark.each_database
def test_retention_leaves_the_hashes_of_sealed_events(app: Flask, database: str) -> None:
    events = [(day(0), 0), (day(0), 1), (day(1), 2), (day(3), 3)]
    with app.app_context():
        with current_writer().transaction() as connection:
            dates = [(f"{start}T10:00:00.000Z", number) for start, number in events]
            rows = [(1, number, "click", "a", moment, "{}") for moment, number in dates]
            current_writer().insert(connection, rows)
        if database == "postgresql":
            make_partition(day(0))
        seal = seal_events()
        deleted = prune_all(day(2))
        salts = fetch(db.engine, select(SealLeaf.salt).order_by(SealLeaf.key))
        assert deleted == 3
        assert [row.salt is None for row in salts] == [True, True, True, False]
        with db.engine.connect() as connection:
            comparison = compare(connection, seal)
        assert (comparison.contradiction, comparison.erased_since) == ("", 3)
        assert prune_all(day(2)) == 0
        if database == "postgresql":
            assert not has_partition(day(0))


def prune_all(day: str) -> int:
    before = parse(day)
    groups = [expiry.find_expired(expiry.Scope(1, "default"), before)]
    return sum(expiry.prune(groups, before, lambda _: None))


def make_partition(day: str) -> None:
    with current_writer().transaction() as connection:
        partitions.create(connection, [date.fromisoformat(day)])


def has_partition(day: str) -> bool:
    with db.engine.connect() as connection:
        return date.fromisoformat(day) in partitions.list_days(connection)


def test_a_migrated_log_is_proven_by_its_earlier_seals(
    bytelog: Bytelog, tmp_path: Path, new_database: Callable[[], str], shared_cluster: Cluster
) -> None:
    url, seal = shared_cluster.url(new_database()), tmp_path / "seal.json"
    bytelog.run("seal", "--output", seal)
    bytelog.run("migrate", "--to", url)
    bytelog.run("prune", "--before", f"{day(0)}T12:00:00Z")
    bytelog.run("seal", "--output", tmp_path / "later.json")
    bytelog.run("migrate", "--to", url)
    migrated = Bytelog(tmp_path / "migrated")
    migrated.environment |= {"BYTELOG_DATABASE_URL": url, **bytelog.environment}
    for file in (seal, tmp_path / "later.json"):
        assert b"The sealed events are unchanged" in migrated.run("check", "--seal", file)
    migrated.run("seal", "--output", tmp_path / "newest.json")
    assert b"unchanged" in migrated.run("check", "--seal", tmp_path / "newest.json")
    assert "it has seals of its own" in bytelog.refuse("migrate", "--to", url)
