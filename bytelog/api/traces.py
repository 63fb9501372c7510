"""The API's endpoints for traces."""

from __future__ import annotations

from functools import partial

from flask import Blueprint, Flask
from werkzeug.wrappers import Response

from ..auth.bearer import requires
from ..events import store
from .reading import build_link, read_in_slot, read_query, send_object
from .trace_parameters import load_traces

blueprint = Blueprint("traces", __name__, url_prefix="/api/v1/events")


def init_app(app: Flask) -> None:
    """Add the endpoints to the application."""
    app.register_blueprint(blueprint)


@blueprint.get("/traces")
@requires("read")
def list_traces(project_id: int) -> Response:
    """Send the traces that match the query, the newest first."""
    selection, limit = load_traces(read_query(), project_id)
    page = read_in_slot(partial(store.list_traces, selection, limit), project_id)
    response = send_object({"count": len(page.traces), "traces": page.traces})
    if page.next:
        response.headers["Link"] = build_link(page.next)
    return response
