"""`bytelog keys`: create, list, revoke."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import click
from flask import Flask
from sqlalchemy import Row

from .. import timestamps
from ..auth import keys
from .options import (
    Date,
    check_name,
    json_option,
    project_option,
    with_existing_database,
    with_service,
)


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
    default=keys.SCOPES,
    help="Scope of the key; repeat the option for both. Default: both.",
)
@click.option("--expires", type=Date(), help="When the key expires, e.g. 2030-01-31.")
@with_service
def create(
    _: Flask, name: str, project: str, scopes: tuple[str, ...], expires: datetime | None
) -> None:
    """Create a key and print it; it is not shown again."""
    click.echo(keys.create(name, project, scopes, expires))


@keys_group.command("list")
@json_option
@with_existing_database
def list_keys(_: Flask, as_json: bool) -> None:
    """List every key, with the day of its last use in UTC. Secrets are never shown."""
    if as_json:
        click.echo(json.dumps({"keys": [_describe(key) for key in keys.list_all()]}))
        return
    row = "{:>4}  {:<20}  {:<20}  {:<10}  {:<24}  {:<10}  {}".format
    click.echo(row("ID", "NAME", "PROJECT", "SCOPES", "CREATED", "LAST USED", "STATE"))
    for key in keys.list_all():
        created, last_used = timestamps.format_utc(key.created), str(key.last_used or "never")
        state = keys.describe_state(key)
        click.echo(row(key.id, key.name, key.project, key.scopes, created, last_used, state))


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
    }
