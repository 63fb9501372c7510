from __future__ import annotations

import json
import logging
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.sdk._logs import LoggerProvider, LoggingHandler
from opentelemetry.sdk._logs.export import SimpleLogRecordProcessor
from opentelemetry.sdk.resources import Resource
from opentelemetry.trace import NonRecordingSpan, SpanContext, set_span_in_context
from support.api import EVENTS
from support.node_packages import install_packages
from support.server import Server

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::DeprecationWarning")]

FORMATS = Path(__file__).parents[1] / "support" / "formats"
NANOSECONDS = 1629070901507123456
SPAN = SpanContext(0x4BF92F3577B34DA6A3CE929D0E0E4736, 0xF067AA0BA902B7, is_remote=False)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("otlp"), BYTELOG_API_KEY=Server.key) as server:
        server.keep_port()
        yield server


@pytest.fixture
def provider(server: Server) -> Iterator[Callable[..., LoggerProvider]]:
    providers: list[LoggerProvider] = []

    def create(service: str, key: str = Server.key, **changes: Any) -> LoggerProvider:
        headers = {"Authorization": f"Bearer {key}"}
        exporter = OTLPLogExporter(f"{server.url}/v1/logs", headers=headers, **changes)
        provider = LoggerProvider(Resource({"service.name": service}), shutdown_on_exit=False)
        provider.add_log_record_processor(SimpleLogRecordProcessor(exporter))
        providers.append(provider)
        return provider

    yield create
    for provider in providers:
        provider.shutdown()


def events_of(server: Server, service: str) -> list[dict[str, Any]]:
    query = f'data.resource.attributes."service.name"={service}'
    response = server.request(f"{EVENTS}?{query.replace(chr(34), '%22')}&order=arrival")
    return list(json.loads(response.body)["events"])


def test_the_python_sdk_sends_log_records(
    server: Server, provider: Callable[..., LoggerProvider]
) -> None:
    record = LogRecord(
        timestamp=NANOSECONDS,
        context=set_span_in_context(NonRecordingSpan(SPAN)),
        severity_number=SeverityNumber.INFO,
        body={"paid": [1, 2.5, True, None, "text"]},
        attributes={"total": 19.9, "big": 2**53 + 1, "tags": ("a", "b")},
        event_name="order.paid",
    )
    provider("python", compression=Compression.Gzip).get_logger("orders", "2").emit(record)
    (event,) = events_of(server, "python")
    assert (event["name"], event["date"]) == ("order.paid", "2021-08-15T23:41:41.507Z")
    assert event["trace_id"] == "4bf92f3577b34da6a3ce929d0e0e4736"
    data = event["data"]
    assert data["attributes"] == {"total": 19.9, "big": 2**53 + 1, "tags": ["a", "b"]}
    assert data["body"] == {"paid": [1, 2.5, True, None, "text"]}
    assert (data["spanId"], data["severityNumber"]) == ("00f067aa0ba902b7", 9)
    assert data["scope"] == {"name": "orders", "version": "2"}


def test_pythons_logging_reaches_bytelog_through_the_sdk(
    server: Server, provider: Callable[..., LoggerProvider]
) -> None:
    handler = LoggingHandler(logger_provider=provider("logging"))
    logger = logging.getLogger("shop.orders")
    logger.addHandler(handler)
    logger.warning("order %s paid", 7, extra={"session.id": "s-1"})
    logger.removeHandler(handler)
    (event,) = events_of(server, "logging")
    assert (event["name"], event["trace_id"]) == ("shop.orders", "s-1")
    assert event["data"]["body"] == "order 7 paid"


def test_the_python_sdk_sends_again_until_the_server_is_back(
    server: Server, provider: Callable[..., LoggerProvider]
) -> None:
    logger = provider("restart").get_logger("orders")
    server.stop()
    thread = threading.Thread(target=lambda: logger.emit(LogRecord(event_name="order.paid")))
    thread.start()
    server.start()
    thread.join()
    assert [event["name"] for event in events_of(server, "restart")] == ["order.paid"]


def test_the_python_sdk_logs_why_its_records_are_refused(
    provider: Callable[..., LoggerProvider], caplog: pytest.LogCaptureFixture
) -> None:
    provider("refused", key="wrong").get_logger("orders").emit(LogRecord(body="text"))
    assert "401" in caplog.text


def test_the_sdk_for_node_sends_log_records(server: Server, tmp_path: Path) -> None:
    (tmp_path / "node_modules").symlink_to(install_packages(FORMATS) / "node_modules")
    program = shutil.copy(FORMATS / "otlp.mjs", tmp_path)
    command = ["node", program, f"{server.url}/v1/logs", server.key]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    first, second = events_of(server, "node")
    assert (first["name"], first["trace_id"]) == ("order.paid", "s-1")
    assert first["data"]["attributes"]["tags"] == [1, "a", {"b": True}]
    assert first["data"]["body"] == "paid"
    assert (second["name"], second["data"]["body"]) == ("orders", {"n": 5})
