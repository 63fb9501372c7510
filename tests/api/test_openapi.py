from __future__ import annotations

import json
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from hashlib import sha256
from itertools import chain
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
import schemathesis
from flask import Flask
from hypothesis import given
from hypothesis import strategies as st
from schemathesis import checks
from schemathesis.config import SchemathesisConfig
from schemathesis.engine import Status, from_schema
from schemathesis.engine.events import (
    EngineFinished,
    FatalError,
    NonFatalError,
    PhaseFinished,
    ScenarioFinished,
)
from schemathesis.specs.openapi.schemas import OpenApiSchema
from support.api import CLICK, EVENTS, Person
from support.commands import Bytelog
from support.effort import LONG
from support.generated import many_examples
from support.server import Server
from werkzeug.exceptions import TooManyRequests
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.test import Client, TestResponse

from bytelog import timestamps
from bytelog.api.fields import RepeatableField, ZoneField
from bytelog.api.idempotency import HEADER
from bytelog.api.openapi import document
from bytelog.api.parameters import ListingParameters
from bytelog.api.trace_parameters import TracesParameters
from bytelog.auth import keys, projects
from bytelog.config import MAX_BODY_BYTES, MAX_HEADER_BYTES, MAX_ID, MAX_TEXT_LENGTH
from bytelog.events import erasure, schemas, store
from bytelog.queries.formats import LINES_TYPES
from bytelog.queries.selection import CursorGone
from bytelog.storage.errors import StorageBusy, StorageFull
from bytelog.storage.idempotency import IdempotencyKeyReused, RequestInProgress
from bytelog.storage.keyset import Order

EXAMPLES = {"sqlite": 2000 if LONG else 15, "postgresql": 500 if LONG else 5}
"""Generated requests for each endpoint."""


TRACE = f"{EVENTS}/trace/{{trace_id}}"
STATUSES = {
    ("POST", EVENTS): {201, 400, 401, 403, 409, 413, 415, 422, 429, 503, 507},
    ("GET", EVENTS): {200, 400, 401, 403, 410, 429, 503},
    ("DELETE", EVENTS): {200, 400, 401, 403, 429, 503, 507},
    ("GET", f"{EVENTS}/summary"): {200, 400, 401, 403, 429, 503},
    ("GET", f"{EVENTS}/names"): {200, 400, 401, 403, 429, 503},
    ("GET", f"{EVENTS}/paths"): {200, 400, 401, 403, 429, 503},
    ("GET", f"{EVENTS}/paths/diff"): {200, 400, 401, 403, 429, 503},
    ("GET", f"{EVENTS}/funnel"): {200, 400, 401, 403, 429, 503},
    ("GET", f"{EVENTS}/traces"): {200, 400, 401, 403, 410, 429, 503},
    ("GET", TRACE): {200, 400, 401, 403, 404, 410, 429, 503},
    ("GET", "/api/v1/key"): {200, 401, 403, 429, 503},
    ("GET", "/healthz"): {200, 503},
    ("GET", "/openapi.json"): {200},
}
NO_API = {"clients", "docs", "explorer"}
"""Blueprints of pages and files for people, not for programs."""

STORE_FUNCTIONS = (
    *("record", "select", "count", "count_groups", "count_paths", "count_funnel", "list_traces"),
    *("list_names", "ping"),
)
FAILURES: dict[int, Exception] = {
    409: RequestInProgress(),
    410: CursorGone(),
    422: IdempotencyKeyReused(),
    429: TooManyRequests(retry_after=5),
    503: StorageBusy(),
    507: StorageFull(),
}
CHANGES: dict[int, dict[str, Any]] = {
    400: {"json": {}, "query_string": {"unknown": "1"}},
    401: {"headers": {}},
    404: {"path": f"{EVENTS}/trace/"},
    413: {"json": "x" * MAX_BODY_BYTES},
    415: {"content_type": "text/html"},
}
CONFORMANCE = [
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
]


@pytest.fixture
def described(app: Flask) -> OpenApiSchema:
    return schemathesis.openapi.from_dict(document(app))


def test_every_endpoint_is_described(app: Flask, described: OpenApiSchema) -> None:
    rules = {
        (method, re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule))
        for rule in app.url_map.iter_rules()
        if rule.endpoint.partition(".")[0] not in NO_API
        for method in rule.methods or ()
        if method not in ("HEAD", "OPTIONS")
    }
    operations = {
        (method.upper(), path)
        for path, methods in described.raw_schema["paths"].items()
        for method in methods
    }
    assert rules == operations == set(STATUSES)


