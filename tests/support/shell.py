"""Scripts that a shell runs within the namespaces of a test."""

from __future__ import annotations

import subprocess


def run_script(*command: str) -> str:
    """Run a command, whose last argument is a script, and return all that it prints."""
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, f"{command[-1]}\n{done.stdout}"
    return done.stdout
