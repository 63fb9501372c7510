from __future__ import annotations

import gzip
import json
import threading
import time
from pathlib import Path

import pytest
from support.api import CLICK, EVENTS, Person
from support.batches import JSON, LINES, clicks, problems, send, written
from support.server import Server

pytestmark = pytest.mark.each_database

MEBIBYTE = 1024 * 1024


def peak(server: Server) -> int:
    """Return the peak memory of a server, in KiB."""
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0])


def post_at_once(server: Server, bodies: list[bytes], **headers: str) -> list[int]:
    statuses: list[int] = []
    threads = [
        threading.Thread(
            target=lambda body=body: statuses.append(server.request(EVENTS, body, **headers).status)
        )
        for body in bodies
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return statuses


def test_a_compressed_body_counts_with_its_decompressed_size(alice: Person) -> None:
    for kind, coding in [(JSON, "gzip"), (LINES, "GZIP"), (JSON, "x-gzip")]:
        body = gzip.compress(written(kind, *clicks(2)))
        assert send(alice, body, kind, Content_Encoding=coding).status_code == 201
    alone = gzip.compress(json.dumps(CLICK).encode())
    assert send(alice, alone, Content_Encoding="gzip").status_code == 201
    assert len(alice.events()) == 7


def test_concatenated_gzip_members_are_one_body(alice: Person) -> None:
    lines = [gzip.compress(written(LINES, click) + b"\n") for click in clicks(900)]
    response = send(alice, b"".join(lines), LINES, Content_Encoding="gzip")
    assert response.status_code == 201
    assert len(alice.events()) == 900
    for damage in (b"x", lines[0][:-1], b"\0" * 512):
        response = send(alice, lines[0] + damage, LINES, Content_Encoding="gzip")
        assert problems(response) == ["#"]


def test_many_members_take_no_more_memory_and_time_than_one(alice: Person) -> None:
    empty, began = gzip.compress(b""), time.monotonic()
    response = send(alice, empty * (16 * MEBIBYTE // len(empty)), LINES, Content_Encoding="gzip")
    assert problems(response) == ["#"]
    large = gzip.compress(b" " * 9 * MEBIBYTE)
    response = send(alice, large + large, LINES, Content_Encoding="gzip")
    assert response.status_code == 413
    assert time.monotonic() - began < 2


@pytest.mark.parametrize("coding", ["gzip,", ", gzip", " ,\tGZIP , ", "identity, gzip"])
def test_the_content_encoding_list_may_have_empty_elements(alice: Person, coding: str) -> None:
    body = gzip.compress(written(JSON, *clicks(2)))
    assert send(alice, body, Content_Encoding=coding).status_code == 201
    assert send(alice, written(JSON, *clicks(2)), Content_Encoding=",").status_code == 201


@pytest.mark.parametrize("damage", [b"", b"plain", slice(0, 20), slice(0, -1), b"x", b"\0"])
def test_a_damaged_compressed_body_is_rejected(alice: Person, damage: bytes | slice) -> None:
    whole = gzip.compress(written(JSON, *clicks(9)))
    body = whole[damage] if isinstance(damage, slice) else damage
    body = whole + damage if damage in (b"x", b"\0") else body
    assert problems(send(alice, body, Content_Encoding="gzip")) == ["#"]
    assert alice.events() == []


@pytest.mark.before_database
def test_an_unknown_content_encoding_gets_the_list_of_supported_ones(alice: Person) -> None:
    for coding in ("br", "deflate", "gzip, gzip", "zstd"):
        response = send(alice, b"x", Content_Encoding=coding)
        assert (response.status_code, response.headers.get("Accept-Encoding")) == (415, "gzip")


@pytest.mark.before_database
@pytest.mark.slow
def test_a_zip_bomb_takes_little_memory_and_time(server: Server) -> None:
    assert server.request(EVENTS, written(JSON, *clicks(9))).status == 201
    before, began = peak(server), time.monotonic()
    huge = gzip.compress(b"\0" * 100 * MEBIBYTE, 1)
    for unit in (b"\n", b"[", b"[],", b'{"a":1},', b"7,"):
        fitting = b'[{"data":{"a":[' + unit * (15 * MEBIBYTE // len(unit))
        for kind in (JSON, LINES):
            headers = {"Content_Encoding": "gzip", "Content_Type": kind}
            assert server.request(EVENTS, gzip.compress(fitting, 1), **headers).status == 400
            assert server.request(EVENTS, huge, **headers).status == 413
    assert peak(server) - before < 128 * 1024
    assert time.monotonic() - began < 20


@pytest.mark.slow
def test_concurrent_large_batches_are_not_all_held_in_memory(server: Server) -> None:
    body = written(JSON, *clicks(4, data={"text": "x" * 1_000_000}))
    server.request(EVENTS, body)
    before = peak(server)
    assert post_at_once(server, [body] * 16) == [201] * 16
    assert peak(server) - before < 64 * 1024
