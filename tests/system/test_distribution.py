from __future__ import annotations

import re
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from packaging.metadata import Metadata

ROOT = next(folder for folder in Path(__file__).parents if (folder / "pyproject.toml").exists())
TOP_FILES = {
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "LICENSE",
    "README.md",
    "pyproject.toml",
    "setup.cfg",
    "wsgi.py",
}
BUILD = "import sys; from flit_core import buildapi; buildapi.build_sdist(sys.argv[1])"


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Return the files of the source distribution by their path in it."""
    folder = tmp_path_factory.mktemp("sdist")
    subprocess.run([sys.executable, "-c", BUILD, folder], cwd=ROOT, check=True)
    (path,) = folder.glob("bytelog-*.tar.gz")
    with tarfile.open(path) as archive:
        members = [member for member in archive.getmembers() if member.isfile()]
        contents = {member.name: archive.extractfile(member) for member in members}
        return {name.partition("/")[2]: file.read() for name, file in contents.items() if file}


def test_the_source_distribution_contains_the_whole_project(source: dict[str, bytes]) -> None:
    folders = [ROOT / name for name in (".ci", "bytelog", "deploy", "docs", "tests")]
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    expected = {str(path.relative_to(ROOT)) for path in files if "__pycache__" not in path.parts}
    assert set(source) == expected | TOP_FILES | {"PKG-INFO"}


def test_the_description_is_the_readme_without_relative_links() -> None:
    description = (ROOT / "docs" / "package.md").read_text()
    assert description.splitlines()[:3] == (ROOT / "README.md").read_text().splitlines()[:3]
    assert re.findall(r"\]\((?!https://)", description) == []


def test_a_package_index_accepts_the_metadata(source: dict[str, bytes]) -> None:
    metadata = Metadata.from_email(source["PKG-INFO"], validate=True)
    # Upload tools support this version, but many do not support that of flit_core 4.2.
    assert metadata.metadata_version == "2.4"
    assert metadata.author == "The bytelog developers"
    assert metadata.license_expression == "MIT"
    assert metadata.description_content_type == "text/markdown"
    description = (ROOT / "docs" / "package.md").read_text()
    assert (metadata.description or "").strip() == description.strip()
    assert {"Framework :: Flask", "Typing :: Typed"} <= set(metadata.classifiers or ())
