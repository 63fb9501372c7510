from __future__ import annotations

import hmac
import json
import re
import time
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from support.api import Person
from werkzeug.test import TestResponse

from bytelog import create_app
from bytelog.auth import keys
from bytelog.intake.signatures import TOLERANCE_SECONDS, Signature

GUIDE = Path(__file__).parents[2] / "docs" / "sdks.md"
SECRET = "YOUR_SECRET"


@pytest.fixture
def app(tmp_path: Path, database: str) -> Flask:
    folder = tmp_path / "instance"
    folder.mkdir()
    samples = re.findall(r"```python\n(BYTELOG_HOOKS.*?)```", GUIDE.read_text(), re.DOTALL)
    (folder / "config.py").write_text("\n".join(samples))
    return create_app({"TESTING": True, "BYTELOG_INTAKE": "hooks"}, folder)


def sign(body: bytes) -> bytes:
    return hmac.digest(SECRET.encode(), body, "sha256")


def post(app: Flask, name: str, body: bytes, headers: dict[str, str]) -> TestResponse:
    return app.test_client().post(f"/hooks/{name}", data=body, headers=headers)


def list_events(app: Flask, project: str = "default") -> list[dict[str, Any]]:
    with app.app_context():
        return Person(app.test_client(), keys.create("reader", project)).events()


def post_to_stripe_hook(app: Flask, body: bytes, moment: float) -> TestResponse:
    signature = sign(b"%d.%b" % (moment, body)).hex()
    header = f"t={int(moment)},v1={'0' * 64},v1={signature},v0=ab"
    return post(app, "stripe", body, {"Stripe-Signature": header})


# https://docs.github.com/webhooks/using-webhooks/validating-webhook-deliveries#testing-the-webhook-payload-validation
def test_the_published_example_of_github_is_valid() -> None:
    signature = Signature("X-Hub-Signature-256", "It's a Secret to Everybody", prefix="sha256=")
    header = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
    assert signature.is_valid(header, b"Hello, World!")
    assert not signature.is_valid(header, b"Hello, World?")
    assert not signature.is_valid(header.removeprefix("sha256="), b"Hello, World!")
    assert not signature.is_valid("\xe9", b"Hello, World!")


def test_a_webhook_of_github_is_stored_once_for_each_delivery(app: Flask) -> None:
    body = json.dumps({"action": "opened", "repository": {"full_name": "octocat/hello"}}).encode()
    headers = {
        "X-GitHub-Event": "issues",
        "X-GitHub-Delivery": "72d3162e-cc78-11e3-81ab-4c9367dc0958",
        "X-Hub-Signature-256": f"sha256={sign(body).hex()}",
    }
    for _ in range(2):
        assert post(app, "github", body, headers).status_code == 200
    (event,) = list_events(app)
    assert (event["name"], event["trace_id"]) == ("issues", "octocat/hello")
    assert event["data"] == {
        **json.loads(body),
        "header:X-GitHub-Delivery": headers["X-GitHub-Delivery"],
    }


def test_a_webhook_of_stripe_is_stored_in_its_project_with_its_date(app: Flask) -> None:
    charge = {"id": "ch_1", "customer": None, "amount": 1099}
    event = {"id": "evt_1", "type": "charge.succeeded", "created": 1629070901}
    body = json.dumps({**event, "data": {"object": charge}}).encode()
    for _ in range(2):
        assert post_to_stripe_hook(app, body, time.time()).status_code == 200
    (stored,) = list_events(app, "payments")
    assert (stored["name"], stored["trace_id"]) == ("charge.succeeded", "ch_1")
    assert stored["date"] == "2021-08-15T23:41:41.000Z"
    assert stored["data"]["data"]["object"] == charge
    assert list_events(app) == []


@pytest.mark.parametrize("seconds", [-TOLERANCE_SECONDS - 5, TOLERANCE_SECONDS + 5])
def test_a_signature_of_another_time_is_refused(app: Flask, seconds: int) -> None:
    response = post_to_stripe_hook(app, b'{"id": "evt_1"}', time.time() + seconds)
    assert response.status_code == 401
    assert list_events(app, "payments") == []


def test_a_webhook_of_shopify_is_stored_with_its_date(app: Flask) -> None:
    body = b'{"id": 820982911946154508, "total_price": "403.00"}'
    headers = {
        "X-Shopify-Topic": "orders/create",
        "X-Shopify-Webhook-Id": "b54557e4-bdd9-4b37-8a5f-bf7d70bcd043",
        "X-Shopify-Triggered-At": "2021-08-15T23:41:41.507123456Z",
        "X-Shopify-Hmac-Sha256": b64encode(sign(body)).decode(),
    }
    assert post(app, "shopify", body, headers).status_code == 200
    (event,) = list_events(app)
    assert (event["name"], event["trace_id"]) == ("orders/create", "820982911946154508")
    assert event["date"] == "2021-08-15T23:41:41.507Z"


def test_a_hook_without_a_signature_needs_a_key(app: Flask, alice: Person) -> None:
    body = b'{"run": 1, "status": "complete"}'
    for path, status in (("backup", 401), ("github", 401), ("unknown", 404)):
        assert post(app, path, body, {}).status_code == status
    assert post(app, "backup", body, alice.headers).status_code == 200
    assert [event["name"] for event in alice.events()] == ["complete"]


def test_a_body_that_is_not_json_gets_400(app: Flask, alice: Person) -> None:
    for body in (b"payload=%7B%7D", b"[]", b"\xff"):
        assert post(app, "backup", body, alice.headers).status_code == 400
