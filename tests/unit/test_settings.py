from __future__ import annotations

from pathlib import Path

import pytest
from flask import Flask
from support.api import EVENTS
from support.commands import Bytelog
from support.disk import as_root

from bytelog import create_app
from bytelog.config import NUMBERS, SECRETS, SWITCHES, SetupError
from bytelog.settings.loading import load
from bytelog.settings.sources import Source, list_sources
from bytelog.storage import database as db


def database(app: Flask) -> str:
    with app.app_context():
        return db.backend_of(db.db.engine).location()


def test_the_mapping_wins_over_the_environment_and_the_environment_over_the_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "config.py").write_text("BYTELOG_API_KEY = 'from the file'")
    assert create_app(instance_path=tmp_path).config["BYTELOG_API_KEY"] == "from the file"
    monkeypatch.setenv("BYTELOG_API_KEY", "from the environment")
    assert create_app(instance_path=tmp_path).config["BYTELOG_API_KEY"] == "from the environment"
    settings = {"BYTELOG_API_KEY": "from the mapping"}
    assert create_app(settings, tmp_path).config["BYTELOG_API_KEY"] == "from the mapping"


def test_the_default_data_folder_is_instance_in_the_current_directory(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    assert database(create_app()) == str(tmp_path / "instance" / "bytelog.db")


def test_the_data_folder_can_be_set_in_three_ways(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("BYTELOG_DATA", str(tmp_path / "environment"))
    assert database(create_app()) == str(tmp_path / "environment" / "bytelog.db")
    mapping = {"BYTELOG_DATA": str(tmp_path / "mapping")}
    assert database(create_app(mapping)) == str(tmp_path / "mapping" / "bytelog.db")
    argument = create_app(mapping, tmp_path / "argument")
    assert database(argument) == str(tmp_path / "argument" / "bytelog.db")


def test_the_database_can_be_outside_the_data_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("BYTELOG_DATABASE_URL", f"sqlite:///{tmp_path / 'other.db'}")
    assert database(create_app(instance_path=tmp_path / "data")) == str(tmp_path / "other.db")
    monkeypatch.setenv("BYTELOG_DATABASE_URL", "sqlite:///relative.db")
    folder = tmp_path / "data"
    assert database(create_app(instance_path=folder)) == str(folder / "relative.db")


@pytest.mark.parametrize(
    "name", ["team?1", "feature%2Flogin", "a#b", "x?mode=memory&uri=true", "a b@c:d"]
)
def test_the_database_is_in_a_data_folder_with_any_name(tmp_path: Path, name: str) -> None:
    folder = tmp_path / name
    assert database(create_app(instance_path=folder)) == str(folder / "bytelog.db")
    assert (folder / "bytelog.db").stat().st_size > 0
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_links_to_the_data_folder_and_to_the_database_are_followed_once(tmp_path: Path) -> None:
    (tmp_path / "folder").symlink_to("data")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "bytelog.db").symlink_to("../file.db")
    assert database(create_app(instance_path=tmp_path / "folder")) == str(tmp_path / "file.db")
    url = f"sqlite:///{tmp_path / 'folder' / 'bytelog.db'}"
    app = create_app({"BYTELOG_DATABASE_URL": url}, tmp_path / "other")
    assert database(app) == str(tmp_path / "file.db")
    (tmp_path / "endless").symlink_to("endless")
    with pytest.raises(SetupError, match="symbolic links"):
        create_app({"BYTELOG_DATABASE_URL": f"sqlite:///{tmp_path / 'endless'}"}, tmp_path)


def test_a_database_with_two_names_is_refused(tmp_path: Path) -> None:
    create_app(instance_path=tmp_path)
    (tmp_path / "other.db").hardlink_to(tmp_path / "bytelog.db")
    with pytest.raises(SetupError, match="Remove the other name"):
        create_app(instance_path=tmp_path)


@pytest.mark.parametrize("value", ["a key\n", " \ta key\r\n"])
def test_white_space_around_a_setting_is_removed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, value: str
) -> None:
    monkeypatch.setenv("BYTELOG_API_KEY", value)
    monkeypatch.setenv("BYTELOG_KEEP_DAYS", " 90\n")
    app = create_app({"BYTELOG_METRICS_KEY": value}, tmp_path)
    assert app.config["BYTELOG_KEEP_DAYS"] == 90
    headers = {"Authorization": "Bearer a key"}
    for path in (EVENTS, "/metrics"):
        assert app.test_client().get(path, headers=headers).status_code == 200


@pytest.mark.parametrize(
    "url", ["log.example", "ftp://a", "https://", "http://a/$(b)", 'http://a"']
)
def test_a_url_that_no_sample_can_contain_is_refused(tmp_path: Path, url: str) -> None:
    with pytest.raises(SetupError, match="BYTELOG_URL must be a URL"):
        create_app({"BYTELOG_URL": url}, tmp_path)


@pytest.mark.parametrize("name", ["BYTELOG_API_KEY", "BYTELOG_METRICS_KEY"])
@pytest.mark.parametrize("value", ["\n", "  ", "two\nlines", "nul\0", "\x7f"])
def test_a_key_that_no_header_can_contain_is_refused(tmp_path: Path, name: str, value: str) -> None:
    with pytest.raises(SetupError, match=name):
        create_app({name: value}, tmp_path)


@pytest.mark.parametrize("value", [-1, True, 1.5, "many", "1" * 5000, 2**31, float("inf")])
@pytest.mark.parametrize("name", NUMBERS)
def test_a_number_outside_its_range_is_refused(tmp_path: Path, name: str, value: object) -> None:
    with pytest.raises(SetupError, match=f"{name} must be a whole number"):
        create_app({name: value}, tmp_path)


