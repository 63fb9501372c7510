"""Option types, the progress bar and the application context of the commands."""

from __future__ import annotations

import os
import re
import signal
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from datetime import datetime
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Concatenate, ParamSpec, TypeVar

import click
from flask import Flask, has_app_context
from flask.cli import ScriptInfo
from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from .. import timestamps
from ..config import MAX_TEXT_LENGTH, MAX_WITHIN_SECONDS, SetupError
from ..maintenance.snapshots import open_file
from ..migrations.upgrade import revision_of
from ..settings.loading import load
from ..settings.sources import data_folder, list_sources
from ..storage.database import backend_of, connect
from ..storage.errors import StorageError
from ..storage.reserve import release_if_unused
from ..storage.sqlite_connection import is_in_memory

if TYPE_CHECKING:
    from click._termui_impl import ProgressBar

_DURATION = re.compile("([0-9]{1,9})([smhd])")
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}

P = ParamSpec("P")
R = TypeVar("R")


class Date(click.ParamType[datetime]):
    """A date in any form that the API accepts."""

    name = "date"

    def convert(
        self, value: str, param: click.Parameter | None, ctx: click.Context | None
    ) -> datetime:
        """Return the time, or fail with an example of a date."""
        try:
            return timestamps.parse(value)
        except ValueError as error:
            self.fail(f"{value!r}: {error}.", param, ctx)


class Duration(click.ParamType[int]):
    """A number of seconds, minutes, hours or days, such as 10m; in seconds."""

    name = "duration"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the seconds, or fail with an example of a duration."""
        match = _DURATION.fullmatch(value)
        seconds = int(match[1]) * _UNITS[match[2]] if match else 0
        if not 1 <= seconds <= MAX_WITHIN_SECONDS:
            self.fail(f"{value!r} is not a time of ten years at most, such as 10m.", param, ctx)
        return seconds


def check_name(context: click.Context, parameter: click.Parameter, value: str) -> str:
    """Return a name that people can read in a table, or fail with the rule."""
    if not 1 <= len(value) <= MAX_TEXT_LENGTH or not value.isprintable():
        raise click.BadParameter(
            f"use 1 to {MAX_TEXT_LENGTH} printable characters.", context, parameter
        )
    return value


def project_option(text: str) -> Callable[[Callable[..., R]], Callable[..., R]]:
    """Return the option `--project` with a help text."""
    return click.option(
        "--project", default="default", show_default=True, callback=check_name, help=text
    )


json_option = click.option(
    "--json", "as_json", is_flag=True, help="Write one JSON object instead of text."
)


def progress(length: int, label: str) -> AbstractContextManager[ProgressBar[int]]:
    """Return a progress bar, hidden unless on a terminal; `update` counts up to `length`."""
    hidden = not sys.stderr.isatty()
    return click.progressbar(length=length, label=label, file=sys.stderr, hidden=hidden)


def advance(steps: Iterable[int], length: int, label: str) -> int:
    """Take steps that each yield what they have handled, with a progress bar; return the sum."""
    with progress(length, label) as bar:
        for count in steps:
            bar.update(count)
        return bar.pos


@contextmanager
def resumable() -> Iterator[None]:
    """Explain after a Ctrl-C in the block that the same command continues there."""
    try:
        yield
    except KeyboardInterrupt as interrupt:
        raise click.ClickException(
            "interrupted. Run the same command again: it continues where it stopped."
        ) from interrupt


@contextmanager
def interrupted_by_signals() -> Iterator[None]:
    """Let SIGTERM and SIGHUP end the block as Ctrl-C does, so that it removes partial files."""
    # A signal that is ignored, as SIGHUP is under nohup, stays ignored.
    numbers = [
        number
        for number in (signal.SIGTERM, signal.SIGHUP)
        if signal.getsignal(number) is signal.SIG_DFL
    ]
    for number in numbers:
        signal.signal(number, signal.default_int_handler)
    try:
        yield
    finally:
        for number in numbers:
            signal.signal(number, signal.SIG_DFL)


def with_service(command: Callable[Concatenate[Flask, P], R]) -> Callable[P, R]:
    """Run a command in the context of bytelog's application, its first argument."""

    @click.pass_context
    @wraps(command)
    def invoke(context: click.Context, /, *args: P.args, **kwargs: P.kwargs) -> R:
        try:
            service: Flask = context.ensure_object(ScriptInfo).load_app().extensions["bytelog"]
            with service.app_context():
                return command(service, *args, **kwargs)
        except BrokenPipeError:  # The reader closed the output: click exits without a message.
            raise
        except (SetupError, StorageError, OSError) as error:
            raise click.ClickException(str(error)) from error

    return invoke


def with_existing_database(command: Callable[Concatenate[Flask, P], R]) -> Callable[P, R]:
    """Run a command like `with_service`, but only if that does not create a database."""
    run = with_service(command)

    @wraps(run)
    def invoke(*args: P.args, **kwargs: P.kwargs) -> R:
        # As `flask NAME`, the command belongs to an application, whose database exists.
        if not has_app_context() and (missing := _find_missing_database()):
            raise click.ClickException(
                f"there is no database at {missing}. Name that of the server with BYTELOG_DATA or "
                "BYTELOG_DATABASE_URL."
            )
        return run(*args, **kwargs)

    return invoke


def with_room(command: Callable[P, R]) -> Callable[P, R]:
    """Run a command that deletes, and make room first if the disk is too full to open a file."""

    @wraps(command)
    def invoke(*args: P.args, **kwargs: P.kwargs) -> R:
        if not has_app_context():
            with suppress(ArgumentError, SetupError, ValueError):  # `with_service` explains it.
                _make_room()
        return command(*args, **kwargs)

    return invoke


def _make_room() -> None:
    folder, url = _read_settings()
    if make_url(url).get_backend_name() == "sqlite":
        release_if_unused(os.path.realpath(folder / str(make_url(url).database)))


def _read_settings() -> tuple[Path, str]:
    """Return the data folder and the URL of the database."""
    folder = data_folder({}, None)
    settings = load(list_sources(folder, {}))
    return folder, settings["BYTELOG_DATABASE_URL"].value or "sqlite:///bytelog.db"


def _find_missing_database() -> str:
    """Return the location of the database that the settings name, "" if it exists."""
    try:
        folder, url = _read_settings()
        parsed = make_url(url)
        if parsed.get_backend_name() != "sqlite":
            return _find_missing_schema(url)
        file = folder / str(parsed.database)
        return "" if is_in_memory(parsed) or _has_schema(file) else str(file)
    except (ArgumentError, SetupError, StorageError, ValueError):  # `with_service` explains it.
        return ""


def _has_schema(file: Path) -> bool:
    if not file.exists():
        return False
    with open_file(file) as connection:
        return revision_of(connection) is not None


def _find_missing_schema(url: str) -> str:
    engine = connect(url, "BYTELOG_DATABASE_URL")
    backend = backend_of(engine)
    try:
        with backend.errors(), engine.connect() as connection:
            return "" if revision_of(connection) else backend.location()
    finally:
        engine.dispose()
