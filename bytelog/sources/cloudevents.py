"""CloudEvents 1.0 as events of bytelog.

id        63 bits of the SHA-256 of `source` and `id`
name      `type`
trace_id  the trace id in `traceparent`, else `subject`, else `source`
date      `time`, else the present moment

Names and trace ids are cut after MAX_TEXT_LENGTH characters. `data` is the CloudEvent in JSON as it
was written, without `type` and `time` if the fields repeat them exactly: so an extension can have
any name, and a CloudEvent without data, or with data that is no object, needs no other form.
"""

from __future__ import annotations

import json
import re
from base64 import b64decode, b64encode
from collections.abc import Mapping
from typing import Any

from marshmallow import ValidationError

from .. import timestamps
from ..config import MAX_TEXT_LENGTH
from ..events.i_json import (
    InvalidJSON,
    compact_object,
    compact_value,
    decode_text,
    join_members,
    split_members,
)
from .mappings import Message, compute_id

VERSION = "1.0"

# Version 00 has exactly four parts, and later ones may have more (W3C Trace Context section 3.2.2).
_TRACE_PARENT = re.compile(
    r"(?:00-(?=.{52}\Z)|(?!00|ff)[0-9a-f]{2}-)(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}"
    r"-[0-9a-f]{2}(?:-.*)?"
)
_JSON_TYPE = re.compile(r"[^/]+/(?:[^/]+\+)?json")
_JSON_START = re.compile(rb"[ \t\n\r]*[\[{]")


def parse(text: str) -> Message:
    """Return a CloudEvent in JSON as a message; raises InvalidJSON and ValidationError.

    (JSON Event Format for CloudEvents 1.0.2)
    """
    members = split_members(compact_object(text).text)
    # An attribute that is null is not set; `data` may be null.
    attributes = {name: each.value for name, each in members.items() if each.value is not None}
    _check(attributes, has_data="data" in members)
    key = json.dumps([attributes["source"], attributes["id"]], ensure_ascii=False)
    event: dict[str, Any] = {
        "id": compute_id(key),
        "name": attributes["type"][:MAX_TEXT_LENGTH],
        "trace_id": _find_trace_id(attributes)[:MAX_TEXT_LENGTH],
    }
    if "time" in attributes:
        event["date"] = timestamps.format_utc(timestamps.parse(attributes["time"]))
    for field, attribute in (("name", "type"), ("date", "time")):
        if event.get(field) == attributes.get(attribute):
            members.pop(attribute, None)
    return Message(key, {**event, "data": join_members(members.values())})


def write_json(attributes: Mapping[str, str], data: bytes) -> str:
    """Return a CloudEvent in JSON, from its attributes and its data in binary mode.

    Data that is not JSON is text if it is UTF-8, and otherwise Base64. Raises InvalidJSON for an
    object or array of the type JSON that is not I-JSON.
    """
    members = [f"{_quote(name)}:{_quote(value)}" for name, value in attributes.items()]
    members += [_write_data(attributes.get("datacontenttype", ""), data)] if data else []
    return f"{{{','.join(members)}}}"


def _check(attributes: Mapping[str, Any], *, has_data: bool) -> None:
    problems = {
        name: ["Must be a text that is not empty."]
        for name in ("id", "source", "type")
        if not attributes.get(name) or not isinstance(attributes[name], str)
    }
    problems |= {
        name: ["Must be a text."]
        for name in ("subject", "traceparent")
        if not isinstance(attributes.get(name, ""), str)
    }
    if attributes.get("specversion") != VERSION:
        problems["specversion"] = [f'Must be "{VERSION}".']
    if "time" in attributes and (problem := _find_date_problem(attributes["time"])):
        problems["time"] = [problem]
    if "data_base64" in attributes:
        if has_data:
            problems["data_base64"] = ["Must not be together with `data`."]
        elif not _is_base64(attributes["data_base64"]):
            problems["data_base64"] = ["Must be Base64."]
    if problems:
        raise ValidationError(problems)


def _find_date_problem(value: Any) -> str | None:
    try:
        timestamps.parse(value)
    except ValueError as error:
        return f"Must be a date: {error}."
    return None


def _is_base64(value: Any) -> bool:
    try:
        b64decode(value, validate=True)
    except (TypeError, ValueError):
        return False
    return True


def _find_trace_id(attributes: Mapping[str, Any]) -> str:
    match = _TRACE_PARENT.fullmatch(attributes.get("traceparent", ""))
    return match[1] if match else attributes.get("subject") or str(attributes["source"])


def _write_data(content_type: str, data: bytes) -> str:
    media_type = content_type.partition(";")[0].strip().lower()
    if not media_type or _JSON_TYPE.fullmatch(media_type):
        try:
            return f'"data":{compact_value(decode_text(data))}'
        except InvalidJSON:
            # SDKs send any text as it is under these types, so only what is meant as JSON must be.
            if _JSON_START.match(data):
                raise
    try:
        return f'"data":{_quote(data.decode())}'
    except UnicodeDecodeError:
        return f'"data_base64":"{b64encode(data).decode()}"'


def _quote(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
