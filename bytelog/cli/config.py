"""`bytelog config`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
from flask import current_app, has_app_context
from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from ..config import SECRETS, SetupError
from ..settings.loading import Setting, list_warnings, load
from ..settings.sources import data_folder, list_sources
from ..storage.urls import hide_secrets

MASK = "********"
"""What is shown in place of a secret, whatever its length."""


@click.command("config")
def show_config() -> None:
    """Show every setting, its value, and where the value is from.

    Keys and passwords are hidden. Nothing is created.
    """
    if has_app_context():
        service = current_app.extensions["bytelog"]
        _show(service.extensions["bytelog.settings"], Path(service.instance_path))
        return
    folder = data_folder({}, None)
    try:
        sources = list_sources(folder, {})
        settings = load(sources)
    except SetupError as error:
        raise click.ClickException(str(error)) from error
    _show(settings, folder)
    for warning in list_warnings(sources):
        click.echo(warning, err=True)


def _show(settings: Mapping[str, Setting], folder: Path) -> None:
    data = _locate(settings["BYTELOG_DATA"], folder)
    rows = [("SETTING", "VALUE", "FROM")]
    for name, setting in {**settings, "BYTELOG_DATA": data}.items():
        rows.append((name, _format(name, setting.value), setting.source))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for name, value, source in rows:
        click.echo(f"{name:<{widths[0]}}  {value:<{widths[1]}}  {source}")


def _locate(setting: Setting, folder: Path) -> Setting:
    """Return the data folder in use, which an application may choose without a setting."""
    is_chosen = os.path.realpath(setting.value or "instance") == str(folder)
    return Setting(str(folder), setting.source if is_chosen else "create_app")


def _format(name: str, value: Any) -> str:
    if value is None:
        return "(not set)"
    if isinstance(value, bool):
        return str(value).lower()
    if name not in SECRETS:
        return str(value)
    return _format_url(str(value)) if name.endswith("_URL") else MASK


def _format_url(text: str) -> str:
    try:
        return hide_secrets(make_url(text))
    except (ArgumentError, ValueError):
        return MASK
