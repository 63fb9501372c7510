"""A real Prometheus that reads the metrics of a server."""

from __future__ import annotations

import json
import socket
import subprocess
import urllib.request
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlencode

from support.programs import find, require
from support.server import wait_for


class Prometheus:
    """A real Prometheus with its own configuration and folder."""

    def __init__(self, folder: Path, configuration: str) -> None:
        require("prometheus")
        (folder / "prometheus.yaml").write_text(configuration)
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.address = f"127.0.0.1:{free.getsockname()[1]}"
        options = ["--config.file=prometheus.yaml", "--storage.tsdb.path=metrics"]
        command = [str(find("prometheus")), *options, f"--web.listen-address={self.address}"]
        with (folder / "prometheus.log").open("w") as log:
            self.process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log)
        try:
            wait_for(lambda: self.get("status/buildinfo"))
        except AssertionError:
            self.__exit__()
            raise

    def get(self, path: str, **parameters: str) -> Any:
        url = f"http://{self.address}/api/v1/{path}?{urlencode(parameters)}"
        with urllib.request.urlopen(url, timeout=20) as response:
            return json.load(response)["data"]

    def query(self, expression: str) -> list[Any]:
        """Return the time series of an expression; raises HTTPError if it is invalid."""
        result: list[Any] = self.get("query", query=expression)["result"]
        return result

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        self.process.wait(20)
