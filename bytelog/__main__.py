"""The `bytelog` command."""

from __future__ import annotations

import click
from flask.cli import ScriptInfo

from . import create_app
from .cli.commands import COMMANDS


@click.group()
@click.version_option(package_name="bytelog")
def bytelog() -> None:
    """Record business events and read them back."""


for command in COMMANDS:
    bytelog.add_command(command)


def main() -> None:
    """Run the command."""
    bytelog(obj=ScriptInfo(create_app=create_app))


if __name__ == "__main__":
    main()
