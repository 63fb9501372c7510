"""The arguments of commands that read events: the parameters of the API, a project, a format."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import click
from marshmallow import Schema

from ..api.parameters import InvalidParameters, load_selection
from ..auth import projects
from ..auth.keys import grant_all
from ..queries.formats import CSV, LINES
from ..queries.selection import CursorGone, Selection

TABLE = "table"

FORMATS = {TABLE: LINES, "ndjson": LINES, "csv": CSV}
"""The format in which events are read for each format of output."""

_PARAMETER = re.compile(r'((?:[^="]|"[^"]*")+)=(.*)', re.DOTALL)


def split_parameters(
    _: click.Context, __: click.Parameter, arguments: Sequence[str]
) -> dict[str, list[str]]:
    """Return the values of each parameter from arguments such as `name=click`."""
    query: dict[str, list[str]] = {}
    for argument in arguments:
        match = _PARAMETER.fullmatch(argument)
        if match is None:
            raise click.UsageError(f"{argument!r} is not PARAMETER=VALUE, such as name=click.")
        try:
            argument.encode()
        except UnicodeEncodeError as error:
            raise click.UsageError(f"{argument!r} is not UTF-8.") from error
        query.setdefault(match[1], []).append(match[2])
    return query


parameters_argument = click.argument(
    "parameters", nargs=-1, metavar="[PARAMETER=VALUE]...", callback=split_parameters
)


def choose_format(_: click.Context, __: click.Parameter, name: str | None) -> str:
    """Return the format that is given, or the one that suits standard output."""
    return name or (TABLE if sys.stdout.isatty() else "ndjson")


format_option = click.option(
    "--format",
    "format_name",
    type=click.Choice([*FORMATS]),
    callback=choose_format,
    help="Format to write. [default: table on a terminal, ndjson otherwise]",
)


def load(schema: Schema, query: Mapping[str, list[str]], project: str) -> Selection:
    """Return the selection that parameters describe; raises click's errors, naming each bad one."""
    with explain_parameters():
        return load_selection(schema, query, grant_all(projects.find(project)))


@contextmanager
def explain_parameters() -> Iterator[None]:
    """Raise click's errors for an unknown project and for invalid parameters, naming each."""
    try:
        yield
    except projects.UnknownProject as error:
        raise click.ClickException(str(error)) from error
    except InvalidParameters as error:
        problems = error.messages_dict.items()
        named = [(f"{name}: " if name != "*" else "", texts) for name, texts in problems]
        lines = [prefix + text for prefix, texts in named for text in texts]
        raise click.UsageError("\n".join(lines)) from error


@contextmanager
def explain_lost_cursor() -> Iterator[None]:
    """Explain how to continue if the event of a cursor is lost."""
    try:
        yield
    except CursorGone as error:
        raise click.ClickException(
            "the event of this cursor was lost when a backup was restored. Start again without "
            "the cursor."
        ) from error
