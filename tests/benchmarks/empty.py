"""The minimum that Flask and Waitress can do: an empty response to a POST."""

from __future__ import annotations

import sys

from flask import Flask
from waitress import serve

app = Flask(__name__)


@app.post("/api/v1/events")
def register_event() -> tuple[str, int]:
    return "", 201


if __name__ == "__main__":
    serve(app, host="127.0.0.1", port=int(sys.argv[1]), threads=8)
