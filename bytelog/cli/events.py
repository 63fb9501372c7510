"""`bytelog export` and `bytelog import`."""

from __future__ import annotations

import gzip
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, cast
from zoneinfo import ZoneInfo

import click
from flask import Flask

from ..auth import projects
from ..config import MAX_TEXT_LENGTH
from ..events import store
from ..maintenance import import_lines, snapshots
from ..maintenance.imports import DAMAGE, Import, ImportInProgress, InvalidLine
from ..maintenance.replacement import follow_links, open_replacement
from ..queries.formats import CSV, CSV_WITH_MARK, LINES, Format
from ..queries.listing import Listing
from ..queries.selection import Selection, equal
from ..storage.database import backend_of, db
from .options import (
    Date,
    interrupted_by_signals,
    progress,
    project_option,
    resumable,
    with_existing_database,
    with_service,
)

FORMATS = {"ndjson": LINES, "csv": CSV}

_GZIP = b"\x1f\x8b"  # how a gzip file begins (RFC 1952 section 2.3.1)


def check_text(context: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    """Return a text that an event may have, printable or not, or fail with the rule."""
    try:
        fits = value is None or (1 <= len(value) <= MAX_TEXT_LENGTH and value.encode())
    except UnicodeEncodeError:
        fits = False
    if not fits:
        message = f"use 1 to {MAX_TEXT_LENGTH} characters, in UTF-8."
        raise click.BadParameter(message, context, parameter)
    return value


def check_time_zone(
    context: click.Context, parameter: click.Parameter, value: str | None
) -> ZoneInfo | None:
    """Return the time zone with an IANA name, or fail with the rule."""
    try:
        return None if value is None else ZoneInfo(value)
    except (KeyError, ValueError, OSError) as error:
        raise click.BadParameter(
            f"{value!r} is not a known time zone: use an IANA name such as Europe/Berlin. If this "
            "system has no time zones, install the package tzdata.",
            context,
            parameter,
        ) from error


@click.command("export")
@click.argument("file", default="-", type=click.Path(dir_okay=False))
@click.option("--start", type=Date(), help="Only events at or after this day or time.")
@click.option("--end", type=Date(), help="Only events before this day or time.")
@click.option("--name", callback=check_text, help="Only events with this name.")
@click.option("--trace-id", callback=check_text, help="Only events of this trace.")
@project_option("Project to export from.")
@click.option(
    "--format",
    "format_name",
    type=click.Choice(list(FORMATS)),
    default="ndjson",
    show_default=True,
    help="Format to write.",
)
@click.option("--bom", "has_mark", is_flag=True, help="Start CSV with a byte order mark for Excel.")
@with_existing_database
def export_events(
    _: Flask,
    /,
    file: str,
    project: str,
    format_name: str,
    has_mark: bool,
    start: datetime | None,
    end: datetime | None,
    **filters: str | None,
) -> None:
    """Write events to FILE, ordered by date.

    Without FILE, or with `-`, they go to standard output. An existing FILE is replaced once all
    events are written. If that fails, it is left unchanged.
    """
    if has_mark and format_name != "csv":
        raise click.UsageError("--bom is only for --format csv.")
    format_ = CSV_WITH_MARK if has_mark else FORMATS[format_name]
    by_value = tuple(equal(name, value) for name, value in filters.items() if value is not None)
    try:
        listing = store.select(Selection(projects.find(project), start, end, by_value), format_)
        _export(listing, format_, file)
    except projects.UnknownProject as error:
        raise click.ClickException(str(error)) from error
    except KeyboardInterrupt as interrupt:
        raise click.ClickException("interrupted; the export is not complete.") from interrupt
    click.echo(f"Exported {listing.count} events.", err=True)


def _export(listing: Listing, format_: Format, file: str) -> None:
    with (
        interrupted_by_signals(),
        _open_target(file) as target,
        progress(listing.count, "Exporting") as bar,
    ):
        for chunk in format_.write(listing.count, listing.pages):
            target.write(chunk)
            bar.update(chunk.count(b"\n"))


@click.command("import")
@click.argument("file", default="-", type=click.Path(exists=True, dir_okay=False, allow_dash=True))
@project_option("Project to import into.")
@click.option(
    "--from",
    "source",
    type=click.Choice(import_lines.FORMATS),
    default=import_lines.OWN,
    show_default=True,
    help="System that wrote FILE.",
)
@click.option(
    "--time-zone",
    callback=check_time_zone,
    help="Time zone of a Mixpanel project, such as Europe/Berlin. [default: UTC]",
)
@click.option(
    "--skip-invalid",
    "set_aside",
    metavar="FILE",
    type=click.Path(dir_okay=False, writable=True, path_type=Path),
    help="Append invalid lines to this FILE, with number and reason, and continue.",
)
@with_service
def import_events(
    service: Flask,
    file: str,
    project: str,
    source: str,
    time_zone: ZoneInfo | None,
    set_aside: Path | None,
) -> None:
    """Store the events in FILE: JSON Lines, or CSV.

    CSV is read as `bytelog export` writes it. Without FILE, or with `-`, they come from standard
    input. After an interruption the same command continues where it stopped. If FILE has grown, it
    imports the new events. FILE may be compressed with gzip.
    """
    if time_zone and source != "mixpanel":
        raise click.UsageError("--time-zone is only for --from mixpanel: other dates name theirs.")
    if set_aside:
        _check_not_live(set_aside)
    if set_aside and set_aside.exists() and file != "-" and set_aside.samefile(file):
        raise click.UsageError("--skip-invalid must name another file than the one to import.")
    with _explain_failures(), resumable(), _open_source(file, service.instance_path) as lines:
        load = Import(lines, project, source, time_zone=time_zone, set_aside=set_aside)
        _run(load, lines)
    skipped = (
        f"; the first {load.skipped_bytes} bytes were imported before" if load.skipped_bytes else ""
    )
    click.echo(f"Imported {load.events} events into {project}{skipped}.")
    if load.invalid:
        click.echo(f"Set {load.invalid} invalid lines aside in {set_aside}.", err=True)


@contextmanager
def _explain_failures() -> Iterator[None]:
    try:
        yield
    except InvalidLine as error:
        raise click.ClickException(
            f"{error}\nThe lines before it are stored. Fix the line and run the same command "
            "again: it continues there. To continue without invalid lines, use --skip-invalid FILE."
        ) from error
    except DAMAGE as error:
        raise click.ClickException(
            f"the gzip file is damaged or incomplete: {error}.\nThe lines before the damage are "
            "stored. Run the same command with a complete file: it continues there."
        ) from error
    except ImportInProgress as error:
        raise click.ClickException(
            f"{error}. Run the same command again when that import has ended."
        ) from error


def _run(load: Import, lines: IO[bytes]) -> None:
    with progress(os.fstat(lines.fileno()).st_size, "Importing") as bar:
        for position in load.batches():
            compressed = lines.fileobj if isinstance(lines, gzip.GzipFile) else None
            bar.update((compressed.tell() if compressed else position) - bar.pos)


@contextmanager
def _open_target(file: str) -> Iterator[IO[bytes]]:
    path = Path(file)
    if file == "-":
        yield sys.stdout.buffer
    elif path.exists() and not path.is_file():  # a pipe or a device
        with path.open("wb") as target:
            yield target
    else:
        _check_not_live(path)
        with open_replacement(follow_links(path)) as target:
            yield target


def _check_not_live(path: Path) -> None:
    backend = backend_of(db.engine)
    if not backend.is_server:
        snapshots.check_target(backend.file(), follow_links(path))


@contextmanager
def _open_source(file: str, folder: str) -> Iterator[IO[bytes]]:
    """Open the file, or a copy of it in `folder` if it can be read only once."""
    with click.open_file(file, "rb") as source:
        if file != "-" and source.seekable():
            yield _decompress(source)
            return
        with TemporaryFile(dir=folder) as copy:
            shutil.copyfileobj(source, copy)
            copy.seek(0)
            yield _decompress(copy)


def _decompress(file: IO[bytes]) -> IO[bytes]:
    """Return the content of a gzip file, and any other file as it is."""
    is_gzip = file.read(len(_GZIP)) == _GZIP
    file.seek(0)
    return cast(IO[bytes], gzip.GzipFile(fileobj=file)) if is_gzip else file
