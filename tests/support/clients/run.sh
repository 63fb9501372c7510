# Takes the steps of the case that is named, and tells what came of each, a line of JSON a step.

. "$CLIENTS/bytelog.sh"

words() {
  "$PYTHON" - "$CASES" "$1" <<'WORDS'
# A shell cannot read JSON: the case as commands.
import json, shlex, sys

case = json.load(open(sys.argv[1]))[sys.argv[2]]
names = {"url": "BYTELOG_URL", "key": "BYTELOG_API_KEY", "timeout": "BYTELOG_TIMEOUT", "retries": "BYTELOG_RETRIES"}
for name, value in case.get("options", {}).items():
    print(f"{names[name]}={shlex.quote(str(value))}")

def lines(events):
    return "bytelog_record_many <<'LINES'\n" + "".join(json.dumps(it) + "\n" for it in events) + "LINES"

def record(event):
    data, date = event.get("data"), event.get("date", "")
    words = [event["id"], event["name"], event["trace_id"], json.dumps(data) if data else "", date]
    return "bytelog_record " + shlex.join(map(str, words))

def listed(values):
    return values if isinstance(values, list) else [values]

def words(window):
    window = dict(window)
    words = [window.pop("start", ""), window.pop("end", "")]
    return shlex.join(words + [f"{name}={value}" for name, values in window.items() for value in listed(values)])

CALLS = {
    "record": record,
    "record_many": lines,
    "record_copies": lambda given: lines({**given["event"], "id": it} for it in range(given["copies"])),
    "events": lambda window: "bytelog_events " + words(window),
    "trace": lambda trace_id: "bytelog_trace " + shlex.quote(trace_id),
    "query": lambda given: f"bytelog_query {given[0]} {words(given[1])}",
    "restart": lambda _: "read -r _",
}
for number, step in enumerate(case["steps"]):
    print(f"step{number}() {{\n{CALLS[step['call']](step['with'])}\n}}\ntell step{number}")
WORDS
}

tell() {
  said=$("$1" 2>&1 >"$OUTPUT") && code=0 || code=$?
  "$PYTHON" - "$OUTPUT" "$code" "$said" <<'TELL'
import json, re, sys

output, code, said = sys.argv[1:]
if code == "0":
    print(json.dumps({"gives": [json.loads(line) for line in open(output)]}))
else:
    status = int(re.search(r"bytelog: (\d+)", said)[1]) or None
    assert (code == "3") == (status in (None, 409, 429, 502, 503, 504, 520, 524)), code
    print(json.dumps({"fails": status, "says": said}))
TELL
}

eval "$(words "$1")"
