from __future__ import annotations

import json
from typing import Any

import pytest
from marshmallow import ValidationError, fields, validates_schema

from bytelog.events.schemas import EventFields, EventLoader, NewEventSchema
from bytelog.storage.models import COLUMNS, FIELDS, Event

MEMBERS: dict[str, Any] = {"id": 1, "name": "click", "trace_id": "a"}


class SchemaWithHook(NewEventSchema):
    @validates_schema
    def refuse_clicks(self, data: dict[str, Any], **_: Any) -> None:
        if data["name"] == "click":
            raise ValidationError("No clicks.", "name")


class SchemaWithField(NewEventSchema):
    source = fields.String(load_default="")


def test_a_hook_of_the_schema_is_called() -> None:
    text = json.dumps({**MEMBERS, "date": "2021-08-15T23:41:41.507Z"}).encode()
    assert EventLoader(NewEventSchema()).load_text(text).name == "click"
    with pytest.raises(ValidationError, match="No clicks"):
        EventLoader(SchemaWithHook()).load(MEMBERS)
    with pytest.raises(ValidationError, match="No clicks"):
        EventLoader(SchemaWithHook()).load_text(text)


def test_the_schema_and_the_table_have_the_same_fields_in_the_same_order() -> None:
    assert tuple(NewEventSchema().fields) == FIELDS
    assert EventFields._fields == FIELDS
    assert ("key", "project_id", *FIELDS) == COLUMNS
    assert tuple(Event.__table__.columns.keys()) == COLUMNS


def test_a_field_that_the_table_lacks_raises_an_error() -> None:
    with pytest.raises(TypeError, match="source"):
        EventLoader(SchemaWithField()).load({**MEMBERS, "source": "web"})
