"""`bytelog keys`: create, list, revoke."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import click
from flask import Flask
from marshmallow import ValidationError
from sqlalchemy import Row

from .. import timestamps
from ..api.bounds import describe, write
from ..auth import keys
from .options import (
    Date,
    check_name,
    json_option,
    project_option,
    with_existing_database,
    with_service,
)
from .terminal import make_printable


def _write_bound(_: click.Context, __: click.Parameter, conditions: tuple[str, ...]) -> str:
    try:
        return write(conditions)
    except ValidationError as error:
        raise click.BadParameter(" ".join(map(str, error.messages))) from error


@click.group("keys")
def keys_group() -> None:
    """Create, list and revoke API keys."""


@keys_group.command()
@click.argument("name", callback=check_name)
@project_option("Project that the key gives access to.")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    type=click.Choice(keys.SCOPES),
    default=keys.DEFAULT_SCOPES,
    help="Scope of the key; repeat the option for several. Default: read and write.",
)
@click.option("--expires", type=Date(), help="When the key expires, e.g. 2030-01-31.")
@click.option(
    "--only",
    "bound",
    metavar="FIELD=VALUE",
    multiple=True,
    callback=_write_bound,
    help="Limit the key to events with this name, trace_id or member, e.g. data.tenant=42; repeat "
    "a field for several values, or name several fields that must all match.",
)
@with_service
def create(
    _: Flask,
    name: str,
    project: str,
    scopes: tuple[str, ...],
    expires: datetime | None,
    bound: str,
) -> None:
    """Create a key and print it; it is not shown again."""
    click.echo(keys.create(name, project, scopes, expires, bound))


@keys_group.command("list")
@json_option
@with_existing_database
def list_keys(_: Flask, as_json: bool) -> None:
    """List every key, with the day of its last use in UTC. Secrets are never shown."""
    if as_json:
        click.echo(json.dumps({"keys": [_describe(key) for key in keys.list_all()]}))
        return
    row = "{:>4}  {:<20}  {:<20}  {:<17}  {:<24}  {:<10}  {}".format
    click.echo(row("ID", "NAME", "PROJECT", "SCOPES", "CREATED", "LAST USED", "STATE"))
    for key in keys.list_all():
        created, last_used = timestamps.format_utc(key.created), str(key.last_used or "never")
        state = keys.describe_state(key)
        line = row(key.id, key.name, key.project, key.scopes, created, last_used, state)
        only = f"  only {make_printable(describe(key.bound))}" if key.bound else ""
        click.echo(line + only)


@keys_group.command()
@click.argument("name_or_id")
@with_existing_database
def revoke(_: Flask, name_or_id: str) -> None:
    """Revoke a key. Running servers reject it within a second."""
    try:
        name = keys.revoke(name_or_id)
    except keys.UnknownKey as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"Revoked {name}.")


def _describe(key: Row[Any]) -> dict[str, Any]:
    return {
        "id": key.id,
        "name": key.name,
        "project": key.project,
        "scopes": key.scopes.split(),
        "created": timestamps.format_utc(key.created),
        "expires": key.expires and timestamps.format_utc(key.expires),
        "revoked": key.revoked and timestamps.format_utc(key.revoked),
        "last_used": key.last_used and str(key.last_used),
        "only": describe(key.bound) if key.bound else None,
    }
