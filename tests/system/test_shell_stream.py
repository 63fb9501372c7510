from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Iterator

import pytest
from support.client_programs import FOLDER, environment
from support.faulty_proxy import proxy
from support.programs import require
from support.server import Server, wait_for

from bytelog import Client

pytestmark = pytest.mark.slow

SHELLS = ("sh", "bash", "zsh")
"""Each test runs all shells at once, because they mostly wait."""


@pytest.fixture(scope="module")
def shared_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("stream"), BYTELOG_API_KEY=Server.key) as server:
        yield server


def record_many(url: str, **settings: str) -> dict[str, subprocess.Popen[str]]:
    require(*SHELLS, "curl")
    script, variables = str(FOLDER / "bytelog.sh"), environment(url) | settings
    pipe = subprocess.PIPE
    return {
        shell: subprocess.Popen(
            [shell, script, "record-many"], env=variables, stdin=pipe, stderr=pipe, text=True
        )
        for shell in SHELLS
    }


def write(program: subprocess.Popen[str], text: str) -> None:
    assert program.stdin
    program.stdin.write(text)
    program.stdin.flush()


def end(program: subprocess.Popen[str]) -> tuple[int, str]:
    """Return the exit status and the errors of a program whose input ends."""
    _, errors = program.communicate(timeout=20)
    return program.returncode, errors


def line(number: int, trace_id: str, name: str = "click") -> str:
    return json.dumps({"id": number, "name": name, "trace_id": trace_id}) + "\n"


def ids(server: Server, trace_id: str) -> list[int]:
    return [event["id"] for event in Client(server.url, server.key).trace(trace_id)]


def wait_for_ids(server: Server, trace_id: str, expected: list[int]) -> None:
    wait_for(lambda: ids(server, trace_id) == expected)


def test_lines_are_sent_while_the_input_is_open_and_a_begun_line_is_kept(
    shared_server: Server,
) -> None:
    programs = record_many(shared_server.url)
    for shell, program in programs.items():
        write(program, line(1, f"open-{shell}") + line(2, f"open-{shell}")[:12])
    for shell, program in programs.items():
        trace_id = f"open-{shell}"
        wait_for_ids(shared_server, trace_id, [1])
        write(program, line(2, trace_id)[12:] + "\n" + line(3, trace_id).rstrip())
        assert end(program) == (0, "")
        assert ids(shared_server, trace_id) == [1, 2, 3]


def test_sigterm_sends_the_complete_lines_though_the_input_is_open(shared_server: Server) -> None:
    programs = record_many(shared_server.url)
    for shell, program in programs.items():
        write(program, line(1, f"sigterm-{shell}"))
    for shell, program in programs.items():
        trace_id = f"sigterm-{shell}"
        wait_for_ids(shared_server, trace_id, [1])
        write(program, line(2, trace_id) + line(3, trace_id) + '{"id": 4')
        program.send_signal(signal.SIGTERM)
    for shell, program in programs.items():
        assert program.wait(20) == 0
        assert ids(shared_server, f"sigterm-{shell}") == [1, 2, 3]
        end(program)


def test_a_server_that_is_away_gets_every_event_once_in_full_batches(
    shared_server: Server,
) -> None:
    failures = [{"status": 503}] * 3 + [{"status": "lost"}] * 3
    with proxy(shared_server, failures) as faulty_server:
        programs = record_many(faulty_server.url, BYTELOG_RETRIES="1000")
        for shell, program in programs.items():
            write(program, "".join(line(number, f"away-{shell}") for number in range(2500)))
        for shell, program in programs.items():
            assert end(program)[0] == 0
            assert ids(shared_server, f"away-{shell}") == list(range(2500))
    batches = {request.key: request.body.count(b"\n") for request in faulty_server.requests}
    # A batch may be cut where the writer was slow.
    assert len(batches) <= 9 + len(programs)
    assert len(faulty_server.requests) == len(batches) + len(failures)


def test_a_refused_event_ends_the_program_though_the_input_is_open(shared_server: Server) -> None:
    programs = record_many(shared_server.url)
    for program in programs.values():
        write(program, line(1, "refused", name=""))
    for program in programs.values():
        assert program.wait(20) == 1
        _, errors = end(program)
        assert errors.startswith("bytelog: 400 ")
        assert errors.count("\n") == 1
