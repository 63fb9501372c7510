"""`/api/v1/key`: what the key of a request gives access to."""

from __future__ import annotations

import json

from flask import Blueprint, Flask
from werkzeug.wrappers import Response

from ..auth import keys, projects
from ..auth.bearer import requires
from ..auth.keys import Grant
from .reading import send_object

blueprint = Blueprint("key", __name__, url_prefix="/api/v1")


def init_app(app: Flask) -> None:
    """Add the endpoint to the application."""
    app.register_blueprint(blueprint)


@blueprint.get("/key")
@requires("read")
def describe_key(grant: Grant) -> Response:
    """Send the names of the key and of its project, the scopes, and the bound if there is one."""
    names = {"project": projects.find_name(grant.project_id), "key": keys.name_holder(grant)}
    bound = {"only": json.loads(grant.bound)} if grant.bound else {}
    return send_object(names | {"scopes": sorted(grant.scopes)} | bound)
