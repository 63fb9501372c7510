"""`/healthz`: a health check for load balancers and container platforms."""

from __future__ import annotations

import json

from flask import Blueprint, Flask
from werkzeug.wrappers import Response

from ..events import store
from ..storage.errors import StorageError, StorageFull

blueprint = Blueprint("health", __name__)


def init_app(app: Flask) -> None:
    """Add the endpoint to the application."""
    app.register_blueprint(blueprint)


@blueprint.get("/healthz")
def check_health() -> Response:
    """Return 200 if events can be read and stored; a StorageError becomes 503."""
    try:
        store.ping()
    except StorageFull as error:  # 507 is for a request that needs the room.
        raise StorageError(str(error)) from error
    return Response(json.dumps({"status": "ok"}), mimetype="application/json")