@pytest.mark.parametrize("value", [0, "0"])
@pytest.mark.parametrize("name", sorted(NUMBERS.keys() - {"BYTELOG_PORT"}))
def test_only_the_port_may_be_zero(tmp_path: Path, name: str, value: object) -> None:
    assert create_app({"BYTELOG_PORT": value}, tmp_path).config["BYTELOG_PORT"] == 0
    with pytest.raises(SetupError, match=f"{name} must be a whole number from 1"):
        create_app({name: value}, tmp_path)


@pytest.mark.parametrize(
    ("values", "is_on"),
    [
        ((True, 1, "true", "True", "ON", "yes", " 1\n"), True),
        ((False, 0, "false", "False", "OFF", "no", "0"), False),
    ],
)
@pytest.mark.parametrize("name", SWITCHES)
def test_a_switch_takes_booleans_and_text(
    tmp_path: Path, name: str, values: tuple[object, ...], is_on: bool
) -> None:
    for value in values:
        assert load([Source("test", {name: value})])[name].value is is_on
    for value in ("maybe", 2, [], b"off"):
        with pytest.raises(SetupError, match=f"{name} must be true or false, not"):
            create_app({name: value}, tmp_path)


@pytest.mark.parametrize("name", sorted({*SECRETS} - {"BYTELOG_HOOKS"}))
def test_a_secret_can_be_in_a_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    file, value, other = tmp_path / "secret", f"sqlite:///{tmp_path / 'other.db'}", "mine"
    if name == "BYTELOG_WEBHOOK_SECRET":
        value, other = f"whsec_{'A' * 32}", f"whsec_{'B' * 86}=="
    file.write_text(f"{value}\n")
    monkeypatch.setenv(f"{name}_FILE", str(file))
    (tmp_path / "config.py").write_text(f"{name} = 'from config.py'")
    setting = load(list_sources(tmp_path, {}))[name]
    assert setting == (value, f"file {file}")
    assert load(list_sources(tmp_path, {name: other}))[name].value == other
    monkeypatch.setenv(name, value)
    with pytest.raises(SetupError, match=f"{name} and {name}_FILE are both set"):
        create_app(instance_path=tmp_path)


def test_webhooks_can_be_in_a_file_in_json(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "hooks").write_text('{"backup": {"id": "run"}}\n')
    monkeypatch.setenv("BYTELOG_HOOKS_FILE", str(tmp_path / "hooks"))
    hooks = create_app(instance_path=tmp_path).config["BYTELOG_HOOKS"]
    assert hooks == {"backup": {"id": "run"}}


@pytest.mark.parametrize(
    ("content", "reason"),
    [(None, "No such file"), (b" \n", "is empty"), (b"\xff", "not UTF-8")],
)
def test_a_file_without_a_secret_is_refused(
    tmp_path: Path, content: bytes | None, reason: str
) -> None:
    file = tmp_path / "secret"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(SetupError, match=f"BYTELOG_API_KEY_FILE names {file}, which.*{reason}"):
        create_app({"BYTELOG_API_KEY_FILE": str(file)}, tmp_path / "data")


def test_an_unknown_name_is_reported_once_with_the_nearest_setting(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("BYTELOG_KEEPDAYS", "90")
    (tmp_path / "config.py").write_text("BYTELOG_EXPLORE = False\nBYTELOG_DATA = '/data'")
    app = create_app({"BYTELOG_XYZZY": 1, "TESTING": True}, tmp_path)
    assert caplog.messages == [
        f"BYTELOG_EXPLORE ({tmp_path}/config.py) is not a setting of bytelog and has no effect. "
        "Did you mean BYTELOG_EXPLORER?",
        "BYTELOG_KEEPDAYS (environment) is not a setting of bytelog and has no effect. "
        "Did you mean BYTELOG_KEEP_DAYS?",
        "BYTELOG_XYZZY (create_app) is not a setting of bytelog and has no effect. "
        "`bytelog config` lists all settings.",
        f"BYTELOG_DATA in {tmp_path}/config.py has no effect. Set it in the environment.",
    ]
    assert app.config["BYTELOG_EXPLORER"] is True


def test_variables_of_the_clients_and_of_kubernetes_are_not_settings(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("RETRIES", "TIMEOUT", "SERVICE_HOST", "SERVICE_PORT", "PORT_8000_TCP_ADDR"):
        monkeypatch.setenv(f"BYTELOG_{name}", "3")
    monkeypatch.setenv("BYTELOG_PORT", "tcp://10.0.0.1:8000")
    assert create_app(instance_path=tmp_path).config["BYTELOG_PORT"] == 8000
    assert caplog.messages == []


def test_a_config_file_that_another_user_can_write_is_not_run(tmp_path: Path) -> None:
    config = tmp_path / "config.py"
    config.write_text("BYTELOG_API_KEY = 'key'")
    config.chmod(0o666)
    with pytest.raises(SetupError, match="chmod o-w"):
        create_app(instance_path=tmp_path)
    config.chmod(0o664)
    assert create_app(instance_path=tmp_path).config["BYTELOG_API_KEY"] == "key"


def test_a_config_file_of_another_user_is_not_run(tmp_path: Path) -> None:
    config = tmp_path / "config.py"
    config.write_text("raise AssertionError('it was run')")
    as_root("chown", "12345", config)
    bytelog = Bytelog(tmp_path)
    assert "belongs to another user (uid 12345)" in bytelog.refuse("keys", "list")
