from __future__ import annotations

import re
from pathlib import Path

import click
import pytest
from flask import Flask
from support.api import Person

from bytelog import config
from bytelog.cli.commands import COMMANDS

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


def commands(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def test_continuous_integration_runs_the_readmes_test_command() -> None:
    assert commands("sh")[2] in (ROOT / ".ci" / "run").read_text()


@pytest.mark.parametrize(("name", "meaning"), config.SETTINGS.items())
def test_every_setting_is_documented(name: str, meaning: str) -> None:
    assert f"| `{name}` | {meaning} |" in README


@pytest.mark.parametrize(("name", "value"), re.findall(r"\| `([A-Z_]+)` \| (\d+)", README))
def test_every_limit_in_the_readme_is_the_real_one(name: str, value: str) -> None:
    shown = int(value) * (2**20 if "MiB a" in README.split(f"`{name}` | ")[1][:10] else 1)
    shown *= 1024 if "KiB" in README.split(f"`{name}` | ")[1][:10] else 1
    assert getattr(config, name) == shown


def test_every_endpoint_is_documented(app: Flask) -> None:
    for rule in app.url_map.iter_rules():
        # What lies below /docs/ is loaded by the page alone.
        assert rule.rule.partition("/docs/")[0].replace("trace_id:", "") in README


def test_every_command_and_option_is_documented() -> None:
    groups: dict[str | None, click.Command] = {it.name: it for it in COMMANDS}
    keys = groups.pop("keys")
    assert isinstance(keys, click.Group)
    commands = groups | {f"keys {name}": command for name, command in keys.commands.items()}
    for name, command in commands.items():
        assert f"bytelog {name}" in README
        for option in command.params:
            if option.opts[0].startswith("--"):
                assert option.opts[0] in README, f"{name} {option.opts[0]}"


def test_every_package_is_in_the_layout_and_every_named_file_exists() -> None:
    for package in (ROOT / "bytelog").glob("*/__init__.py"):
        assert f"| `bytelog/{package.parent.name}/` |" in README
    for name in re.findall(r"`((?:tests|bytelog)/[\w/]+(?:\.py|/)?)`", README):
        assert (ROOT / name).exists(), name


def test_the_curl_samples_are_accepted(alice: Person) -> None:
    (body,) = re.findall(r"-d '({\"id\": 5.*?})'", README)
    assert alice.post(body.encode()).status_code == 201
    assert len(alice.events("?start=2021-08-15")) == 1


def test_the_embedding_sample_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (sample,) = commands("python")
    exec(sample, {"__name__": "sample"})
    assert (tmp_path / "instance" / "bytelog.db").exists()


def test_the_project_speaks_of_itself_alone() -> None:
    tracked = [*ROOT.glob("*.*"), *ROOT.glob("bytelog/**/*.py"), *ROOT.glob("tests/**/*.py")]
    for path in tracked:
        if path.is_file() and path.name != ".git" and path != Path(__file__):
            assert not re.search(r"/work/|/root/|TODO|FIXME", path.read_text()), path
