from __future__ import annotations

import ast
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "bytelog"
MODULES = sorted(PACKAGE.rglob("*.py"))

# Packages and modules of the top folder, from the lowest layer up. Each imports only from lines
# above its own.
LAYERS = [
    {"config", "timestamps"},
    {"settings"},
    {"storage"},
    {"migrations", "queries", "auth", "seals"},
    {"events"},
    {"sources"},
    {"maintenance", "api"},
    {"intake", "follow", "server", "clients"},
    {"mcp"},
    {"cli"},
    {"web", "direct"},
    {"__init__"},
    {"__main__", "testing"},
]
LEVEL = {unit: level for level, layer in enumerate(LAYERS) for unit in layer}


def module_name(path: Path) -> str:
    names = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(names[:-1] if names[-1] == "__init__" else names)


NAMES = {module_name(path): path for path in MODULES}


def imported(path: Path) -> Iterator[str]:
    """Yield the modules of bytelog that a module imports anywhere, also within functions."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in NAMES)
        elif isinstance(node, ast.ImportFrom) and (source := _source(path, node)) in NAMES:
            modules = {f"{source}.{alias.name}" for alias in node.names}
            yield from {name if name in NAMES else source for name in modules}


def _source(path: Path, node: ast.ImportFrom) -> str:
    if not node.level:
        return node.module or ""
    folder = path.parents[node.level - 1].relative_to(ROOT).parts
    return ".".join([*folder, *([node.module] if node.module else [])])


def unit(name: str) -> str:
    """Return the package of a module, or its own name if it lies in the top folder."""
    return [*name.split("."), "__init__"][1]


def test_every_module_belongs_to_a_layer() -> None:
    assert {unit(name) for name in NAMES} == LEVEL.keys()


@pytest.mark.parametrize("name", NAMES)
def test_imports_between_packages_go_one_way(name: str) -> None:
    others = {other for other in imported(NAMES[name]) if unit(other) != unit(name)}
    upwards = {other for other in others if LEVEL[unit(other)] >= LEVEL[unit(name)]}
    assert upwards == set()


@pytest.mark.parametrize(
    "path", sorted(PACKAGE.glob("*/__init__.py")), ids=lambda path: path.parent.name
)
def test_a_package_describes_itself_in_at_most_five_lines(path: Path) -> None:
    (statement,) = ast.parse(path.read_text()).body
    assert isinstance(statement, ast.Expr)
    assert len(path.read_text().splitlines()) <= 5
    assert "mport" in path.read_text()


def test_imports_within_packages_go_one_way() -> None:
    TopologicalSorter({name: set(imported(path)) for name, path in NAMES.items()}).prepare()


@pytest.mark.parametrize(
    ("module", "library"),
    [
        ("events/schemas", "flask"),
        ("events/schemas", "sqlalchemy"),
        ("events/store", "flask"),
        ("events/i_json", "marshmallow"),
    ],
)
def test_a_domain_module_does_not_import_a_framework(module: str, library: str) -> None:
    assert f"import {library}" not in (PACKAGE / f"{module}.py").read_text()
    assert f"from {library}" not in (PACKAGE / f"{module}.py").read_text()


def test_only_the_database_module_imports_flask_sqlalchemy() -> None:
    knowing = [
        path.name for path in PACKAGE.rglob("*.py") if "flask_sqlalchemy" in path.read_text()
    ]
    assert knowing == ["database.py"]


def test_no_test_module_imports_from_another() -> None:
    tests = {path.stem: path for path in (ROOT / "tests").rglob("*.py") if "test_" in path.stem}
    importing = [
        (name, source)
        for name, path in tests.items()
        for source in imported_names(path)
        if source.split(".")[-1] in tests or source == "conftest"
    ]
    assert importing == []


def imported_names(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (node.module or "", *(alias.name for alias in node.names))


@pytest.mark.slow
def test_the_wheel_contains_exactly_the_package(tmp_path: Path) -> None:
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
