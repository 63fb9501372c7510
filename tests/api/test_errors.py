from __future__ import annotations

import logging
from urllib.parse import unquote

import pytest
from flask import Flask
from support.api import CLICK, EVENTS, Person
from support.server import Server

from bytelog.api.errors import DETAIL, PROBLEM
from bytelog.api.parameters import InvalidParameters, listing, load_selection
from bytelog.api.rejections import LINES_PER_MINUTE
from bytelog.auth.keys import grant_all
from bytelog.events import store
from bytelog.storage.errors import StorageBusy, StorageError, StorageFull

pytestmark = pytest.mark.each_database


@pytest.mark.before_database
@pytest.mark.parametrize(
    "path", ["/api/v1/nothing", "/api/v1/events/", "/nothing", "/api/v1/events/trace/"]
)
def test_an_unknown_path_gets_404_in_json(app: Flask, path: str) -> None:
    response = app.test_client().get(path)
    assert (response.status_code, response.json) == (404, {"error": "not found"})
    assert response.content_type == "application/json"


@pytest.mark.before_database
@pytest.mark.parametrize("method", ["PUT", "PATCH", "BREW"])
def test_another_method_gets_405_and_the_allowed_methods(app: Flask, method: str) -> None:
    response = app.test_client().open(EVENTS, method=method)
    assert (response.status_code, response.json) == (405, {"error": "method not allowed"})
    assert set(response.headers["Allow"].split(", ")) == {
        "DELETE",
        "GET",
        "HEAD",
        "OPTIONS",
        "POST",
    }


@pytest.mark.before_database
def test_problem_details_name_each_bad_field(alice: Person) -> None:
    body = {**CLICK, "name": "", "date": "soon", "extra": 1}
    response = alice.post(body, headers={**alice.headers, "Accept": "application/problem+json"})
    assert response.status_code == 400
    assert response.content_type == "application/problem+json"
    problem = response.json
    assert problem is not None
    assert (problem["status"], problem["title"]) == (400, "Bad Request")
    assert problem["error"] == "validation error"
    assert {error["pointer"] for error in problem["errors"]} == {"#/name", "#/date", "#/extra"}


@pytest.mark.before_database
def test_a_header_explains_a_400_whose_body_stays_the_same(alice: Person) -> None:
    response = alice.post({**CLICK, "id": "1", "größe\r\n%": 1})
    assert response.data == b'{"error": "validation error"}'
    detail = response.headers["Bytelog-Detail"]
    assert detail.isascii()
    assert detail.isprintable()
    assert unquote(detail) == (
        "#/id: Must be a 64-bit integer. #/gr%C3%B6%C3%9Fe%0D%0A%25: Unknown field."
    )
    invalid = alice.get("?start=%0D%0ASet-Cookie:x")
    assert invalid.headers["Bytelog-Detail"].startswith("start: Must be a date: ")
    assert "Set-Cookie" not in str(invalid.headers)


@pytest.mark.before_database
def test_a_long_reason_ends_after_a_whole_character(alice: Person) -> None:
    detail = alice.get("?" + "&".join(f"{'🎉' * 100}{n}=1" for n in range(9))).headers[DETAIL]
    assert 990 < len(detail) <= 1000
    assert "\ufffd" not in unquote(detail)


@pytest.mark.before_database
def test_every_error_has_its_reason_in_a_header(app: Flask, alice: Person) -> None:
    assert "Authorization" in app.test_client().get(EVENTS).headers[DETAIL]
    assert app.test_client().get("/nothing").headers[DETAIL]
    headers = alice.headers
    wrong_type = alice.client.post(EVENTS, data=b"x", content_type="text/css", headers=headers)
    assert (wrong_type.status_code, bool(wrong_type.headers[DETAIL])) == (415, True)


@pytest.mark.before_database
def test_the_log_has_one_line_per_400_of_a_key_and_is_bounded(
    app: Flask, alice: Person, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "bytelog")
    for number in range(LINES_PER_MINUTE + 20):
        app.test_client().post(EVENTS, data="{}")
        alice.post({**CLICK, "id": f"secret {number}"})
    lines = [line for line in caplog.messages if "400" in line]
    assert lines[0] == ("400 for POST /api/v1/events with key 1: #/id: Must be a 64-bit integer.")
    # A minute may end meanwhile.
    assert LINES_PER_MINUTE < len(lines) <= LINES_PER_MINUTE + 20
    assert "more requests got 400" in caplog.text
    assert "byl_" not in caplog.text
    assert "secret" not in caplog.text


