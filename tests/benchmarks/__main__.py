"""The command: run all benchmarks or the named ones, and print a Markdown table."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import click

from . import (
    batch,
    busy,
    disk,
    listing,
    memory,
    page,
    paths,
    postgres,
    questions,
    record,
    single,
    size,
    start,
    trace,
    transfer,
)
from .figures import Figure, Run

BENCHMARKS: dict[str, Callable[[Run], Iterator[Figure]]] = {
    "record": record.measure,
    "listing": listing.measure,
    "memory": memory.measure,
    "trace": trace.measure,
    "start": start.measure,
    "batch": batch.measure,
    "single": single.measure,
    "transfer": transfer.measure,
    "page": page.measure,
    "paths": paths.measure,
    "questions": questions.measure,
    "busy": busy.measure,
    "size": size.measure,
    "disk": disk.measure,
    "postgres": postgres.measure,
}


@click.command()
@click.argument("names", nargs=-1, type=click.Choice(list(BENCHMARKS)))
@click.option(
    "--rounds",
    default=5,
    show_default=True,
    type=click.IntRange(1),
    help="Measurements of each value.",
)
@click.option(
    "--seconds",
    default=3,
    show_default=True,
    type=click.IntRange(1),
    help="Duration of each load.",
)
@click.option(
    "--events",
    default=1_000_000,
    show_default=True,
    type=click.IntRange(100_000),
    help="Events in a full database.",
)
def main(names: tuple[str, ...], rounds: int, seconds: int, events: int) -> None:
    """Measure bytelog, and other programs for comparison, on this machine."""
    _require("wrk", "sqlite3", "curl")
    # A plain SIGTERM would leave the servers running.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    # /tmp may be in memory, where an fsync costs nothing.
    with TemporaryDirectory(dir=os.environ.get("TMPDIR", "/var/tmp"), prefix="bytelog-") as folder:
        run = Run(Path(folder), rounds, seconds, events)
        click.echo("| figure | measured as | measured (median) | target |")
        click.echo("| --- | --- | --- | --- |")
        for name in names or BENCHMARKS:
            for figure in BENCHMARKS[name](run):
                click.echo(figure.row())


def _require(*programs: str) -> None:
    for program in programs:
        if not shutil.which(program):
            raise click.ClickException(f"install {program}: apt-get install {program}")


if __name__ == "__main__":
    main(prog_name="python -m tests.benchmarks")
