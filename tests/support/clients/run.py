"""Takes the steps of the case that is named, and tells what came of each, a line of JSON a step."""

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


def take(call: str, given: Any) -> object:
    match call:
        case "record":
            return client.record(**given)
        case "record_many":
            return client.record_many(given)
        case "record_copies":
            return client.record_many({**given["event"], "id": it} for it in range(given["copies"]))
        case "events":
            return list(client.events(**given))
        case "trace":
            return list(client.trace(given))
        case _:
            return sys.stdin.readline()


for step in case["steps"]:
    try:
        outcome = {"gives": take(step["call"], step["with"])}
    except bytelog.BytelogError as error:
        outcome = {"fails": error.status, "says": str(error)}
    print(json.dumps(outcome), flush=True)
