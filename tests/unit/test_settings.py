from __future__ import annotations

from pathlib import Path

import pytest
from flask import Flask

from bytelog import create_app
from bytelog.storage import database as db


def database(app: Flask) -> str:
    with app.app_context():
        return db.backend_of(db.db.engine).location()


def test_the_mapping_wins_over_the_file_and_the_file_over_the_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("BYTELOG_API_KEY", "from the environment")
    assert create_app(instance_path=tmp_path).config["BYTELOG_API_KEY"] == "from the environment"
    (tmp_path / "config.py").write_text("BYTELOG_API_KEY = 'from the file'")
    assert create_app(instance_path=tmp_path).config["BYTELOG_API_KEY"] == "from the file"
    settings = {"BYTELOG_API_KEY": "from the mapping"}
    assert create_app(settings, tmp_path).config["BYTELOG_API_KEY"] == "from the mapping"


def test_the_data_folder_is_instance_in_the_current_directory(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    assert database(create_app()) == str(tmp_path / "instance" / "bytelog.db")


def test_the_data_folder_can_be_named_in_three_ways(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("BYTELOG_DATA", str(tmp_path / "environment"))
    assert database(create_app()) == str(tmp_path / "environment" / "bytelog.db")
    mapping = {"BYTELOG_DATA": str(tmp_path / "mapping")}
    assert database(create_app(mapping)) == str(tmp_path / "mapping" / "bytelog.db")
    argument = create_app(mapping, tmp_path / "argument")
    assert database(argument) == str(tmp_path / "argument" / "bytelog.db")


def test_the_database_can_be_elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("BYTELOG_DATABASE_URL", f"sqlite:///{tmp_path / 'other.db'}")
    assert database(create_app(instance_path=tmp_path / "data")) == str(tmp_path / "other.db")
    monkeypatch.setenv("BYTELOG_DATABASE_URL", "sqlite:///relative.db")
    folder = tmp_path / "data"
    assert database(create_app(instance_path=folder)) == str(folder / "relative.db")
