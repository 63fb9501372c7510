from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from support.api import CLICK, EVENTS
from support.processes import Process
from support.server import Server, connect, wait_for

from bytelog.server.server import SAME_SIGNAL_SECONDS

BODY = json.dumps(CLICK).encode()


def refused(folder: Path, *arguments: str) -> str:
    """Run `bytelog serve`, which must fail, and return its message of one sentence."""
    pipes = dict.fromkeys(("stdout", "stderr"), subprocess.PIPE)
    with Process(["serve", "--port", "0", *arguments], os.environ, folder, **pipes) as process:
        _, errors = process.communicate(timeout=20)
    assert process.returncode != 0
    assert len(errors.splitlines()) == 1, errors
    return errors.decode()


def test_the_first_start_prints_a_key_once_and_working_curl_commands(
    serve: Callable[..., Server],
) -> None:
    server = serve()
    greeting = server.log.read_text()
    assert f"Database: {server.folder / 'data' / 'bytelog.db'}" in greeting
    record, read = re.findall(r"^ *(curl .*)$", greeting, re.MULTILINE)
    sent = subprocess.run(record, shell=True, capture_output=True, text=True)
    assert sent.stdout.startswith("HTTP/1.1 201 ")
    events = json.loads(subprocess.check_output(read, shell=True))
    assert events["count"] == 1
    server.stop()
    server.start()
    assert "API key" not in server.log.read_text()
    assert (
        json.loads(
            subprocess.check_output(read.replace(read.split()[1], server.url + EVENTS), shell=True)
        )
        == events
    )


def test_every_start_names_the_pages(serve: Callable[..., Server]) -> None:
    server = serve("--prefix", "/log", BYTELOG_API_KEY=Server.key)
    greeting = server.log.read_text()
    assert f"Explorer: {server.url}/log/\nDocumentation: {server.url}/log/docs\n" in greeting
    for path in ("/log/", "/log/docs"):
        assert server.request(path).status == 200
    server.stop()
    server.environment |= {"BYTELOG_URL": "https://log.example/", "BYTELOG_EXPLORER": "off"}
    server.start()
    assert "Documentation: https://log.example/docs\n" in server.log.read_text()
    assert "Explorer" not in server.log.read_text()


def test_no_key_is_created_when_the_environment_has_one(server: Server) -> None:
    assert "API key" not in server.log.read_text()
    assert server.request(EVENTS, BODY).status == 201


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_lets_running_requests_finish_and_exits_with_0(
    server: Server, number: int
) -> None:
    port = int(server.url.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port)) as peer:
        peer.sendall(
            b"POST /api/v1/events HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            b"Authorization: Bearer example_api_key\r\nContent-Length: %d\r\n\r\n" % len(BODY)
        )
        wait_for(lambda: server.request("/healthz").status == 200)
        server.process.send_signal(number)
        wait_for(lambda: "stopping" in server.log.read_text())
        peer.sendall(BODY)
        assert peer.recv(1000).startswith(b"HTTP/1.1 201 ")
    assert server.process.wait(20) == 0
    server.start()
    assert json.loads(server.request(EVENTS).body)["count"] == 1


def test_a_second_ctrl_c_stops_a_server_with_running_requests(server: Server) -> None:
    with connect(server) as peer:
        peer.sendall(b"POST /api/v1/events HTTP/1.1\r\n")
        wait_for(lambda: server.request("/healthz").status == 200)
        server.process.send_signal(signal.SIGINT)
        server.process.send_signal(signal.SIGINT)
        wait_for(lambda: "stopping" in server.log.read_text())
        time.sleep(SAME_SIGNAL_SECONDS)
        assert server.process.poll() is None
        server.process.send_signal(signal.SIGINT)
        assert server.process.wait(5) == -signal.SIGINT


def test_a_stopping_server_accepts_no_connection_and_closes_idle_ones(server: Server) -> None:
    port = int(server.url.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port)):
        assert server.stop() == 0
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))


def test_a_stop_checkpoints_the_write_ahead_log(server: Server) -> None:
    server.request(EVENTS, BODY)
    server.stop()
    files = sorted(path.name for path in (server.folder / "data").iterdir())
    assert files == ["bytelog.db", "bytelog.db-lock", "bytelog.db-reserve"]


def test_a_client_that_reads_no_response_does_not_block_others(server: Server) -> None:
    head = (
        b"POST /api/v1/events HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        b"Authorization: Bearer example_api_key\r\nContent-Length: %d\r\n\r\n"
    )
    port = int(server.url.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port)) as peer:
        peer.setblocking(False)
        with suppress(BlockingIOError):
            while True:
                peer.send(head % 1 + b"{")
        assert server.request(EVENTS, BODY).status == 201


def test_an_event_for_a_database_that_was_removed_is_not_acknowledged(server: Server) -> None:
    assert server.request(EVENTS, BODY).status == 201
    shutil.rmtree(server.folder / "data")
    response = server.request(EVENTS, BODY)
    assert (response.status, response.body) == (503, b'{"error": "service unavailable"}')
    assert "was moved, removed or replaced" in server.log.read_text()


