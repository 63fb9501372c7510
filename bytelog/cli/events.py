"""`bytelog export` and `bytelog import`."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any

import click
from flask import Flask

from ..auth import projects
from ..config import MAX_TEXT_LENGTH
from ..events import store
from ..maintenance import import_lines
from ..maintenance.imports import Import, ImportInProgress, InvalidLine, replacement
from ..queries.formats import CSV, LINES
from ..queries.selection import Selection
from .options import Date, name, progress, with_service

FORMATS = {"ndjson": LINES, "csv": CSV}


def text(context: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    """Check a text that an event can have; it need not be printable."""
    try:
        fits = value is None or (1 <= len(value) <= MAX_TEXT_LENGTH and value.encode())
    except UnicodeEncodeError:
        fits = False
    if not fits:
        message = f"use 1 to {MAX_TEXT_LENGTH} characters, in UTF-8."
        raise click.BadParameter(message, context, parameter)
    return value


@click.command("export")
@click.argument("file", default="-", type=click.Path(dir_okay=False))
@click.option("--start", type=Date(), help="Only events from this day, or moment, on.")
@click.option("--end", type=Date(), help="Only events before this day, or moment.")
@click.option("--name", callback=text, help="Only events with this name.")
@click.option("--trace-id", callback=text, help="Only events of this trace.")
@click.option(
    "--project", default="default", show_default=True, callback=name, help="Whose events."
)
@click.option(
    "--format",
    "form",
    type=click.Choice(list(FORMATS)),
    default="ndjson",
    show_default=True,
    help="How they are written.",
)
@with_service
def export_events(_: Flask, /, file: str, project: str, form: str, **wanted: Any) -> None:
    """Write events to FILE in the order of their dates.

    Without FILE, or for `-`, they go to standard output. A FILE that is there is replaced once all
    events are written, and left alone if that fails.
    """
    chosen = FORMATS[form]
    try:
        listing = store.select(Selection(projects.find(project), **wanted), chosen)
        with _target(file) as target, progress(listing.count, "Exporting") as bar:
            for part in chosen.write(listing.count, listing.pages):
                target.write(part)
                bar.update(part.count(b"\n"))
    except projects.UnknownProject as error:
        raise click.ClickException(str(error)) from error
    except KeyboardInterrupt as interrupt:
        raise click.ClickException("interrupted; the export is not complete.") from interrupt
    click.echo(f"Exported {listing.count} events.", err=True)


@click.command("import")
@click.argument("file", default="-", type=click.Path(exists=True, dir_okay=False, allow_dash=True))
@click.option(
    "--project", default="default", show_default=True, callback=name, help="Whose they become."
)
@click.option(
    "--from",
    "source",
    type=click.Choice(import_lines.FORMATS),
    default=import_lines.OWN,
    show_default=True,
    help="Which system wrote FILE.",
)
@with_service
def import_events(service: Flask, file: str, project: str, source: str) -> None:
    """Store the events in FILE: JSON lines, or CSV as `bytelog export` writes it.

    Without FILE, or for `-`, they come from standard input. After an interruption the same command
    goes on where it was, and a FILE that has grown adds what is new.
    """
    try:
        with _source(file, service.instance_path) as lines:
            done = _load(lines, project, source)
    except InvalidLine as error:
        raise click.ClickException(
            f"{error}\nThe lines before it are stored. Mend it, and run the same command again: "
            "it goes on there."
        ) from error
    except ImportInProgress as error:
        raise click.ClickException(
            f"{error}. Run the same command again when that one has ended: it goes on where it was."
        ) from error
    except KeyboardInterrupt as interrupt:
        raise click.ClickException(
            "interrupted. Run the same command again: it goes on where it was."
        ) from interrupt
    known = f"; the first {done.known} bytes were imported before" if done.known else ""
    click.echo(f"Imported {done.events} events into {project}{known}.")


def _load(lines: IO[bytes], project: str, source: str) -> Import:
    load = Import(lines, project, source)
    with progress(os.fstat(lines.fileno()).st_size, "Importing") as bar:
        for position in load.batches():
            bar.update(position - bar.pos)
    return load


@contextmanager
def _target(file: str) -> Iterator[IO[bytes]]:
    path = Path(file)
    if file == "-":
        yield sys.stdout.buffer
    elif path.exists() and not path.is_file():  # a pipe or a device
        with path.open("wb") as target:
            yield target
    else:
        with replacement(path.resolve()) as target:
            yield target


@contextmanager
def _source(file: str, folder: str) -> Iterator[IO[bytes]]:
    """Open what is read, and what can be read only once as a copy in a folder."""
    with click.open_file(file, "rb") as given:
        if file != "-" and given.seekable():
            yield given
            return
        with TemporaryFile(dir=folder) as copy:
            shutil.copyfileobj(given, copy)
            copy.seek(0)
            yield copy
