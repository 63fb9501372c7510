"""Webhooks of any sender: `POST /hooks/NAME`, by the rules of BYTELOG_HOOKS."""

from __future__ import annotations

import time
from functools import partial
from http import HTTPStatus
from typing import cast

from flask import Blueprint, Flask, current_app, request
from werkzeug.exceptions import NotFound
from werkzeug.wrappers import Response

from ..api.body import check_length, receive_body
from ..auth import projects, rate_limit
from ..auth.bearer import GRANT, GRANT_SECONDS, authorize
from ..auth.keys import Grant
from ..auth.refusals import Denied
from ..config import MAX_BODY_BYTES
from ..events.i_json import decode_text
from ..sources.mappings import Message, create_trace_id
from . import hook_rules
from .hook_rules import HEADER, Hook
from .recording import create_id, record
from .requests import check_stranger
from .signatures import Signature

blueprint = Blueprint("hooks", __name__, url_prefix="/hooks")


def init_app(app: Flask) -> None:
    """Add the endpoint to the application; raises SetupError."""
    app.extensions["bytelog.hooks"] = hook_rules.parse(app.config["BYTELOG_HOOKS"] or {})
    app.register_blueprint(blueprint)


@blueprint.post("/<name>")
def receive(name: str) -> Response:
    """Store the event of a webhook, once for each id."""
    _check_head(may_wait=True)
    hook = _find_hook(name)
    body = receive_body(MAX_BODY_BYTES)
    grant = _verify(name, hook, hook.signature, body) if hook.signature else authorize("write")
    headers = {path: request.headers.get(path.removeprefix(HEADER), "") for path in hook.headers}
    return record(grant, f"hook {name}", [partial(_parse, hook, body, headers)], Response())


def _check_head(*, may_wait: bool) -> None:
    hook = _find_hook((request.view_args or {})["name"])
    if hook.signature:
        check_stranger(MAX_BODY_BYTES)
    else:
        authorize("write", may_wait=may_wait)
        check_length(MAX_BODY_BYTES)


def _find_hook(name: str) -> Hook:
    hooks = cast("dict[str, Hook]", current_app.extensions["bytelog.hooks"])
    if name not in hooks:
        raise NotFound("BYTELOG_HOOKS has no hook of this name.")
    return hooks[name]


def _verify(name: str, hook: Hook, signature: Signature, body: bytes) -> Grant:
    """Return the grant of a webhook; raises Denied if its signature is not valid."""
    if not signature.is_valid(request.headers.get(signature.header, ""), body):
        rate_limit.count_wrong_key(request.remote_addr or "")
        detail = f"The signature in {signature.header} is missing, wrong or too old."
        raise Denied(HTTPStatus.UNAUTHORIZED, detail)
    project_id = projects.get_or_create(hook.project)
    grant = Grant(("hook", f"hook {name}"), project_id, frozenset({"write"}))
    rate_limit.count(grant.holder)
    # The log of invalid requests names who sent them.
    request.environ[GRANT] = (grant, time.monotonic() + GRANT_SECONDS)
    return grant


def _parse(hook: Hook, body: bytes, headers: dict[str, str]) -> Message:
    present = {path: value for path, value in headers.items() if value}
    text = decode_text(body)
    return hook.source.parse(text, create_id(), create_trace_id(), beside=present)


receive.check_head = _check_head  # type: ignore[attr-defined]