def test_the_document_is_openapi_3_1(app: Flask, described: OpenApiSchema) -> None:
    assert described.raw_schema["openapi"].startswith("3.1.")
    described.validate()


def test_an_invalid_document_fails_validation(app: Flask) -> None:
    wrong = document(app)
    del wrong["paths"][EVENTS]["get"]["parameters"][0]["name"]
    with pytest.raises(ValueError, match="name"):
        schemathesis.openapi.from_dict(wrong).validate()


def test_a_new_field_appears_in_the_document(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    colour = schemas.Text(required=True, metadata={"description": "its colour"})
    monkeypatch.setitem(schemas.NewEventSchema._declared_fields, "colour", colour)  # noqa: SLF001
    event = document(app)["components"]["schemas"]["NewEvent"]
    assert event["properties"]["colour"]["description"] == "its colour"
    assert event["properties"]["colour"]["maxLength"] == MAX_TEXT_LENGTH
    assert "colour" in event["required"]


def test_a_new_parameter_appears_in_the_document(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    after = schemas.Identifier()
    monkeypatch.setitem(ListingParameters._declared_fields, "after", after)  # noqa: SLF001
    described = {
        parameter["name"]: parameter
        for parameter in document(app)["paths"][EVENTS]["get"]["parameters"]
    }
    assert {"start", "end", "name", "order", "limit", "cursor", "wait"} < described.keys()
    assert described["after"]["schema"]["maximum"] == MAX_ID


def test_the_document_is_served_without_a_key(app: Flask) -> None:
    response = app.test_client().get("/openapi.json")
    assert (response.status_code, response.content_type) == (200, "application/json")
    assert response.json == {**document(app), "servers": [{"url": "/"}]}


def test_the_server_url_is_the_one_that_the_document_was_requested_from(app: Flask) -> None:
    client = Client(DispatcherMiddleware(app, {"/bytelog": app}))
    for prefix, url in [("/bytelog", "/bytelog"), ("", "/"), ("/bytelog", "/bytelog")]:
        response = client.get(f"{prefix}/openapi.json")
        assert json.loads(response.data)["servers"] == [{"url": url}]


@pytest.mark.slow
def test_the_service_starts_without_loading_apispec(tmp_path: Path) -> None:
    script = "import bytelog, sys; bytelog.create_app(); sys.exit('apispec' in sys.modules)"
    subprocess.run([sys.executable, "-c", script], cwd=tmp_path, check=True)


@given(st.from_regex(timestamps.PATTERN, fullmatch=True))
@many_examples
def test_every_date_that_matches_the_pattern_is_parsed(text: str) -> None:
    timestamps.parse(text)


@pytest.mark.parametrize(
    "text",
    [
        *("2021-07-04", "20210704", "2021-W26-7", "2021W267", "2021-185", "2021185"),
        *("2024-02-29", "20000229", "2021-12-31", "2021-04-30", "2021-06-30T23:59:59.999Z"),
        *("2021-07-04 13:34:56", "2021-07-04t13:34z", "20210704T133456,9+0530", "2021-185 12-01"),
    ],
)
def test_the_pattern_of_a_date_matches_every_form(text: str) -> None:
    assert re.search(timestamps.PATTERN, text)
    timestamps.parse(text)


QUERIES = {
    ("DELETE", EVENTS): {"name": "click"},
    ("GET", f"{EVENTS}/paths/diff"): {"against_end": "2021-08-15"},
    ("GET", f"{EVENTS}/funnel"): {"step": ["click", "paypal_payment"]},
}


def provoke(status: int, method: str, path: str, person: Person, accept: str) -> TestResponse:
    request: dict[str, Any] = {
        "method": method,
        "path": path.replace("{trace_id}", "03775690"),
        "headers": person.headers,
        "query_string": QUERIES.get((method, path)),
        **({"json": CLICK} if method == "POST" else {}),
        **CHANGES.get(status, {}),
    }
    request["headers"] = {**request["headers"], "Accept": accept}
    return person.client.open(**request)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        (*operation, status)
        for operation, statuses in STATUSES.items()
        for status in sorted(statuses)
    ],
)
def test_every_response_is_as_described(
    described: OpenApiSchema,
    person: Callable[..., Person],
    monkeypatch: pytest.MonkeyPatch,
    method: str,
    path: str,
    status: int,
) -> None:
    def fail(*_: object) -> None:
        raise FAILURES[status]

    if status in FAILURES:
        for name in STORE_FUNCTIONS:
            monkeypatch.setattr(store, name, fail)
        monkeypatch.setattr(projects, "find_name", fail)
        monkeypatch.setattr(erasure, "erase", fail)
    scopes = {"GET": "read", "POST": "write", "DELETE": "delete"}
    scope = scopes.pop(method) if status != 403 else scopes[{"GET": "POST"}.get(method, "GET")]
    carol = person("carol", "shop", scopes=[scope])
    case = described[path][method].Case(path_parameters={"trace_id": "03775690"})
    for accept in ("application/json", "application/problem+json"):
        response = provoke(status, method, path, carol, accept)
        assert response.status_code == status
        assert status < 400 or response.content_type == accept
        case.validate_response(response, CONFORMANCE)


