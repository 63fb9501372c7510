"""`bytelog mcp`."""

from __future__ import annotations

import os

import click


@click.command()
def mcp() -> None:
    """Let a language model read events (Model Context Protocol).

    The program that runs the model starts this command and speaks with it over standard input and
    output. The command reads from the server at BYTELOG_URL with the key BYTELOG_API_KEY, for which
    the scope `read` is enough, and opens no data folder. It needs the package `mcp`: `pip install
    'bytelog[mcp]'`.
    """
    try:
        from ..mcp.server import serve
    except ModuleNotFoundError as error:
        raise click.ClickException(
            "this command needs the package `mcp`; install it with `pip install 'bytelog[mcp]'`."
        ) from error
    if not all(os.environ.get(name) for name in ("BYTELOG_URL", "BYTELOG_API_KEY")):
        raise click.ClickException(
            "set BYTELOG_URL to the address of the server, and BYTELOG_API_KEY to a key with the "
            "scope `read`."
        )
    serve()
