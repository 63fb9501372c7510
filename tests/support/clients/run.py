"""Run the steps of the named case, and print the outcome of each as a line of JSON."""

from __future__ import annotations

import importlib
import json
import os
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, os.environ["CLIENTS"])
bytelog: Any = importlib.import_module("bytelog_client")

case = json.loads(Path(os.environ["CASES"]).read_text())[sys.argv[1]]
client = bytelog.Client(**case.get("options", {}))


def take(call: str, arguments: Any) -> object:
    match call:
        case "record":
            return client.record(**arguments)
        case "record_many":
            return client.record_many(arguments)
        case "record_copies":
            return client.record_many(
                {**arguments["event"], "id": number} for number in range(arguments["copies"])
            )
        case "events":
            return list(client.events(**arguments))
        case "trace":
            return list(client.trace(arguments))
        case "query":
            endpoint, parameters = arguments
            return [client.query(endpoint, **parameters)]
        case _:
            return sys.stdin.readline()


for step in case["steps"]:
    try:
        outcome = {"gives": take(step["call"], step["with"])}
    except bytelog.BytelogError as error:
        outcome = {"fails": error.status, "says": str(error)}
    print(json.dumps(outcome), flush=True)
