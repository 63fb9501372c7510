"""`/healthz`: a health check for load balancers and container platforms."""

from __future__ import annotations

import json

from flask import Blueprint, Flask
from werkzeug.wrappers import Response

from ..events import store

blueprint = Blueprint("health", __name__)


def init_app(app: Flask) -> None:
    """Add the endpoint to the application."""
    app.register_blueprint(blueprint)


@blueprint.get("/healthz")
def healthz() -> Response:
    """Return 200 if the database responds; a StorageError becomes 503."""
    store.ping()
    return Response(json.dumps({"status": "ok"}), mimetype="application/json")
