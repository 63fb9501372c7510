"""The samples of `/docs`: as they stand on the page, and run as a reader would run them."""

from __future__ import annotations

import html
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from support.programs import require

EVENTS = [
    {
        "id": 1,
        "name": "click",
        "trace_id": "03775690",
        "date": "2021-08-15T23:41:41.507Z",
        "data": {"clicked_on": "sign up button"},
    },
    {
        "id": 5,
        "name": "paypal_payment",
        "trace_id": "03758690",
        "date": "2021-08-15T23:43:41.507Z",
        "data": {"client_id": "17039485"},
    },
    {
        "id": 1,
        "name": "click",
        "trace_id": "03775690",
        "date": "2021-08-15T23:45:45.507Z",
        "data": {"clicked_on": "cancel sign up"},
    },
]
"""The events that the samples record, and read."""

RUNTIMES = {
    "terminal": ("sh", "sample.sh"),
    "shell": ("sh", "sample.sh"),
    "ruby": ("ruby", "sample.rb"),
    "python": (sys.executable, "sample.py"),
    "javascript": ("node", "sample.mjs"),
}
"""The program that runs a sample, and the file that a reader would put it into."""

_PART = re.compile(
    r'<h[23] id="(?P<section>[^"]+)"'
    r'|<figure class="sample (?P<kinds>[^"]+)">\s*<figcaption>(?P<caption>[^<]*)</figcaption>\s*'
    r"<pre><code>(?P<code>.*?)</code>",
    re.DOTALL,
)


@dataclass
class Sample:
    """A sample: its section, its language or other kind, and what the page says that it prints."""

    section: str
    kind: str
    caption: str
    text: str
    answer: str = ""

    def run(self, folder: Path, key: str) -> str:
        """Return what it prints with a key, in a folder that holds the clients."""
        # The first sample of all is for a terminal, in every language.
        pasted = self.section == "quick-start"
        program, name = RUNTIMES["terminal" if pasted else self.kind]
        require(program, *(["curl"] if program == "sh" else []))
        (folder / name).write_text(self.text.replace("YOUR_API_KEY", key))
        done = subprocess.run([program, name], cwd=folder, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert done.stderr == ""
        return done.stdout

    def documents(self, printed: str) -> bool:
        """Return whether the page says of the sample that it prints this."""
        if (shown := _json(self.answer)) is not None:
            return shown == _json(printed)
        pattern = re.escape(self.answer.strip()).replace("…", ".+")
        return re.fullmatch(pattern, printed.strip()) is not None


def samples(page: str) -> list[Sample]:
    """Return the samples of a page in their order."""
    found: list[Sample] = []
    section = ""
    for part in _PART.finditer(page):
        section = part["section"] or section
        if part["section"]:
            continue
        kinds, text = part["kinds"].split(), plain(part["code"])
        if kinds[0] == "output":
            for sample in _answered(found, section, kinds):
                sample.answer = text
        else:
            found.append(Sample(section, kinds[-1], part["caption"], text))
    return found


def plain(markup: str) -> str:
    """Return the text of a piece of HTML."""
    return html.unescape(re.sub(r"<[^>]*>", "", markup))


def _answered(found: list[Sample], section: str, kinds: list[str]) -> Iterator[Sample]:
    for sample in found:
        speaks_of = "tabbed" not in kinds or sample.kind in kinds
        if sample.section == section and speaks_of:
            yield sample


def _json(text: str) -> object:
    try:
        value: object = json.loads(text)
    except ValueError:
        return None
    return value