def test_no_other_response_is_described(described: OpenApiSchema) -> None:
    for (method, path), statuses in STATUSES.items():
        assert set(described[path][method].definition.raw["responses"]) == set(map(str, statuses))


@pytest.fixture
def peers(server: Server) -> Path:
    bytelog = Bytelog(server.folder / "data")
    scopes = [argument for scope in keys.SCOPES for argument in ("--scope", scope)]
    users = []
    for name in ("alice", "bob"):
        key = bytelog.run("keys", "create", name, "--project", name, *scopes).decode().strip()
        header = {"name": "Authorization", "value": f"Bearer {key}"}
        users.append({"name": name, "fixedHeaders": [header]})
    path = server.folder / "peers.json"
    path.write_text(json.dumps({"auth": users}))
    return path


@pytest.fixture
def explored(server: Server, peers: Path, database: str) -> OpenApiSchema:
    config = {
        "seed": 1,
        "suppress-health-check": ["all"],
        "cache": {"enabled": False},
        "auth": {"wfc": {"path": str(peers), "peers": ["alice", "bob"]}},
        # 422 means that the request is valid but reuses an Idempotency-Key, 410
        # that its cursor comes from another history of the database.
        "checks": {
            "max_response_time": 10,
            "positive_data_acceptance": {"expected-statuses": ["2xx", "410", "422"]},
            "negative_data_rejection": {"expected-statuses": ["400", "401", "415"]},
        },
        # A wrong key hides errors in the data; the check `ignored_auth` sends wrong keys.
        "generation": {"database": "none", "with-security-parameters": False},
        # A schema cannot say that `from` requires `to`, or that one of some parameters is needed.
        "operations": [
            # A value of any type is text in a query, so the type of a value is never wrong there.
            {"include-method": "GET", "checks": {"negative_data_rejection": {"enabled": False}}},
            {
                "include-method": "DELETE",
                "checks": {
                    "negative_data_rejection": {"enabled": False},
                    "positive_data_acceptance": {"enabled": False},
                },
            },
            {
                "include-path": f"{EVENTS}/traces",
                "checks": {"positive_data_acceptance": {"enabled": False}},
            },
            {
                "include-path": f"{EVENTS}/paths/diff",
                "checks": {"positive_data_acceptance": {"enabled": False}},
            },
        ],
        "phases": {
            # It sends every bad value of each parameter, which no database sees.
            "coverage": {"enabled": database == "sqlite"},
            "fuzzing": {"generation": {"max-examples": EXAMPLES[database]}},
            "stateful": {
                "generation": {"max-examples": EXAMPLES[database] // 2},
                # It follows links that it infers, so an `id` may be a text from a response.
                "checks": {"positive_data_acceptance": {"enabled": False}},
            },
        },
    }
    schema = schemathesis.openapi.from_url(
        f"{server.url}/openapi.json", config=SchemathesisConfig.from_dict(config)
    )
    schema.hook("map_body")(without_whole_fractions)
    return schema


@schemathesis.hook("before_call")
def without_waiting(_: object, case: Any, **__: Any) -> None:
    if str((case.query or {}).get("wait")).isdecimal():
        case.query = {**case.query, "wait": 0}


@schemathesis.hook("before_call")
def with_the_order_of_the_cursor(_: object, case: Any, **__: Any) -> None:
    # A schema cannot say that a parameter depends on another one.
    query = case.query or {}
    if query.get("cursor") and query.get("order", "date") in list(Order):
        case.query = {**query, "order": "date" if "T" in str(query["cursor"]) else "arrival"}


@schemathesis.hook("before_call")
def with_a_known_time_zone(_: object, case: Any, **__: Any) -> None:
    # A pattern cannot list the zones.
    if re.fullmatch(ZoneField.json_schema["pattern"], str((case.query or {}).get("tz", ""))):
        case.query = {**case.query, "tz": "Europe/Berlin"}


@schemathesis.hook("before_call")
def with_an_idempotency_key_in_ascii(_: object, case: Any, **__: Any) -> None:
    # The description has no pattern: generators refuse the two forms of the key.
    key = (case.headers or {}).get(HEADER, "")
    if 1 <= len(key) <= MAX_TEXT_LENGTH + 2:
        case.headers[HEADER] = sha256(key.encode()).hexdigest()


REPEATABLE = {
    field.data_key or name
    for schema in (ListingParameters, TracesParameters)
    for name, field in schema().fields.items()
    if isinstance(field, RepeatableField)
}


@schemathesis.hook("filter_query")
def of_types_that_a_query_shows(_: object, query: dict[str, Any] | None) -> bool:
    # A query is text: `name=false` is a valid name, and one value is an array of one. A server
    # refuses a longer query before it reads it.
    is_short = len(encode(query or {})) < MAX_HEADER_BYTES / 2
    return is_short and all(is_shown(name, value) for name, value in (query or {}).items())


def encode(query: dict[str, Any]) -> str:
    members = query.get("members")
    parameters = {**query, **(members if isinstance(members, dict) else {})}
    return urlencode(parameters, doseq=True, errors="replace")


def is_shown(name: str, value: Any) -> bool:
    if isinstance(value, dict):
        return all(is_shown(member, each) for member, each in value.items())
    if isinstance(value, list):
        return all(is_shown("", each) for each in value)
    return value is not None and not isinstance(value, bool) and name not in REPEATABLE


def without_whole_fractions(context: Any, body: Any) -> Any:
    # JSON Schema cannot require an integer without a fraction, such as 1 instead of 1.0.
    match body:
        case {"id": float(number)} if number.is_integer():
            return {**body, "id": int(number)}
        case [*events]:
            return [without_whole_fractions(context, event) for event in events]
    return body


@schemathesis.serializer(*LINES_TYPES)
def as_lines(_: object, events: Any) -> bytes:
    if isinstance(events, list):
        return "".join(f"{json.dumps(line)}\n" for line in events).encode()
    # Write invalid data, which is no array, on several lines: a single line could be valid.
    return json.dumps(events, indent=1).encode()


def answered(scenario: ScenarioFinished) -> Iterator[tuple[str, str, int]]:
    recorder = scenario.recorder
    for case_id, interaction in recorder.interactions.items():
        operation = recorder.cases[case_id].value.operation
        if interaction.response:
            yield scenario.phase.value, operation.label, interaction.response.status_code


def failures(scenario: ScenarioFinished) -> Iterator[str]:
    for check in chain(*scenario.recorder.checks.values()):
        if check.status == Status.ERROR:
            yield f"{check.name} crashed"
        if check.failure_info:
            yield f"{check.failure_info.failure}\n{check.failure_info.code_sample}"


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.each_database
def test_schemathesis_finds_no_failure(explored: OpenApiSchema, database: str) -> None:
    responses: Counter[tuple[str, str, int]] = Counter()
    phases: dict[str, Status] = {}
    messages: list[str] = []
    for event in from_schema(explored).execute():
        match event:
            case ScenarioFinished():
                responses.update(answered(event))
                messages += failures(event)
            case PhaseFinished():
                phases[event.phase.name.value] = event.status
            case NonFatalError() | FatalError():
                messages.append(str(event))
            case EngineFinished():
                messages += map(str, event.failures)
    assert not messages, "\n\n".join(messages)
    tried = {"fuzzing", "stateful", *(["coverage"] if database == "sqlite" else [])}
    assert {phases.pop(phase) for phase in tried} == {Status.SUCCESS}
    assert set(phases.values()) <= {Status.SUCCESS, Status.SKIP}, phases
    assert responses.total() >= len(STATUSES) * EXAMPLES[database], responses
    for phase in tried:
        assert responses[phase, f"POST {EVENTS}", 201] >= 1
