"""`/clients/`: downloads of the clients, as files and as packages; they need no key."""

from __future__ import annotations

from pathlib import Path

from flask import Blueprint, Flask, abort, request
from werkzeug.wrappers import Response

from . import packages

MEDIA_TYPES = {
    "bytelog_client.py": "text/x-python",
    "bytelog.py": "text/x-python",
    "bytelog.mjs": "text/javascript",
    "bytelog.d.mts": "text/typescript",
    "bytelog.rb": "text/x-ruby",
    "bytelog.sh": "text/x-shellscript",
}

# Beside a program, a file bytelog.py hides the installed package of this name; the address stays
# for those who use it.
FILES = {"bytelog.py": "bytelog_client.py"}

blueprint = Blueprint("clients", __name__)


def init_app(app: Flask) -> None:
    """Add the endpoint to the application."""
    app.register_blueprint(blueprint)


@blueprint.get("/clients/<name>", endpoint="client")
def send_client(name: str) -> Response:
    """Send a client or a package; 304 if the caller has it already, 404 for an unknown name."""
    if name in MEDIA_TYPES:
        content = Path(__file__).with_name(FILES.get(name, name)).read_bytes()
        media_type = MEDIA_TYPES[name]
    elif name == packages.name_wheel():
        content, media_type = packages.build_wheel(), "application/zip"
    elif name == packages.name_tarball():
        content, media_type = packages.build_tarball(), "application/gzip"
    else:
        abort(404)
    response = Response(content, mimetype=media_type)
    response.cache_control.no_cache = True
    response.add_etag()
    return response.make_conditional(request)
