from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "bytelog"
FILES = ("cli/follow.py", "cli/followers.py")
LINES = {
    "__init__.py": ("from .follow import lag\n", "    lag.init_app(app)\n"),
    "cli/commands.py": (
        "from .follow import follow\n",
        "from .followers import followers_group\n",
        "    follow,\n",
        "    followers_group,\n",
    ),
}


def test_bytelog_works_without_followers(tmp_path: Path) -> None:
    package = tmp_path / "bytelog"
    shutil.copytree(PACKAGE, package, ignore=shutil.ignore_patterns("__pycache__", "follow"))
    for name in FILES:
        (package / name).unlink()
    for name, lines in LINES.items():
        text = (package / name).read_text()
        for line in lines:
            assert text.count(line) == 1
            text = text.replace(line, "")
        (package / name).write_text(text)
    start = "import bytelog; bytelog.create_app({'BYTELOG_METRICS_KEY': 'm'})"
    script = f"{start}; print(bytelog.__file__)"
    output = subprocess.check_output([sys.executable, "-c", script], cwd=tmp_path, text=True)
    assert output == f"{package / '__init__.py'}\n"
