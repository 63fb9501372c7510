"""The API's endpoints for traces."""

from __future__ import annotations

from functools import partial
from urllib.parse import urlencode

from flask import Blueprint, Flask, request
from werkzeug.wrappers import Response

from ..auth.bearer import requires
from ..auth.keys import Grant
from ..events import store
from .reading import build_link, read_groups, read_in_slot, read_query, send_object
from .trace_parameters import load_comparison, load_funnel, load_traces

blueprint = Blueprint("traces", __name__, url_prefix="/api/v1/events")


def init_app(app: Flask) -> None:
    """Add the endpoints to the application."""
    app.register_blueprint(blueprint)


@blueprint.get("/traces")
@requires("read")
def list_traces(grant: Grant) -> Response:
    """Send the traces that match the query, the newest first."""
    selection, limit = load_traces(read_query(), grant)
    page = read_in_slot(partial(store.list_traces, selection, limit), grant.project_id)
    response = send_object({"count": len(page.traces), "traces": page.traces})
    if page.next:
        response.headers["Link"] = build_link(page.next)
    return response


@blueprint.get("/paths/diff")
@requires("read")
def compare_paths(grant: Grant) -> Response:
    """Compare which events follow each other in two windows."""
    selection, against, scope = load_comparison(read_query(), grant)
    compare = partial(store.compare_paths, selection, against, scope)
    return send_object(read_groups(compare, grant.project_id, "start", "use a shorter window"))


@blueprint.get("/funnel")
@requires("read")
def count_funnel(grant: Grant) -> Response:
    """Count how many of the traces that match the query reach each step."""
    selection, funnel = load_funnel(read_query(), grant)
    counts = read_in_slot(partial(store.count_funnel, selection, funnel), grant.project_id)
    steps = [{**step, **_link_traces(number)} for number, step in enumerate(counts.steps, 1)]
    return send_object({"traces": counts.traces, "steps": steps})


def _link_traces(step: int) -> dict[str, str]:
    # Relative to the request, as the links to pages are.
    query = list(request.args.items(multi=True))
    return {name: f"traces?{urlencode([*query, (name, step)])}" for name in ("reached", "stopped")}