@pytest.mark.before_database
def test_a_pointer_is_a_json_pointer(alice: Person) -> None:
    headers = {**alice.headers, "Accept": "application/problem+json, application/json"}
    response = alice.post({**CLICK, "a/b~c d": 1, "": 2}, headers=headers)
    assert response.json is not None
    pointers = [error["pointer"] for error in response.json["errors"]]
    assert sorted(pointers) == ["#/", "#/a~1b~0c%20d"]
    broken = alice.post(b"{", headers=headers)
    assert broken.json is not None
    assert [error["pointer"] for error in broken.json["errors"]] == ["#"]


@pytest.mark.before_database
def test_at_most_100_problems_are_reported(alice: Person) -> None:
    body = {f"field {number}": 1 for number in range(10_000)}
    response = alice.post(body, headers={**alice.headers, "Accept": "application/problem+json"})
    assert response.json is not None
    assert len(response.json["errors"]) == 100


@pytest.mark.before_database
@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("*/*", "application/json"),
        ("application/json, application/problem+json;q=0.5", "application/json"),
        ("application/problem+json;q=0", "application/json"),
        ("application/problem+json, */*", "application/problem+json"),
    ],
)
def test_a_client_gets_the_media_type_that_it_prefers(app: Flask, accept: str, kind: str) -> None:
    assert app.test_client().get(EVENTS, headers={"Accept": accept}).content_type == kind


@pytest.mark.before_database
def test_problem_details_name_each_bad_parameter(alice: Person) -> None:
    response = alice.get("?start=soon", Accept="application/problem+json")
    assert response.json is not None
    assert [error["parameter"] for error in response.json["errors"]] == ["start"]


@pytest.mark.before_database
def test_problem_details_keep_the_headers_of_their_status(app: Flask) -> None:
    response = app.test_client().get(EVENTS, headers={"Accept": "application/problem+json"})
    assert response.content_type == "application/problem+json"
    assert response.headers["WWW-Authenticate"].startswith("Bearer")
    assert response.json is not None
    assert "Authorization: Bearer" in response.json["detail"]


@pytest.mark.before_database
@pytest.mark.parametrize(
    ("error", "status"), [(StorageBusy, 503), (StorageError, 503), (StorageFull, 507)]
)
def test_a_database_failure_is_reported_without_internal_details(
    app: Flask,
    alice: Person,
    monkeypatch: pytest.MonkeyPatch,
    error: type[StorageError],
    status: int,
) -> None:
    def fail(*_: object) -> None:
        raise error("at /secret/path")

    monkeypatch.setattr(store, "record", fail)
    response = alice.post(CLICK)
    assert response.status_code == status
    assert "secret" not in response.text
    assert ("Retry-After" in response.headers) == (status == 503)


def test_the_traceback_of_an_unexpected_error_goes_only_to_the_log(
    app: Flask, alice: Person, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(store, "record", lambda *_: 1 / 0)
    response = alice.post(CLICK)
    assert (response.status_code, response.json) == (500, {"error": "internal server error"})
    assert "ZeroDivisionError" in caplog.text


def test_an_invalid_parameter_of_a_post_is_reported_as_a_parameter(app: Flask) -> None:
    headers = {"Accept": PROBLEM}
    with app.test_request_context(EVENTS, method="POST", headers=headers) as context:
        with pytest.raises(InvalidParameters) as refused:
            load_selection(listing, {"limit": ["many"]}, grant_all(1))
        response = context.app.make_response(context.app.handle_user_exception(refused.value))
    ((error,),) = [response.get_json()["errors"]]
    assert error["parameter"] == "limit"
    assert "pointer" not in error


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"POST /api/v1/events HTTP/1.1\r\nContent-Length: 99999999999", 413),
        (b"POST /api/v1/events HTTP/1.1\r\nTransfer-Encoding: odd", 400),
        (b"GET /api/v1/events HTTP/1.1\r\nno colon", 400),
        (
            b"POST /api/v1/events HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 9999999999",
            413,
        ),
    ],
)
def test_an_error_of_the_http_server_is_json_too(server: Server, head: bytes, status: int) -> None:
    response = server.raw(head + b"\r\nHost: x\r\n\r\n")
    assert response.startswith((b"HTTP/1.1 %d" % status, b"HTTP/1.0 %d" % status))
    assert b"Content-Type: application/json" in response
    assert response.split(b"\r\n\r\n")[1].startswith(b'{"error": "')
