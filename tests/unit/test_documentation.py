from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from flask import Flask

from bytelog import config
from bytelog.cli.commands import COMMANDS

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md"]
PAGES += sorted((ROOT / "docs").glob("*.md"))
TEXT = "\n".join(path.read_text() for path in PAGES)


def samples(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def without_samples(text: str) -> str:
    return re.sub(r"```.*?```", "", text, flags=re.DOTALL)


def anchors(path: Path) -> set[str]:
    """Return the anchors that GitHub gives to the headings of a page."""
    titles = re.findall(r"^#+ (.+)$", without_samples(path.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def links(path: Path) -> Iterator[str]:
    """Yield the targets of a page's links to files and headings."""
    for target in re.findall(r"\]\(([^)\s]+)\)", without_samples(path.read_text())):
        if not target.startswith("https://"):
            yield target


def test_the_readme_is_short() -> None:
    assert len(README.encode()) <= 6144


def test_generated_parts_are_current() -> None:
    command = [sys.executable, str(ROOT / "docs" / "generate.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_every_link_leads_to_a_file_or_heading(path: Path) -> None:
    for link in links(path):
        file, _, anchor = link.partition("#")
        target = path.parent / file if file else path
        assert target.resolve().is_relative_to(ROOT), link
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def test_every_page_can_be_reached_from_the_readme() -> None:
    reached = {ROOT / link.partition("#")[0] for link in links(ROOT / "README.md")}
    assert set(PAGES) - reached == {ROOT / "README.md", ROOT / "docs" / "package.md"}


def test_every_setting_is_documented() -> None:
    for name, meaning in config.SETTINGS.items():
        assert f"| `{name}` | {meaning} |" in (ROOT / "docs" / "configuration.md").read_text()


def test_every_limit_on_the_page_is_a_constant() -> None:
    for template in (ROOT / "bytelog" / "templates").rglob("*.html"):
        for name in re.findall(r"\blimits\.(\w+)", template.read_text()):
            assert hasattr(config, name), f"{template.name}: {name}"


def test_every_endpoint_is_documented(app: Flask) -> None:
    api = (ROOT / "docs" / "api.md").read_text()
    for rule in app.url_map.iter_rules():
        # Only the page itself loads files below /docs/.
        path = re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule.partition("/docs/")[0])
        assert f"{path}`" in api


def test_every_command_and_option_is_documented() -> None:
    commands: dict[str, click.Command] = {}
    for command in COMMANDS:
        members = command.commands if isinstance(command, click.Group) else {"": command}
        commands |= {f"{command.name} {name}".strip(): each for name, each in members.items()}
    for name, command in commands.items():
        assert f"### `bytelog {name} [OPTIONS]" in TEXT
        for option in command.params:
            if option.opts[0].startswith("--"):
                assert option.opts[0] in TEXT, f"{name} {option.opts[0]}"


def test_every_package_is_in_the_architecture_and_every_named_file_exists() -> None:
    for package in (ROOT / "bytelog").glob("*/__init__.py"):
        page = (ROOT / "docs" / "architecture.md").read_text()
        assert f"| `bytelog/{package.parent.name}/` |" in page
    for name in re.findall(r"`((?:tests|bytelog|docs|deploy)/[\w/-]+(?:\.\w+|/)?)`", TEXT):
        assert (ROOT / name).exists(), name
    for name in re.findall(r"`(test_\w+\.py)`", TEXT):
        assert list((ROOT / "tests").rglob(name)), name
    modules = re.findall(r"`((?:api|auth|events|queries|server|storage)/\w+\.py)`", TEXT)
    for name in modules:
        assert (ROOT / "bytelog" / name).exists(), name


def test_every_promise_names_a_test_that_exists() -> None:
    promises = (ROOT / "docs" / "promises.md").read_text()
    rows = re.findall(r"^\| (?!Promise|---)(.+?) \| (.+) \|$", promises, re.MULTILINE)
    assert len(rows) > 40
    for promise, tests in rows:
        for test in tests.split(", "):
            assert re.fullmatch(r"\[`(tests/[\w/]+\.py)`\]\(\.\./\1\)", test), promise


def test_the_readmes_curl_samples_work(serve: Callable[..., Any], tmp_path: Path) -> None:
    server = serve(BYTELOG_API_KEY="example_api_key")
    _, requests, client = samples("sh")
    script = "\n".join([requests, client]).replace("http://127.0.0.1:8000", server.url)
    done = subprocess.run(
        ["sh", "-euc", script],
        cwd=tmp_path,
        env={**os.environ, "BYTELOG_API_KEY": "example_api_key"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    listed, followed, *recorded = done.stdout.replace("}{", "}\n{").splitlines()
    assert listed == followed
    assert '"count":1' in listed
    assert len(recorded) == 2
    assert all('"paypal_payment"' in line for line in recorded)


def test_the_readme_shows_what_the_first_start_prints(serve: Callable[..., Any]) -> None:
    server = serve()
    printed = server.log.read_text().replace(server.url, "http://127.0.0.1:8000")
    printed = re.sub(r"byl_\w+", "byl_…", printed)
    printed = re.sub(r"(?m)^Database: .*", "Database: …", printed)
    (output, *_) = samples("text")
    output = re.sub(r"(?m)^Database: .*", "Database: …", output)
    assert output.strip() == printed.strip()


def test_the_readmes_embedding_sample_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (sample,) = samples("python")
    exec(sample, {"__name__": "sample"})
    assert (tmp_path / "instance" / "bytelog.db").exists()


def test_the_repository_contains_no_local_path_and_no_todo() -> None:
    tracked = [*ROOT.glob("*.*"), *ROOT.glob("bytelog/**/*.py"), *ROOT.glob("tests/**/*.py")]
    for path in [*tracked, *PAGES]:
        if path.is_file() and path.name != ".git" and path != Path(__file__):
            assert not re.search(r"/work/|/root/|TODO|FIXME", path.read_text()), path
