from __future__ import annotations

from collections.abc import Iterator

import click
import pytest

from bytelog.__main__ import bytelog


def commands(group: click.Group, name: str) -> Iterator[tuple[str, click.Command]]:
    yield name, group
    for command in group.commands.values():
        path = f"{name} {command.name}"
        if isinstance(command, click.Group):
            yield from commands(command, path)
        else:
            yield path, command


@pytest.mark.parametrize(("name", "command"), list(commands(bytelog, "bytelog")))
def test_a_help_text_fits_a_terminal_of_80_columns(name: str, command: click.Command) -> None:
    context = click.Context(command, info_name=name, terminal_width=80)
    usage, _, lines = command.get_help(context).partition("\n")
    assert max(map(len, lines.splitlines())) <= 80
    assert "..." not in lines
    assert len(usage) <= 80
