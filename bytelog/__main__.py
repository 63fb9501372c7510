"""The `bytelog` command."""

from __future__ import annotations

import sys

import click
from flask.cli import ScriptInfo

from . import cli, create_app
from .db import StorageError, UnusableDatabase


@click.group()
@click.version_option(package_name="bytelog")
def bytelog() -> None:
    """Record business events and read them back."""


bytelog.add_command(cli.serve)
bytelog.add_command(cli.keys_group)


def main() -> None:
    """Run the command; what the operator can mend ends in one sentence."""
    try:
        bytelog(obj=ScriptInfo(create_app=create_app))
    except (UnusableDatabase, StorageError, OSError) as error:
        sys.exit(f"bytelog: {error}")


if __name__ == "__main__":
    main()
