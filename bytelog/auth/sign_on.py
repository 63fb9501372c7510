"""People whom a sign-on proxy in front of bytelog names in a header. They may read.

Every client can send that header, so it counts only if the connection comes from the proxy. Its
address is that of the socket: `X-Forwarded-For` is a header, too. The peer of a Unix socket has no
address, so it never counts as the proxy.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any

from flask import Flask, current_app, request

from ..config import SetupError
from ..storage.models import DEFAULT_PROJECT_ID
from . import projects
from .keys import Grant
from .refusals import Denied

# No underscore: WSGI has the same name for `Remote-User` and `Remote_User`, and a proxy that
# replaces one of them may pass on the other.
_HEADER = re.compile(r"[A-Za-z0-9-]+", re.ASCII)

_NO_PROJECT = "The project that the sign-on proxy names does not exist."


@dataclass(frozen=True, slots=True)
class Proxy:
    """The networks of a sign-on proxy, and its headers as they are named in WSGI."""

    networks: tuple[IPv4Network | IPv6Network, ...]
    user_header: str
    project_header: str | None


def init_app(app: Flask) -> None:
    """Accept the users of the configured proxy; raises SetupError."""
    app.extensions["bytelog.sign_on"] = _create_proxy(app.config)


def find_grant(may_wait: bool) -> Grant | None:
    """Return the grant of the user whom the proxy names, or None if it names nobody.

    Raises Denied if the project of the user does not exist, and MustWait if the database has to be
    asked for it and the caller may not wait.
    """
    proxy: Proxy | None = current_app.extensions["bytelog.sign_on"]
    if proxy is None or not _is_from(proxy.networks):
        return None
    # Browsers send Origin with each request whose response a page of another origin could read.
    # BYTELOG_CORS_ORIGINS admits such a page with a key of its own, not with a person's session.
    if "Origin" in request.headers:
        return None
    user = _read_header(proxy.user_header)
    # Two headers arrive as one, with a comma: one of them may be the client's.
    if not user or "," in user:
        return None
    project_id = _find_project(proxy, may_wait)
    return Grant(("sign-on", user), project_id, frozenset({"read"}))


def _find_project(proxy: Proxy, may_wait: bool) -> int:
    if proxy.project_header is None:
        return DEFAULT_PROJECT_ID
    project_id = projects.look_up(_read_header(proxy.project_header), may_wait)
    if project_id is None:
        raise Denied(HTTPStatus.FORBIDDEN, _NO_PROJECT, error="insufficient_scope")
    return project_id


def _is_from(networks: tuple[IPv4Network | IPv6Network, ...]) -> bool:
    # Werkzeug's ProxyFix replaces the address by one from a header.
    environ = request.environ.get("werkzeug.proxy_fix.orig", request.environ)
    try:
        address = ip_address(environ.get("REMOTE_ADDR") or "")
    except ValueError:
        return False
    if isinstance(address, IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    return any(address in network for network in networks)


def _read_header(name: str) -> str:
    # WSGI passes header bytes as Latin-1 (PEP 3333).
    value: str = request.environ.get(name, "")
    return value.encode("latin-1").decode("utf-8", "replace").strip(" \t")


def _create_proxy(config: Mapping[str, Any]) -> Proxy | None:
    user, networks = config["BYTELOG_PROXY_USER"], config["BYTELOG_PROXY_NETWORKS"]
    project = config["BYTELOG_PROXY_PROJECT"]
    if user is None:
        if networks or project:
            raise SetupError(
                "BYTELOG_PROXY_NETWORKS and BYTELOG_PROXY_PROJECT need BYTELOG_PROXY_USER, the name"
                " of the header in which the proxy names the user, such as Remote-User."
            )
        return None
    if networks is None:
        raise SetupError(
            "BYTELOG_PROXY_USER needs BYTELOG_PROXY_NETWORKS, the addresses of the proxy, such as "
            "127.0.0.1/32: from all others the header is ignored."
        )
    return Proxy(
        tuple(_parse_network(text.strip()) for text in networks.split(",")),
        _parse_header("BYTELOG_PROXY_USER", user),
        _parse_header("BYTELOG_PROXY_PROJECT", project) if project else None,
    )


def _parse_network(text: str) -> IPv4Network | IPv6Network:
    try:
        network = ip_network(text)
    except ValueError as error:
        raise SetupError(
            f"BYTELOG_PROXY_NETWORKS contains {text!r}, which is not a network: {error}. Write the "
            "addresses of the proxy like 127.0.0.1/32, separated by commas."
        ) from error
    if network.prefixlen == 0:
        raise SetupError(
            f"BYTELOG_PROXY_NETWORKS contains {text}, which is every address, so every client could"
            " claim to be any user. Name the addresses of the proxy alone."
        )
    return network


def _parse_header(setting: str, name: str) -> str:
    if not _HEADER.fullmatch(name):
        raise SetupError(
            f"{setting} must be the name of a header, of letters, digits and hyphens, such as "
            f"Remote-User, not {name!r}."
        )
    return f"HTTP_{name.upper().replace('-', '_')}"
