from __future__ import annotations

import ast
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "bytelog"

# Imports go down this list only, never up, and never within a line.
LAYERS = [
    {"__main__", "testing"},
    {"__init__"},
    {"embed", "direct"},
    {"docs"},
    {"events", "health", "metrics", "openapi", "clients", "explorer", "cli"},
    {"serve"},
    {"connections"},
    {"operations", "auth", "errors", "lanes", "bodies"},
    {"rate_limit", "browsers", "places"},
    {"idempotency", "transfer", "demo"},
    {"keys", "store", "backup", "retention", "migrate"},
    {"snapshots", "overview", "listing", "paths", "summary", "parameters", "projects", "records"},
    {"schemas", "statements", "writer", "migrations"},
    {"forms", "filters", "sources"},
    {"selection", "expressions"},
    {"models", "i_json"},
    {"db"},
    {"sqlite", "postgresql"},
    {"file_lock", "partitions"},
    {"backend"},
    {"timestamps"},
    {"config"},
]
LEVEL = {module: level for level, layer in enumerate(LAYERS) for module in layer}


def imported(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.level == 1:
            found = [node.module] if node.module else [alias.name for alias in node.names]
            names |= {name if name in LEVEL else "__init__" for name in found if name}
    return names


@pytest.mark.parametrize("path", sorted(PACKAGE.glob("*.py")), ids=lambda path: path.stem)
def test_imports_go_one_way(path: Path) -> None:
    upwards = {name for name in imported(path) if LEVEL[name] <= LEVEL[path.stem]}
    assert upwards == set()


@pytest.mark.parametrize(
    ("module", "stranger"),
    [
        ("schemas", "flask"),
        ("schemas", "sqlalchemy"),
        ("store", "flask"),
        ("i_json", "marshmallow"),
    ],
)
def test_a_layer_does_not_know_what_is_not_its_business(module: str, stranger: str) -> None:
    assert f"import {stranger}" not in (PACKAGE / f"{module}.py").read_text()
    assert f"from {stranger}" not in (PACKAGE / f"{module}.py").read_text()


def test_only_db_knows_flask_sqlalchemy() -> None:
    knowing = [
        path.name for path in PACKAGE.rglob("*.py") if "flask_sqlalchemy" in path.read_text()
    ]
    assert knowing == ["db.py"]


def test_the_wheel_holds_the_package_whole_and_nothing_else(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--no-deps", "--wheel-dir", tmp_path, ROOT],
        check=True,
        capture_output=True,
    )
    (wheel,) = tmp_path.glob("*.whl")
    inside = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    source = {
        str(path.relative_to(ROOT))
        for path in PACKAGE.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert inside == source
    assert any("licenses/LICENSE" in name for name in zipfile.ZipFile(wheel).namelist())
