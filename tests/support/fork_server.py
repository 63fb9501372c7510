"""A process that loads bytelog once and forks for each command: loading dominates a start.

It reads requests from the socket whose number is its argument: JSON with `arguments`, `environment`
and `folder`, along with four files: standard input, output and error, and a pipe that receives the
process id and, once the process has ended, its exit code.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import socket
import sys
from typing import Any

MAX_REQUEST_BYTES = 2**20


def main() -> None:
    """Serve until the other end of the socket is closed; in a forked process, run its command."""
    del sys.path[0]  # this folder, which contains modules of the tests
    # bytelog loads these only when it needs them.
    import psycopg  # noqa: F401

    from bytelog.__main__ import main as run_command

    gc.freeze()  # or the first collection in each process would copy all loaded objects
    with socket.socket(fileno=int(sys.argv[1])) as requests:
        is_forked = serve(requests)
    if is_forked:
        run_command()


def serve(requests: socket.socket) -> bool:
    """Fork a process for each request; return True in such a process, and False at the end."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # intermediate processes are not waited for
    while True:
        message, files, _, _ = socket.recv_fds(requests, MAX_REQUEST_BYTES, 4)
        if not message:
            return False
        if os.fork() == 0:
            fork_command(files)
            become_command(json.loads(message), files)
            return True
        close_all(files)


def fork_command(files: list[int]) -> None:
    """Return only in a forked process; the caller reports its exit code and exits."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    process = os.fork()
    if process == 0:
        return
    os.write(files[3], b"%d\n" % process)
    close_all(files[:3])
    _, status = os.waitpid(process, 0)
    os.write(files[3], b"%d\n" % os.waitstatus_to_exitcode(status))
    os._exit(0)


def become_command(request: dict[str, Any], files: list[int]) -> None:
    """Set the files, folder, environment and arguments of a new process."""
    for number, file in enumerate(files[:3]):
        os.dup2(file, number)
    close_all(files)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # nohup ignores it
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    sys.path.insert(0, request["folder"])
    sys.argv = ["bytelog", *request["arguments"]]
    sys.stdin = open(0, closefd=False)  # noqa: SIM115
    sys.stdout = open(1, "w", 1 if os.isatty(1) else -1, closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", 1, errors="backslashreplace", closefd=False)  # noqa: SIM115


def close_all(files: list[int]) -> None:
    """Close files by their numbers."""
    for file in files:
        os.close(file)


if __name__ == "__main__":
    main()
