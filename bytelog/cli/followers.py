"""`bytelog followers`: list, set-aside, remove."""

from __future__ import annotations

import json
from typing import Any

import click
import msgspec
from flask import Flask

from .. import timestamps
from ..auth import projects
from ..config import MAX_LIMIT
from ..follow import registry
from .options import json_option, project_option, with_existing_database
from .terminal import make_printable


@click.group("followers")
def followers_group() -> None:
    """List and remove followers, and what they set aside."""


@followers_group.command("list")
@json_option
@with_existing_database
def list_followers(_: Flask, as_json: bool) -> None:
    """List every `bytelog follow --as NAME`, and how far it is behind."""
    followers = [_describe(row) for row in registry.list_all()]
    if as_json:
        click.echo(json.dumps({"followers": followers}))
        return
    row = "{:<20}  {:<20}  {:>7}  {:>9}  {:<24}  {}".format
    click.echo(row("PROJECT", "NAME", "BEHIND", "SET ASIDE", "DELIVERED", "PARAMETERS"))
    for follower in followers:
        click.echo(row(*_list_cells(follower)))


@followers_group.command("set-aside")
@click.argument("name")
@project_option("Project of the follower.")
@json_option
@with_existing_database
def list_set_aside(_: Flask, name: str, project: str, as_json: bool) -> None:
    """List the events that a receiver refused."""
    try:
        events = registry.list_set_aside(projects.find(project), name)
    except (projects.UnknownProject, registry.UnknownFollower) as error:
        raise click.ClickException(str(error)) from error
    if as_json:
        click.echo(msgspec.json.encode({"set_aside": [*map(_describe_event, events)]}))
        return
    for event in events:
        text = (event.event or b"(the event is deleted)").decode()
        click.echo(f"{timestamps.format_utc(event.created)}  {event.message}  {event.reason}")
        click.echo(f"  {make_printable(text)}")


@followers_group.command()
@click.argument("name")
@project_option("Project of the follower.")
@with_existing_database
def remove(_: Flask, name: str, project: str) -> None:
    """Forget the position of NAME, and what it set aside.

    If the follower runs, it stops with the next event.
    """
    try:
        registry.remove(projects.find(project), name)
    except (projects.UnknownProject, registry.UnknownFollower) as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"Removed {name}.")


def _describe(row: Any) -> dict[str, Any]:
    return {
        "project": row.project,
        "name": row.name,
        "behind": registry.count_behind(row),
        "set_aside": row.set_aside,
        "delivered": row.delivered and timestamps.format_utc(row.delivered),
        "parameters": json.loads(row.parameters),
    }


def _describe_event(event: registry.SetAside) -> dict[str, Any]:
    return {
        "created": timestamps.format_utc(event.created),
        "message": event.message,
        "reason": event.reason,
        "event": event.event and msgspec.Raw(event.event),
    }


def _list_cells(follower: dict[str, Any]) -> list[Any]:
    behind = follower["behind"]
    values = follower["parameters"].items()
    pairs = [f"{name}={value}" for name, texts in values for value in texts]
    return [
        follower["project"],
        follower["name"],
        "?" if behind is None else f"{behind}+" if behind == MAX_LIMIT else behind,
        follower["set_aside"],
        follower["delivered"] or "never",
        make_printable(" ".join(pairs)),
    ]
