"""`/api/v1/key`: what the key of a request gives access to."""

from __future__ import annotations

from flask import Blueprint, Flask
from werkzeug.wrappers import Response

from ..auth import keys
from ..auth.bearer import authorize, requires
from .reading import send_object

blueprint = Blueprint("key", __name__, url_prefix="/api/v1")


def init_app(app: Flask) -> None:
    """Add the endpoint to the application."""
    app.register_blueprint(blueprint)


@blueprint.get("/key")
@requires("read")
def describe_key(_: int) -> Response:
    """Send the names of the key and of its project, and the scopes."""
    grant = authorize("read")
    names = {"project": keys.name_project(grant), "key": keys.name_holder(grant)}
    return send_object(names | {"scopes": sorted(grant.scopes)})
