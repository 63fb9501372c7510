"""The application for WSGI servers and `flask run`."""

from bytelog import create_app

app = create_app()
