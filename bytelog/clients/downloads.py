"""`/clients/`: the clients, a file for each language, for everybody who reaches the server."""

from __future__ import annotations

from pathlib import Path

from flask import Blueprint, Flask, abort, request
from werkzeug.wrappers import Response

MEDIA_TYPES = {
    "bytelog.py": "text/x-python",
    "bytelog.mjs": "text/javascript",
    "bytelog.d.mts": "text/typescript",
    "bytelog.rb": "text/x-ruby",
    "bytelog.sh": "text/x-shellscript",
}

blueprint = Blueprint("clients", __name__)


def init_app(app: Flask) -> None:
    """Add the files to the application."""
    app.register_blueprint(blueprint)


@blueprint.get("/clients/<name>")
def client(name: str) -> Response:
    """Send a client; one that has not changed is not sent again."""
    if name not in MEDIA_TYPES:
        abort(404)
    text = Path(__file__).with_name(name).read_bytes()
    response = Response(text, mimetype=MEDIA_TYPES[name])
    response.cache_control.no_cache = True
    response.add_etag()
    return response.make_conditional(request)
