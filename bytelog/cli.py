"""The commands: `bytelog NAME`, and `flask NAME` for the same."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import wraps
from typing import Concatenate, ParamSpec, TypeVar

import click
from flask import Flask
from flask.cli import ScriptInfo

from . import keys, timestamps
from .config import MAX_TEXT_LENGTH, READING_THREADS, SetupError
from .db import StorageError
from .serve import AccessLog, Server, set_up_logging

P = ParamSpec("P")
R = TypeVar("R")


class Date(click.ParamType[datetime]):
    """A date in any form that the API takes."""

    name = "date"

    def convert(
        self, value: str, param: click.Parameter | None, ctx: click.Context | None
    ) -> datetime:
        """Return the moment, or fail with what a date looks like."""
        try:
            return timestamps.parse(value)
        except ValueError as error:
            self.fail(f"{value!r}: {error}.", param, ctx)


def name(context: click.Context, parameter: click.Parameter, value: str) -> str:
    """Check a name that people will read in a table."""
    if not 1 <= len(value) <= MAX_TEXT_LENGTH or not value.isprintable():
        raise click.BadParameter(
            f"use 1 to {MAX_TEXT_LENGTH} printable characters.", context, parameter
        )
    return value


def init_app(app: Flask) -> None:
    """Add the commands to the application's `flask` command."""
    app.extensions["bytelog"] = app
    app.cli.add_command(serve)
    app.cli.add_command(keys_group)


def with_service(command: Callable[Concatenate[Flask, P], R]) -> Callable[P, R]:
    """Run a command in the context of bytelog's application, which it gets as first argument."""

    @click.pass_context
    @wraps(command)
    def invoke(context: click.Context, /, *args: P.args, **kwargs: P.kwargs) -> R:
        try:
            service: Flask = context.ensure_object(ScriptInfo).load_app().extensions["bytelog"]
            with service.app_context():
                return command(service, *args, **kwargs)
        except (SetupError, StorageError, OSError) as error:
            raise click.ClickException(str(error)) from error

    return invoke


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port",
    default=8000,
    show_default=True,
    type=click.IntRange(0, 65535),
    help="Port to listen on; 0 for any.",
)
@click.option(
    "--threads",
    default=READING_THREADS,
    show_default=True,
    type=click.IntRange(1, 1000),
    help="Long listings that are read out at the same time.",
)
@click.option("--access-log", is_flag=True, help="Log one line a request.")
@with_service
def serve(service: Flask, host: str, port: int, threads: int, access_log: bool) -> None:
    """Serve the API until Ctrl-C or SIGTERM."""
    set_up_logging()
    if access_log:
        service.wsgi_app = AccessLog(service.wsgi_app)  # type: ignore[method-assign]
    Server(service, host, port, threads).run()


@click.group("keys")
def keys_group() -> None:
    """Make, list and revoke API keys."""


@keys_group.command()
@click.argument("name", callback=name)
@click.option(
    "--project",
    default="default",
    show_default=True,
    callback=name,
    help="Whose events it opens.",
)
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    type=click.Choice(keys.SCOPES),
    default=keys.SCOPES,
    help="What it may do; both unless given.",
)
@click.option("--expires", type=Date(), help="When it ends, e.g. 2030-01-31.")
@with_service
def create(
    _: Flask, name: str, project: str, scopes: tuple[str, ...], expires: datetime | None
) -> None:
    """Make a key and print it; it is not shown again."""
    click.echo(keys.create(name, project, scopes, expires))


@keys_group.command("list")
@with_service
def list_keys(_: Flask) -> None:
    """Show every key, without what opens the door."""
    row = "{:>4}  {:<20}  {:<20}  {:<10}  {:<24}  {}".format
    click.echo(row("ID", "NAME", "PROJECT", "SCOPES", "CREATED", "STATE"))
    for key in keys.listed():
        created = timestamps.format_utc(key.created)
        click.echo(row(key.id, key.name, key.project, key.scopes, created, keys.state(key)))


@keys_group.command()
@click.argument("name_or_id")
@with_service
def revoke(_: Flask, name_or_id: str) -> None:
    """End a key, within a second in running servers too."""
    try:
        name = keys.revoke(name_or_id)
    except keys.UnknownKey as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"Revoked {name}.")
