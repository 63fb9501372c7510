"""`bytelog follow`."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from threading import Event
from typing import Any

import click
from flask import Flask, current_app

from ..follow.follower import Follower
from ..follow.overdue import Expectation
from ..follow.progress import Progress
from ..follow.registry import PARAMETERS
from ..follow.target import CommandTarget, OutputTarget, Stopped, Target
from ..follow.webhook import InvalidTarget, WebhookTarget
from ..maintenance import arrivals
from ..queries.selection import CursorGone, Selection
from ..server.server import set_up_logging
from .options import Duration, check_name, project_option, with_existing_database
from .parameters import load, parameters_argument
from .terminal import discard_output, is_output_closed, write_safely


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
@click.option(
    "--after", "origin", metavar="NAME", help="Pass on events of this name that are overdue."
)
@click.option("--missing", "awaited", metavar="NAME", help="Name of the event that must follow it.")
@click.option("--within", "seconds", type=Duration(), help="Time for that, such as 90s, 10m or 2h.")
@with_existing_database
def follow(
    _: Flask,
    /,
    parameters: dict[str, list[str]],
    project: str,
    name: str | None,
    from_start: bool,
    origin: str | None,
    awaited: str | None,
    seconds: int | None,
    **destination: Any,
) -> None:
    """Pass on each event that arrives, in order of arrival.

    Each event is a line of JSON on standard output, or on the standard input of a command, or the
    body of a webhook. A failed delivery is repeated until it succeeds. The filters are those of
    `GET /api/v1/events`. Ctrl-C and SIGTERM end the command after the current event.

    With --after, --missing and --within, an event is passed on when the other one has not followed
    it in its trace within the time, once for each trace.
    """
    set_up_logging()
    if origin is not None:
        parameters = _add_name(parameters, origin)
    selection = load(PARAMETERS, parameters, project)
    expectation = _expect(selection, origin, awaited, seconds)
    target = _choose_target(name, is_overdue=expectation is not None, **destination)
    with _explain_end():
        progress = Progress(selection.project_id, name, parameters) if name else None
        position = arrivals.BEGINNING if from_start else arrivals.find_end(selection)
        position = progress.claim(position) if progress else position
        is_closed = is_output_closed if isinstance(target, OutputTarget) else bool
        stopping = _stop_on_signals()
        Follower(selection, position, target, progress, stopping, is_closed, expectation).run()


def _add_name(parameters: dict[str, list[str]], origin: str) -> dict[str, list[str]]:
    if "name" in parameters:
        raise click.UsageError("--after is the name of the events; leave out name=.")
    return {**parameters, "name": [origin]}


def _expect(
    selection: Selection, origin: str | None, awaited: str | None, seconds: int | None
) -> Expectation | None:
    options = (origin, awaited, seconds)
    if options == (None, None, None):
        return None
    if awaited is None or seconds is None or origin is None:
        raise click.UsageError("--after, --missing and --within need one another.")
    return Expectation(selection, awaited, seconds)


def _choose_target(
    name: str | None,
    command: str | None,
    url: str | None,
    *,
    allow_private: bool,
    is_overdue: bool,
) -> Target:
    if url is None:
        return CommandTarget(command) if command else OutputTarget(write_safely)
    if command or not name:
        raise click.UsageError("--post needs a name with --as, and excludes --exec.")
    secret = current_app.config["BYTELOG_WEBHOOK_SECRET"]
    if secret is None:
        raise click.ClickException(
            "--post needs a secret to sign with, in BYTELOG_WEBHOOK_SECRET or in the file that "
            "BYTELOG_WEBHOOK_SECRET_FILE names."
        )
    try:
        suffix = ".overdue" if is_overdue else ""
        return WebhookTarget(url, secret, suffix, allows_private=allow_private)
    except InvalidTarget as error:
        raise click.ClickException(str(error)) from error


@contextmanager
def _explain_end() -> Iterator[None]:
    """Explain why a follower ends, except at a signal or when its output is closed."""
    try:
        yield
    except CursorGone as error:
        raise click.ClickException(
            "the event at this position was lost when a backup was restored. Start the follower "
            "again."
        ) from error
    except Stopped as error:
        raise FollowerStopped(str(error)) from error
    except BrokenPipeError:
        discard_output()


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