def test_a_server_with_a_database_in_memory_stops_cleanly(serve: Callable[..., Server]) -> None:
    server = serve(BYTELOG_API_KEY=Server.key, BYTELOG_DATABASE_URL="sqlite://")
    assert server.request(EVENTS, BODY).status == 201
    assert server.stop() == 0


def test_concurrent_posts_are_all_stored(server: Server) -> None:
    def post_many() -> None:
        for _ in range(50):
            assert server.request(EVENTS, BODY).status == 201

    threads = [threading.Thread(target=post_many) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert json.loads(server.request(EVENTS).body)["count"] == 400


def test_pipelined_posts_get_responses_in_order(server: Server) -> None:
    head = (
        b"POST /api/v1/events HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        b"Authorization: Bearer example_api_key\r\n%sContent-Length: %d\r\n\r\n"
    )
    bad, last = head % (b"", 1) + b"{", head % (b"Connection: close\r\n", len(BODY)) + BODY
    response = server.raw(head % (b"", len(BODY)) + BODY + bad + last)
    assert re.findall(rb"HTTP/1.1 (\d+)", response) == [b"201", b"400", b"201"]


def test_only_the_owner_can_read_the_file_and_its_folder(server: Server) -> None:
    folder = server.folder / "data"
    assert oct(folder.stat().st_mode)[-3:] == "700"
    assert {oct(path.stat().st_mode)[-3:] for path in folder.iterdir()} == {"600"}


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="needs IPv6")
def test_listening_on_all_addresses_includes_ipv4(serve: Callable[..., Server]) -> None:
    server = serve("--host", "::")
    assert server.url.startswith("http://[::1]:")
    server.url = server.url.replace("[::1]", "127.0.0.1")
    assert server.request("/healthz").status == 200


def test_settings_are_the_defaults_of_the_options(
    serve: Callable[..., Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {"BYTELOG_HOST": "127.0.0.2", "BYTELOG_PORT": "1", "BYTELOG_THREADS": "3"}
    server = serve(**settings)
    host, _, port = server.url.removeprefix("http://").partition(":")
    assert host == "127.0.0.2"
    assert port != "1"
    monkeypatch.setenv("BYTELOG_PORT", port)
    monkeypatch.setenv("BYTELOG_HOST", host)
    pipes = dict.fromkeys(("stdout", "stderr"), subprocess.PIPE)
    with Process(["serve"], os.environ, server.folder, **pipes) as process:
        _, errors = process.communicate(timeout=20)
    assert f"cannot listen on {host}, port {port}".encode() in errors


def test_a_port_in_use_prints_one_sentence(server: Server) -> None:
    port = server.url.rpartition(":")[2]
    assert f"port {port}: Address already in use" in refused(server.folder, "--port", port)


def test_a_low_limit_of_open_files_prints_one_sentence_with_the_number(tmp_path: Path) -> None:
    (tmp_path / "instance").mkdir()
    (tmp_path / "instance" / "config.py").write_text(
        "import resource\nresource.setrlimit(resource.RLIMIT_NOFILE, (301, 301))\n"
    )
    sentence = refused(tmp_path)
    assert "may open 301 files" in sentence
    assert "at least 302" in sentence


def test_a_read_only_folder_prints_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "instance").write_text("not a folder")
    assert "BYTELOG_DATA" in refused(tmp_path)


def test_a_folder_with_the_name_of_the_database_prints_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "instance" / "bytelog.db").mkdir(parents=True)
    assert "Is a directory" in refused(tmp_path)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("garbage", "is not a URL"),
        ("postgresql://u:secret@h/d", "names postgresql"),
        ("postgresql+psycopg://u:secret@h:secret/d", "is not a URL"),
        ("sqlite:////nowhere/at/all/x.db", "No such file"),
    ],
)
def test_an_unusable_database_url_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str, reason: str
) -> None:
    monkeypatch.setenv("BYTELOG_DATABASE_URL", url)
    sentence = refused(tmp_path)
    assert reason in sentence
    assert "secret" not in sentence


@pytest.mark.parametrize("settings", ["BYTELOG_API_KEY = 1", "1 / 0", "def"])
def test_an_unreadable_settings_file_is_one_sentence(tmp_path: Path, settings: str) -> None:
    (tmp_path / "instance").mkdir()
    (tmp_path / "instance" / "config.py").write_text(settings)
    assert refused(tmp_path).startswith("Error: ")


@pytest.mark.parametrize("content", [b"garbage" * 1000, b"SQLite format 3\0" + b"\xff" * 5000])
def test_a_damaged_database_prints_one_sentence(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "instance").mkdir()
    (tmp_path / "instance" / "bytelog.db").write_bytes(content)
    assert "Restore a backup" in refused(tmp_path)


def test_the_access_log_has_a_line_for_each_request(serve: Callable[..., Server]) -> None:
    server = serve("--access-log", BYTELOG_API_KEY=Server.key)
    server.request(f"{EVENTS}/trace/a%0Ab%20c")
    wait_for(lambda: "GET /api/v1/events/trace/a%0Ab%20c 200 " in server.log.read_text())
