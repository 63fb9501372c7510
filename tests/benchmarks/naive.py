"""A naive version of bytelog: one session and one commit per request, and SQLite's defaults."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import Any

from flask import Flask, request
from flask_sqlalchemy import SQLAlchemy
from marshmallow import Schema, ValidationError, fields
from sqlalchemy import JSON
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from waitress import serve


class Base(DeclarativeBase):
    pass


db = SQLAlchemy(metadata=Base.metadata)
app = Flask(__name__)


class Event(Base):
    __tablename__ = "event"

    key: Mapped[int] = mapped_column(primary_key=True)
    id: Mapped[int]
    name: Mapped[str]
    trace_id: Mapped[str] = mapped_column(index=True)
    date: Mapped[datetime] = mapped_column(index=True)
    data: Mapped[dict[str, Any]] = mapped_column(JSON)


class EventSchema(Schema):
    id = fields.Integer(required=True, strict=True)
    name = fields.String(required=True)
    trace_id = fields.String(required=True)
    date = fields.DateTime(load_default=lambda: datetime.now(UTC))
    data = fields.Dict(load_default=dict)


schema = EventSchema()


@app.post("/api/v1/events")
def register_event() -> tuple[str | dict[str, str], int]:
    try:
        event = Event(**schema.load(request.get_json()))
    except ValidationError:
        return {"error": "validation error"}, 400
    db.session.add(event)
    db.session.commit()
    return "", 201


if __name__ == "__main__":
    app.config["SQLALCHEMY_DATABASE_URI"] = f"sqlite:///{sys.argv[2]}"
    db.init_app(app)
    with app.app_context():
        db.create_all()
    serve(app, host="127.0.0.1", port=int(sys.argv[1]), threads=8)
