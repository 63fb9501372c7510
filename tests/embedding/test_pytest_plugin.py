from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

CONFTEST = 'pytest_plugins = ["bytelog.testing"]'


@pytest.fixture
def suite(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    # The plugins of bytelog's own tests take a second to load.
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    pytester.makeini("[pytest]\nfilterwarnings = error")
    pytester.makeconftest(CONFTEST)
    return pytester


def test_each_test_gets_an_empty_server(suite: pytest.Pytester) -> None:
    suite.makepyfile("""
        import json
        from urllib.request import Request, urlopen
        import pytest

        @pytest.mark.parametrize("number", [1, 2])
        def test_it(bytelog_server, number):
            assert bytelog_server.events() == []
            url = f"{bytelog_server.url}/api/v1/events"
            headers = {
                "Authorization": f"Bearer {bytelog_server.key}",
                "Content-Type": "application/json",
            }
            body = json.dumps({"id": number, "name": "click", "trace_id": "a/b"}).encode()
            with urlopen(Request(url, body, headers)) as answer:
                assert answer.status == 201
            with urlopen(Request(f"{url}/trace/a%2Fb", headers=headers)) as answer:
                assert json.load(answer)["events"] == bytelog_server.events(name="click")
            bytelog_server.log.record(id=7, name="order", trace_id="t")
            assert [it["id"] for it in bytelog_server.events(order="arrival")] == [number, 7]
    """)
    suite.runpytest_subprocess().assert_outcomes(passed=2)


def test_changed_paths_fail_a_test_and_are_named(suite: pytest.Pytester) -> None:
    suite.makepyfile("""
        import json

        def shop(log, *names):
            for number, name in enumerate(names):
                date = f"2021-08-15T09:00:0{number}"
                log.record(id=number, name=name, trace_id="t", date=date)

        def test_same(bytelog_server):
            shop(bytelog_server.log, "visit", "order")
            saved = json.dumps(bytelog_server.paths())
            bytelog_server.assert_same_paths(json.loads(saved))
            bytelog_server.assert_same_paths(bytelog_server.paths(name="order"), name=["order"])

        def test_changed(bytelog_server):
            shop(bytelog_server.log, "visit", "order")
            before = bytelog_server.paths()
            bytelog_server.log.record(id=3, name="ship", trace_id="t")
            bytelog_server.assert_same_paths(before)
    """)
    result = suite.runpytest_subprocess()
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(
        ["the paths changed:", "new: order → ship: 1 in a median of * s, expected never"]
    )


@pytest.mark.slow
def test_the_environment_does_not_affect_the_test_server(
    suite: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BYTELOG_DATABASE_URL", f"sqlite:///{suite.path / 'precious.db'}")
    monkeypatch.setenv("BYTELOG_RATE_LIMIT", "1 per hour")
    suite.makepyfile("""
        def test_it(bytelog_server):
            bytelog_server.log.record(id=7, name="order", trace_id="t")
            assert len(bytelog_server.events()) == 1
    """)
    suite.runpytest_subprocess().assert_outcomes(passed=1)
    assert not (suite.path / "precious.db").exists()


@pytest.mark.slow
def test_the_server_stops_after_its_test_even_if_a_client_waits(suite: pytest.Pytester) -> None:
    suite.makepyfile("""
        import os
        import socket
        from contextlib import suppress
        from pathlib import Path
        from urllib.parse import urlsplit

        waiting = socket.socket()

        def test_it(bytelog_server):
            where = urlsplit(bytelog_server.url)
            waiting.connect((where.hostname, where.port))
            waiting.sendall(
                b"GET /api/v1/events?wait=30 HTTP/1.1\\r\\nHost: bytelog\\r\\n"
                b"Authorization: Bearer " + bytelog_server.key.encode() + b"\\r\\n\\r\\n"
            )
            bytelog_server.log.record(id=7, name="order", trace_id="t", project="other")

        def test_the_answer_came():
            with waiting:
                assert b"200 OK" in waiting.recv(100)

        def test_no_database_is_open():
            for descriptor in Path("/proc/self/fd").iterdir():
                with suppress(FileNotFoundError):  # the one that lists them
                    assert "bytelog.db" not in os.readlink(descriptor)
    """)
    result = suite.runpytest_subprocess()
    result.assert_outcomes(passed=3)
    assert result.duration < 15


@pytest.mark.slow
def test_the_service_does_not_load_pytest(tmp_path: Path) -> None:
    code = "import sys, bytelog.__main__; bytelog.create_app(); print('pytest' in sys.modules)"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
