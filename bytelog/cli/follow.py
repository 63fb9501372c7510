"""`bytelog follow`."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Mapping
from functools import partial
from threading import Event
from typing import Any

import click
from flask import Flask

from ..api.parameters import TracedParameters
from ..follow.follower import Follower
from ..follow.progress import Progress
from ..follow.target import CommandTarget, OutputTarget, Stopped, Target
from ..maintenance import arrivals
from ..queries.selection import CursorGone
from ..server.server import set_up_logging
from .options import check_name, project_option, with_existing_database
from .parameters import load, parameters_argument
from .terminal import is_output_closed, write_safely


def check_optional_name(
    context: click.Context, parameter: click.Parameter, value: str | None
) -> str | None:
    """Return a name that people can read in a table, or fail with the rule."""
    return None if value is None else check_name(context, parameter, value)


@click.command()
@parameters_argument
@project_option("Project to read.")
@click.option(
    "--as",
    "name",
    metavar="NAME",
    callback=check_optional_name,
    help="Keep the position under this name, and continue there after a restart.",
)
@click.option("--from-start", is_flag=True, help="Begin with the first event, not with the next.")
@click.option("--exec", "command", metavar="COMMAND", help="Shell command to run for each event.")
@with_existing_database
def follow(
    _: Flask,
    parameters: Mapping[str, list[str]],
    project: str,
    name: str | None,
    from_start: bool,
    command: str | None,
) -> None:
    """Pass on each event that arrives, in order of arrival.

    Each event is a line of JSON on standard output, or on the standard input of a command. If the
    command fails, it is run again until it succeeds. The filters are those of `GET
    /api/v1/events`. Ctrl-C and SIGTERM end the command after the current event.
    """
    set_up_logging()
    selection = load(TracedParameters(), parameters, project)
    target: Target = CommandTarget(command) if command else OutputTarget(write_safely)
    try:
        progress = Progress(selection.project_id, name, parameters) if name else None
        position = arrivals.BEGINNING if from_start else arrivals.find_end(selection)
        position = progress.claim(position) if progress else position
        closed = bool if command else is_output_closed
        Follower(selection, position, target, progress, _stop_on_signals(), closed).run()
    except CursorGone as error:
        raise click.ClickException(
            f"the event at the position of {name} was lost when a backup was restored. Choose "
            "another name with --as."
        ) from error
    except Stopped as error:
        raise click.ClickException(str(error)) from error
    except BrokenPipeError:
        # Python would report the failure again when it flushes standard output at its exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _stop_on_signals() -> Event:
    """Return an event that the first Ctrl-C, SIGTERM or SIGHUP sets; the second ends at once."""
    stopping = Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        original = signal.getsignal(number)
        # A signal that is ignored, as SIGHUP is under nohup, stays ignored.
        if original is not signal.SIG_IGN:
            signal.signal(number, partial(_stop, stopping, original))
    return stopping


def _stop(stopping: Event, original: Any, number: int, _: object) -> None:
    signal.signal(number, original)
    stopping.set()
