from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from support.programs import require

ROOT = Path(__file__).parents[2]
PYTHON_DISTRIBUTIONS = """
import sys
from flit_core import buildapi
buildapi.build_sdist(sys.argv[1])
buildapi.build_wheel(sys.argv[1])
"""


def git(folder: Path, *arguments: str) -> str:
    person = ["-c", "user.name=a", "-c", "user.email=a@b.example"]
    return subprocess.check_output(["git", *person, *arguments], cwd=folder, text=True)


def commit(folder: Path) -> Path:
    """Commit the files of the project, as they are now, in a repository of their own."""
    require("git")
    for name in git(ROOT, "ls-files", "-co", "--exclude-standard").splitlines():
        if (ROOT / name).exists():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    git(folder, "init", "-q")
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "All files")
    return folder


def release(folder: Path) -> subprocess.CompletedProcess[str]:
    command = folder / "deploy" / "release.sh"
    return subprocess.run([command], capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return commit(tmp_path_factory.mktemp("source"))


@pytest.fixture(scope="module")
def dist(executable: Path, source: Path) -> Path:
    """Return the folder of a release, built after the executable: builds share pip's cache."""
    done = release(source)
    assert done.returncode == 0, done.stderr
    return source / "dist"


def test_a_work_tree_with_changes_is_not_released(source: Path) -> None:
    change = source / "bytelog" / "change.py"
    change.touch()
    done = release(source)
    change.unlink()
    assert done.returncode == 1
    assert "The work tree has changes" in done.stderr
    assert not (source / "dist").exists()


def test_the_checksums_cover_every_file_of_a_release(dist: Path) -> None:
    subprocess.run(["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd=dist, check=True)
    summed = {line.split()[1] for line in (dist / "SHA256SUMS").read_text().splitlines()}
    assert summed == {path.name for path in dist.iterdir()} - {"SHA256SUMS"}
    assert {Path(name).suffix for name in summed} == {"", ".gz", ".txt", ".whl"}


def test_the_versions_of_the_packages_are_part_of_a_release(dist: Path) -> None:
    packages = (dist / "packages.txt").read_text()
    assert "\nFlask==" in f"\n{packages}"
    assert "\npyinstaller==" in packages
    assert "bytelog" not in packages


def test_two_builds_of_the_executable_have_the_same_bytes(dist: Path, executable: Path) -> None:
    assert (dist / "bytelog").read_bytes() == executable.read_bytes()


def test_two_builds_of_the_distributions_have_the_same_bytes(
    dist: Path, source: Path, tmp_path: Path
) -> None:
    date = git(source, "log", "-1", "--format=%ct").strip()
    other, built = tmp_path / "other", tmp_path / "built"
    subprocess.run(["git", "clone", "-q", source, other], check=True, umask=0o077)
    python = source / "build" / "release" / "build" / "venv" / "bin" / "python"
    command: list[str | Path] = [python, "-c", PYTHON_DISTRIBUTIONS, built]
    built.mkdir()
    environment = os.environ | {"SOURCE_DATE_EPOCH": date}
    subprocess.run(command, cwd=other, env=environment, check=True, umask=0o077)
    assert len(list(built.iterdir())) == 2
    for path in built.iterdir():
        assert path.read_bytes() == (dist / path.name).read_bytes()
