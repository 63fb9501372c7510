from __future__ import annotations

import csv
import json
import re
import subprocess
from collections.abc import Iterator
from datetime import datetime
from functools import partial
from itertools import combinations
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from prometheus_client.parser import text_string_to_metric_families
from support.api import CLICK, EVENTS
from support.programs import require
from support.prometheus import Prometheus
from support.server import Server, wait_for

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
ALERTS = ROOT / "deploy" / "prometheus-alerts.yaml"
DASHBOARD: dict[str, Any] = json.loads((ROOT / "deploy" / "grafana-dashboard.json").read_text())
GUIDE = (ROOT / "docs" / "operations.md").read_text()
KEY = "a key for Prometheus"
TARGETS = [target for panel in DASHBOARD["panels"] for target in panel.get("targets", [])]
EXPRESSIONS = [target["expr"] for target in TARGETS if "expr" in target]
API_QUERIES = [target for target in TARGETS if "url" in target]
VARIABLES = {
    "${__from:date:iso}": "2021-08-15T00:00:00.000Z",
    "${__to:date:iso}": "2021-08-16T00:00:00.000Z",
    "$__rate_interval": "10s",
    "$bucket": "hour",
    "$instance": ".*",
}
"""What Grafana puts in place of the variables of the dashboard."""


def substitute(text: str) -> str:
    for name, value in VARIABLES.items():
        text = text.replace(name, value)
    assert "$" not in text
    return text


@pytest.fixture(scope="module")
def monitored(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("monitored")
    keys = {"BYTELOG_API_KEY": Server.key, "BYTELOG_METRICS_KEY": KEY}
    with Server(folder, **keys) as server:
        events = [{**CLICK, "id": number, "data": {"n": number}} for number in range(3)]
        assert server.request(EVENTS, json.dumps(events).encode()).status == 201
        assert server.request(EVENTS).status == 200
        yield server


@pytest.fixture(scope="module")
def prometheus(monitored: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    folder = tmp_path_factory.mktemp("prometheus")
    (folder / "bytelog.key").write_text(KEY)
    (configuration,) = re.findall(r"```yaml\n(rule_files:.*?)```", GUIDE, re.DOTALL)
    configuration = configuration.replace("/etc/prometheus/bytelog-alerts.yaml", str(ALERTS))
    configuration = configuration.replace("/etc/prometheus/", "")
    configuration = configuration.replace("127.0.0.1:8000", monitored.url.removeprefix("http://"))
    interval = "global: {scrape_interval: 200ms, scrape_timeout: 200ms, evaluation_interval: 1s}\n"
    with Prometheus(folder, interval + configuration) as prometheus:
        yield prometheus


def test_each_alert_is_raised_by_its_failure_alone() -> None:
    require("promtool")
    samples = ROOT / "tests" / "support" / "samples" / "alerts.yaml"
    subprocess.run(["promtool", "test", "rules", samples], check=True)
    named = set(re.findall(r'alertname="(\w+)"', samples.read_text()))
    assert named == set(re.findall(r"- alert: (\w+)", ALERTS.read_text()))


def test_every_metric_of_the_alerts_and_the_dashboard_exists(monitored: Server) -> None:
    text = monitored.request("/metrics", Authorization=f"Bearer {KEY}").body.decode()
    families = text_string_to_metric_families(text)
    existing = {sample.name for family in families for sample in family.samples}
    used = re.findall(r"\b(?:bytelog|process)_\w+", " ".join([ALERTS.read_text(), *EXPRESSIONS]))
    assert len(set(used)) > 8
    # This one exists on PostgreSQL, where test_concurrent_commits.py reads it.
    assert set(used) - existing == {"bytelog_arrival_horizon_age_seconds"}


def test_prometheus_reads_the_metrics_and_evaluates_the_alerts(prometheus: Prometheus) -> None:
    wait_for(lambda: prometheus.query('up{job="bytelog"} == 1'))
    wait_for(lambda: all(rule["health"] == "ok" for rule in rules(prometheus)))
    assert {rule["state"] for rule in rules(prometheus)} == {"inactive"}


def rules(prometheus: Prometheus) -> list[dict[str, Any]]:
    (group,) = prometheus.get("rules")["groups"]
    assert len(group["rules"]) == ALERTS.read_text().count("- alert:")
    return list(group["rules"])


def test_every_query_of_the_dashboard_to_prometheus_has_a_result(prometheus: Prometheus) -> None:
    for expression in EXPRESSIONS:
        wait_for(partial(prometheus.query, substitute(expression)))


def read_rows(server: Server, target: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the rows that the Infinity data source finds in the response to its query."""
    options = target["url_options"]
    parameters = [(pair["key"], substitute(pair["value"])) for pair in options["params"]]
    headers = {pair["key"]: pair["value"] for pair in options["headers"]}
    response = server.request(f"{target['url']}?{urlencode(parameters)}", **headers)
    assert response.status == 200, response.body
    if target["type"] == "csv":
        return list(csv.DictReader(response.body.decode().splitlines()))
    rows: list[dict[str, Any]] = json.loads(response.body)[target["root_selector"]]
    return rows


@pytest.mark.parametrize("target", API_QUERIES, ids=lambda target: target["url"])
def test_every_query_of_the_dashboard_to_the_api_finds_its_columns(
    monitored: Server, target: dict[str, Any]
) -> None:
    rows = read_rows(monitored, target)
    assert rows
    for column in target["columns"]:
        values = [row[column["selector"]] for row in rows]
        if column["type"] == "timestamp":
            assert all(datetime.fromisoformat(value).year == 2021 for value in values)
        else:
            expected_type = int | float if column["type"] == "number" else str
            assert all(isinstance(value, expected_type) for value in values)


def test_every_panel_of_the_dashboard_has_its_own_id_and_space() -> None:
    panels = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    for one, other in combinations([panel["gridPos"] for panel in panels], 2):
        beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        assert beside or one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]


def test_every_query_of_the_dashboard_uses_a_data_source_that_the_reader_chooses() -> None:
    variables = DASHBOARD["templating"]["list"]
    sources = [variable for variable in variables if variable["type"] == "datasource"]
    chosen = [{"type": each["query"], "uid": f"${{{each['name']}}}"} for each in sources]
    for panel in DASHBOARD["panels"]:
        for target in panel.get("targets", []):
            assert target["datasource"] in chosen
            assert target["datasource"] == panel["datasource"]
