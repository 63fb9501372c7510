"""PostgreSQL servers on the loopback interface, each with a folder of its own."""

from __future__ import annotations

import os
import signal
import subprocess
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg

from .servers import find_free_port

# PostgreSQL refuses to run as root.
USER: dict[str, Any] = (
    {"user": "postgres", "group": "postgres", "extra_groups": []} if os.getuid() == 0 else {}
)
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "max_connections": "60",
    "shared_buffers": "32MB",
    "logging_collector": "off",
}


def find(program: str) -> Path:
    """Return the path of a program of the newest PostgreSQL that is installed."""
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{program}"))
    if not found:
        raise FileNotFoundError(f"{program} is missing: install Debian's postgresql")
    return found[-1]


class Cluster:
    """A PostgreSQL server and its files."""

    def __init__(self, folder: Path, **settings: str) -> None:
        self.folder = folder
        self.settings = {**SETTINGS, "unix_socket_directories": str(folder), **settings}
        self.port = find_free_port()

    def create(self) -> Cluster:
        options = ["--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync", "-U", "postgres"]
        self.run("initdb", "-D", str(self.folder / "data"), *options)
        return self

    def copy(self, folder: Path, name: str) -> Cluster:
        """Create a replica, which streams from this server as `name`."""
        own = {"unix_socket_directories": str(folder), "synchronous_standby_names": ""}
        replica = Cluster(folder, **self.settings | own)
        source = f"host=127.0.0.1 port={self.port} user=postgres application_name={name}"
        self.run("pg_basebackup", "-D", str(folder / "data"), "-d", source, "-R", "-c", "fast")
        return replica

    def run(self, program: str, *arguments: str) -> None:
        subprocess.run([find(program), *arguments], check=True, capture_output=True, **USER)

    def start(self) -> Cluster:
        settings = [f"--{name}={value}" for name, value in self.settings.items()]
        with (self.folder / "log").open("a") as log:
            self.process = subprocess.Popen(
                [find("postgres"), "-D", self.folder / "data", "-p", str(self.port), *settings],
                stdout=log,
                stderr=log,
                **USER,
            )
        # `pg_ctl -w` would also wait, but would have to start the server itself.
        while subprocess.run(
            [find("pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        ).returncode:
            assert self.process.poll() is None, (self.folder / "log").read_text()
        return self

    def stop(self) -> None:
        self.process.send_signal(signal.SIGQUIT)
        self.process.wait(20)

    def kill(self) -> None:
        """Kill all processes of the server at once, as a power cut does."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        for number in [self.process.pid, *map(int, children.split())]:
            os.kill(number, signal.SIGKILL)
        self.process.wait(20)

    def sql(self, statement: str, database: str = "postgres") -> list[tuple[Any, ...]]:
        address = f"host=127.0.0.1 port={self.port} user=postgres dbname={database}"
        with closing(psycopg.connect(address, autocommit=True)) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def url(self, database: str = "postgres") -> str:
        return f"postgresql+psycopg://postgres@127.0.0.1:{self.port}/{database}"
