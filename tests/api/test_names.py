from __future__ import annotations

import pytest
from support.api import CLICK, EVENTS, Person

pytestmark = pytest.mark.each_database


def test_names_have_counts_dates_and_members(alice: Person, bob: Person) -> None:
    day = "2021-08-1{}T00:00:00.000Z".format
    for number, data in enumerate([{"plan": "pro"}, {"plan": None, "n": 1}, {"plan": "free"}, {}]):
        name = "order" if data else "click"
        alice.post({**CLICK, "name": name, "date": day(number), "data": data})
    order = {"count": 3, "first": day(0), "last": day(2)}
    click = {"count": 1, "first": day(3), "last": day(3)}
    members = {"plan": ["string", "null"], "n": ["number"]}
    assert alice.read("/names") == {
        "count": 4,
        "names": [
            {"name": "order", **order, "members": members},
            {"name": "click", **click, "members": {}},
        ],
    }
    names = alice.read("/names?end=2021-08-11&data.plan=pro")["names"]
    assert names == [
        {"name": "order", "count": 1, "first": day(0), "last": day(0)}
        | {"members": {"plan": ["string"]}}
    ]
    assert bob.read("/names") == {"count": 0, "names": []}


def test_too_many_names_get_400_with_advice(alice: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bytelog.queries.groups.MAX_GROUPS", 2)
    alice.post([{**CLICK, "name": name, "date": f"202{name}-01-01"} for name in "123"])
    response = alice.get("/names", Accept="application/problem+json")
    assert response.status_code == 400
    assert response.json is not None
    assert [problem["parameter"] for problem in response.json["errors"]] == ["start"]
    assert alice.read("/names?start=2022-01-01")["count"] == 2


def test_a_response_has_only_so_many_members(
    alice: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bytelog.queries.groups.MAX_GROUPS", 2)
    alice.post([{**CLICK, "data": {"a": 1, str(number): 1, "b": 1}} for number in range(9)])
    assert alice.read("/names")["names"][0]["members"] == {"a": ["number"], "b": ["number"]}
    monkeypatch.setattr("bytelog.queries.groups.MAX_GROUPS", 50)
    monkeypatch.setattr("bytelog.queries.groups.MAX_GROUP_CHARACTERS", 60)
    assert 2 < len(alice.read("/names")["names"][0]["members"]) < 5


@pytest.mark.before_database
@pytest.mark.parametrize("query", ["?limit=5", "?bucket=day", "?by=name", "?start=soon"])
def test_a_bad_parameter_gets_400(alice: Person, query: str) -> None:
    assert alice.get(f"/names{query}").status_code == 400


@pytest.mark.before_database
def test_names_require_a_key(alice: Person) -> None:
    assert alice.client.get(f"{EVENTS}/names").status_code == 401
