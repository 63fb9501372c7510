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

from ..follow.follower import Follower
from ..follow.progress import Progress
from ..follow.registry import PARAMETERS
from ..follow.target import CommandTarget, OutputTarget, Stopped, Target
from ..follow.webhook import InvalidTarget, WebhookTarget
from ..maintenance import arrivals
from ..queries.selection import CursorGone
from ..server.server import set_up_logging
from .options import check_name, project_option, with_existing_database
from .parameters import load, parameters_argument
from .terminal import is_output_closed, write_safely


class FollowerStopped(click.ClickException):
    """Starting again would not help, so the systemd unit does not."""

    exit_code = 3


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
@click.option("--post", "url", metavar="URL", help="Send each event to this URL, as a webhook.")
@click.option("--allow-private", is_flag=True, help="Permit --post to private addresses, and http.")
@with_existing_database
def follow(
    service: Flask,
    parameters: Mapping[str, list[str]],
    project: str,
    name: str | None,
    from_start: bool,
    command: str | None,
    url: str | None,
    allow_private: bool,
) -> None:
    """Pass on each event that arrives, in order of arrival.

    Each event is a line of JSON on standard output, or on the standard input of a command, or the
    body of a webhook. What fails is repeated until it succeeds. The filters are those of `GET
    /api/v1/events`. Ctrl-C and SIGTERM end the command after the current event.
    """
    set_up_logging()
    selection = load(PARAMETERS, parameters, project)
    if url and (command or not name):
        raise click.UsageError("--post needs a name with --as, and excludes --exec.")
    secret = service.config["BYTELOG_WEBHOOK_SECRET"]
    target = _choose_target(command, url, secret, allow_private=allow_private)
    try:
        progress = Progress(selection.project_id, name, parameters) if name else None
        position = arrivals.BEGINNING if from_start else arrivals.find_end(selection)
        position = progress.claim(position) if progress else position
        closed = is_output_closed if isinstance(target, OutputTarget) else bool
        Follower(selection, position, target, progress, _stop_on_signals(), closed).run()
    except CursorGone as error:
        raise click.ClickException(
            f"the event at the position of {name} was lost when a backup was restored. Choose "
            "another name with --as."
        ) from error
    except Stopped as error:
        raise FollowerStopped(str(error)) from error
    except BrokenPipeError:
        # Python would report the failure again when it flushes standard output at its exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _choose_target(
    command: str | None, url: str | None, secret: str | None, *, allow_private: bool
) -> Target:
    if command:
        return CommandTarget(command)
    if url is None:
        return OutputTarget(write_safely)
    if secret is None:
        raise click.ClickException(
            "--post needs a secret to sign with, in BYTELOG_WEBHOOK_SECRET or in the file that "
            "BYTELOG_WEBHOOK_SECRET_FILE names."
        )
    try:
        return WebhookTarget(url, secret, allows_private=allow_private)
    except InvalidTarget as error:
        raise click.ClickException(str(error)) from error


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
