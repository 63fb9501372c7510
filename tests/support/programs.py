"""Programs that tests run, and the Debian packages that contain them.

Run as a script, this module prints the missing packages.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sysconfig
from pathlib import Path

PACKAGES = {
    "caddy": "caddy",
    "chromium": "chromium",
    "chromium-headless-shell": "chromium-headless-shell",
    "curl": "curl",
    "etcd": "etcd-server",
    "gcc": "gcc libc6-dev",
    "git": "git",
    "initdb": "postgresql",
    "libpython": "libpython3-dev",
    "nginx": "nginx-light",
    "node": "nodejs",
    "npm": "npm",
    "openssl": "openssl",
    "prometheus": "prometheus",
    "promtool": "prometheus",
    "ruby": "ruby",
    "strace": "strace",
    "strip": "binutils",
    "systemd-analyze": "systemd",
    "zsh": "zsh",
}
# Folders of administrators' programs and of PostgreSQL, which may be missing from PATH.
FOLDERS = ["/usr/sbin", *map(str, sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True))]
IS_CI = os.environ.get("CI") == "true"


def find(name: str) -> str | None:
    """Return the path of a program, or None if it is not installed."""
    return shutil.which(name, path=os.pathsep.join([os.environ.get("PATH", ""), *FOLDERS]))


def is_installed(name: str) -> bool:
    """Return whether a program, Python's shared library or root access is available."""
    if name == "libpython":
        library = f"{sysconfig.get_config_var('LIBDIR')}/{sysconfig.get_config_var('INSTSONAME')}"
        return Path(library).exists()
    if name == "root":
        return os.geteuid() == 0 or subprocess.call(["sudo", "-n", "true"]) == 0
    return find(name) is not None


def require(*names: str) -> None:
    """Skip the test if a program is missing, or fail it in continuous integration."""
    import pytest

    for name in names:
        if not is_installed(name):
            (pytest.fail if IS_CI else pytest.skip)(f"{name} is missing")


def main() -> None:
    """Print the Debian packages of all programs that are missing."""
    print(*(package for name, package in PACKAGES.items() if not is_installed(name)))


if __name__ == "__main__":
    main()
