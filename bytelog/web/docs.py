"""`/docs`: the documentation of bytelog, with samples that contain the server's own URL.

Tables of parameters, fields, errors, settings, limits and commands are generated from the code.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import Any, NamedTuple

import click
from flask import Blueprint, Flask, Response, current_app, render_template, request
from markupsafe import Markup, escape

from .. import config, timestamps
from ..api.openapi import document
from ..api.response_headers import PAGE_POLICY
from ..cli.commands import COMMANDS
from ..clients import packages
from ..sources.mappings import SOURCES

LANGUAGES = {"shell": "Shell", "ruby": "Ruby", "python": "Python", "javascript": "JavaScript"}
"""The languages of the samples, by their names in Pygments."""

COLOR_STYLE = "github-dark"
"""A style of Pygments with enough contrast on a dark background."""

URL_MARK = "BYTELOG-URL"
"""What the templates contain in place of the server's URL. Highlighted samples are cached, and the
URL comes from a request: nobody can fill the cache with URLs."""

blueprint = Blueprint("docs", __name__, static_folder="../static", static_url_path="/docs/static")


class Heading(NamedTuple):
    """A heading of the page: its level, 2 or 3, its anchor, and its text."""

    level: str
    anchor: str
    text: str


class Command(NamedTuple):
    """A command as it is typed, and what its `--help` says."""

    usage: str
    about: str
    options: list[tuple[str, str]]


def init_app(app: Flask) -> None:
    """Add the page to the application."""
    app.register_blueprint(blueprint)


@blueprint.get("/docs")
def show() -> Response:
    """Send the page."""
    url = (current_app.config["BYTELOG_URL"] or request.url_root).rstrip("/")
    text = render_template("docs.html", **_build_context(current_app))
    page = Response(text.replace(URL_MARK, f'<span class="url">{escape(url)}</span>'))
    page.headers["Content-Security-Policy"] = PAGE_POLICY
    return page


@blueprint.get("/docs/colors.css", endpoint="colors")
def send_colors() -> Response:
    """Send the stylesheet with the colors of the samples."""
    from pygments.formatters import HtmlFormatter

    formatter: Any = HtmlFormatter(style=COLOR_STYLE, nobackground=True)
    rules = formatter.get_style_defs(".sample pre")
    return Response(rules, mimetype="text/css")


def _build_context(app: Flask) -> dict[str, Any]:
    api = document(app)
    return {
        "url": URL_MARK,
        "languages": LANGUAGES,
        "wheel": packages.name_wheel(),
        "tarball": packages.name_tarball(),
        "limits": config,
        "settings": config.SETTINGS,
        "secrets": config.SECRETS,
        "sources": SOURCES,
        "commands": list(_iterate_commands(COMMANDS, "bytelog")),
        "operations": _index_operations(api),
        "schemas": api["components"]["schemas"],
        "errors": [_get_example(response) for response in api["components"]["responses"].values()],
    }


def _index_operations(api: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {
        operation["operationId"]: {"method": method.upper(), "path": path, **operation}
        for path, methods in api["paths"].items()
        for method, operation in methods.items()
    }


def _get_example(response: dict[str, Any]) -> dict[str, Any]:
    example: dict[str, Any] = response["content"]["application/problem+json"]["example"]
    return example


def _iterate_commands(commands: Any, parent: str) -> Iterator[Command]:
    for command in commands:
        context = click.Context(command, info_name=f"{parent} {command.name}")
        if isinstance(command, click.Group):
            yield from _iterate_commands(command.commands.values(), f"{parent} {command.name}")
            continue
        usage = " ".join([context.command_path, *command.collect_usage_pieces(context)])
        records = (option.get_help_record(context) for option in command.params)
        options = [record for record in records if record and record[1]]
        yield Command(usage, command.help or "", options)


@blueprint.app_template_filter("headings")
def list_headings(page: str) -> list[Heading]:
    """Return the headings of a page in order."""
    matches = re.findall(r'<h([23]) id="([^"]+)">([^<]+)', page)
    return [Heading(level, anchor, Markup(text.strip())) for level, anchor, text in matches]  # noqa: S704


@blueprint.app_template_filter("prose")
def format_prose(text: str) -> Markup:
    """Return a text as HTML, with the parts between backticks as code."""
    return Markup(re.sub("`([^`]+)`", r"<code>\1</code>", str(escape(text))))  # noqa: S704


@blueprint.app_template_filter("kind")
def describe_type(schema: dict[str, Any]) -> str:
    """Return a short description of the values that a schema allows."""
    if "enum" in schema:
        return ", ".join(schema["enum"])
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    if "items" in schema:
        return f"array of {describe_type(schema['items'])}"
    if schema.get("pattern") == timestamps.PATTERN or schema.get("format") == "date-time":
        return "date"
    bounds = [schema.get("minimum"), schema.get("maximum")]
    if bounds == [config.MIN_ID, config.MAX_ID]:
        return "64-bit integer"
    if None not in bounds:
        return "{} to {}".format(*bounds)
    length = f", 1 to {schema['maxLength']} characters" if "maxLength" in schema else ""
    types = [schema["type"]] if isinstance(schema["type"], str) else schema["type"]
    return f"{' or '.join(types)}{length}"


@blueprint.app_template_filter()
@cache
def highlight_sample(text: str, language: str) -> Markup:
    """Return a sample as HTML with its tokens marked for syntax highlighting."""
    # Imported here to keep startup fast: most servers never serve the page.
    from pygments import highlight
    from pygments.formatters import HtmlFormatter
    from pygments.lexers import get_lexer_by_name

    lexer = get_lexer_by_name(language, stripnl=True)
    return Markup(highlight(str(text), lexer, HtmlFormatter(nowrap=True)).strip("\n"))  # noqa: S704
