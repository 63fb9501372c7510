"""`/docs`: what bytelog does and how to use it, with samples that carry the server's own address.

Tables of parameters, fields, errors, settings, limits and commands are made from what defines them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, NamedTuple

import click
from flask import Blueprint, Flask, Response, current_app, render_template, request
from markupsafe import Markup, escape

from .. import config, timestamps
from ..api.openapi import document
from ..api.response_headers import PAGE_POLICY
from ..cli.commands import COMMANDS
from ..maintenance.import_sources import SOURCES

LANGUAGES = {"shell": "Shell", "ruby": "Ruby", "python": "Python", "javascript": "JavaScript"}
"""The languages of the samples, by the name that Pygments has for each."""

COLOR_STYLE = "github-dark"
"""A style of Pygments whose colors everybody can read on a dark background."""

blueprint = Blueprint("docs", __name__, static_folder="../static", static_url_path="/docs/static")


class Heading(NamedTuple):
    """A heading of the page: 2 or 3 for its level, its anchor, and its text."""

    level: str
    anchor: str
    text: str


class Command(NamedTuple):
    """A command as it is typed, and what `--help` says of it."""

    usage: str
    about: str
    options: list[tuple[str, str]]


def init_app(app: Flask) -> None:
    """Add the page to the application."""
    app.register_blueprint(blueprint)


@blueprint.get("/docs")
def show() -> Response:
    """Send the page."""
    page = Response(render_template("docs.html", **_content(current_app)))
    page.headers["Content-Security-Policy"] = PAGE_POLICY
    return page


@blueprint.get("/docs/colors.css")
def colors() -> Response:
    """Send the colors of the samples."""
    from pygments.formatters import HtmlFormatter

    formatter: Any = HtmlFormatter(style=COLOR_STYLE, nobackground=True)
    rules = formatter.get_style_defs(".sample pre")
    return Response(rules, mimetype="text/css")


def _content(app: Flask) -> dict[str, Any]:
    described = _describe_api(app)
    return {
        "url": request.url_root.rstrip("/"),
        "languages": LANGUAGES,
        "limits": config,
        "settings": config.SETTINGS,
        "sources": SOURCES,
        "commands": list(_commands(COMMANDS, "bytelog")),
        "operations": _operations(described),
        "schemas": described["components"]["schemas"],
        "errors": [_problem(it) for it in described["components"]["responses"].values()],
    }


def _describe_api(app: Flask) -> dict[str, Any]:
    made = app.extensions
    if "bytelog.docs" not in made:
        made["bytelog.docs"] = document(app)
    described: dict[str, Any] = made["bytelog.docs"]
    return described


def _operations(described: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {
        operation["operationId"]: {"method": method.upper(), "path": path, **operation}
        for path, methods in described["paths"].items()
        for method, operation in methods.items()
    }


def _problem(response: dict[str, Any]) -> dict[str, Any]:
    example: dict[str, Any] = response["content"]["application/problem+json"]["example"]
    return example


def _commands(commands: Any, parent: str) -> Iterator[Command]:
    for command in commands:
        context = click.Context(command, info_name=f"{parent} {command.name}")
        if isinstance(command, click.Group):
            yield from _commands(command.commands.values(), f"{parent} {command.name}")
            continue
        usage = " ".join([context.command_path, *command.collect_usage_pieces(context)])
        records = (it.get_help_record(context) for it in command.params)
        yield Command(usage, command.help or "", [it for it in records if it and it[1]])


@blueprint.app_template_filter()
def headings(page: str) -> list[Heading]:
    """Return the headings of a page in their order."""
    found = re.findall(r'<h([23]) id="([^"]+)">([^<]+)', page)
    return [Heading(level, anchor, Markup(text.strip())) for level, anchor, text in found]  # noqa: S704


@blueprint.app_template_filter()
def prose(text: str) -> Markup:
    """Return a text as HTML: what stands between backticks becomes code."""
    return Markup(re.sub("`([^`]+)`", r"<code>\1</code>", str(escape(text))))  # noqa: S704


@blueprint.app_template_filter()
def kind(schema: dict[str, Any]) -> str:
    """Return in a few words what values a schema admits."""
    if "enum" in schema:
        return ", ".join(schema["enum"])
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    if "items" in schema:
        return f"array of {kind(schema['items'])}"
    if schema.get("pattern") == timestamps.PATTERN or schema.get("format") == "date-time":
        return "date"
    bounds = [schema.get("minimum"), schema.get("maximum")]
    if bounds == [config.MIN_ID, config.MAX_ID]:
        return "integer of 64 bits"
    if None not in bounds:
        return "{} to {}".format(*bounds)
    length = f", 1 to {schema['maxLength']} characters" if "maxLength" in schema else ""
    return f"{schema['type']}{length}"


@blueprint.app_template_filter()
@lru_cache(maxsize=1000)
def highlight_sample(text: str, language: str) -> Markup:
    """Return a sample as HTML with its words marked for the colors."""
    # Not at the top: few servers are asked for the page, and all want to start fast.
    from pygments import highlight
    from pygments.formatters import HtmlFormatter
    from pygments.lexers import get_lexer_by_name

    lexer = get_lexer_by_name(language, stripnl=True)
    return Markup(highlight(str(text), lexer, HtmlFormatter(nowrap=True)).strip("\n"))  # noqa: S704
