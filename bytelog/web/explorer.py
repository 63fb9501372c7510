"""The explorer at `/`: a page that shows the events that the reader's key may read.

The page is a client of the public API. It contains no secrets, so it is served without a key.
"""

from __future__ import annotations

import gzip
from pathlib import Path

from flask import (
    Blueprint,
    Flask,
    current_app,
    make_response,
    render_template,
    request,
    send_from_directory,
)
from werkzeug.wrappers import Response

from ..api.response_headers import PAGE_POLICY

STATIC_FOLDER = Path(__file__).parents[1] / "static"

blueprint = Blueprint("explorer", __name__)


def init_app(app: Flask) -> None:
    """Add the page to the application, unless BYTELOG_EXPLORER is off."""
    if app.config["BYTELOG_EXPLORER"]:
        app.register_blueprint(blueprint)


@blueprint.get("/")
def explore() -> Response:
    """Send the page."""
    # The page preloads all modules; otherwise a browser discovers each only in the one that
    # imports it.
    modules = sorted(path.name for path in (STATIC_FOLDER / "explorer").glob("*.js"))
    has_sign_on = current_app.config["BYTELOG_PROXY_USER"] is not None
    page = render_template("explorer.html", modules=modules, has_sign_on=has_sign_on)
    response = make_response(page)
    response.headers["Content-Security-Policy"] = PAGE_POLICY
    return response


@blueprint.get("/static/<path:filename>", endpoint="static")
def send_file(filename: str) -> Response:
    """Send a file of the page, compressed if the browser accepts gzip; 304 if it is unchanged."""
    response = send_from_directory(STATIC_FOLDER, filename, conditional=False)
    response.vary.add("Accept-Encoding")
    if request.accept_encodings["gzip"]:
        response.direct_passthrough = False
        response.set_data(gzip.compress(response.get_data(), mtime=0))
        response.content_encoding = "gzip"
        response.add_etag(overwrite=True)
    return response.make_conditional(request)
