"""The samples of `/docs`, read from the page and run like a reader runs them."""

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
"""The events that the samples record and read."""

RUNTIMES = {
    "terminal": ("sh", "sample.sh"),
    "shell": ("sh", "sample.sh"),
    "ruby": ("ruby", "sample.rb"),
    "python": (sys.executable, "sample.py"),
    "javascript": ("node", "sample.mjs"),
}
"""The program that runs a sample, and the name of its file."""

_PART = re.compile(
    r'<h[23] id="(?P<section>[^"]+)"'
    r'|<figure class="sample (?P<kinds>[^"]+)">\s*<figcaption>(?P<caption>[^<]*)</figcaption>\s*'
    r"<pre><code>(?P<code>.*?)</code>",
    re.DOTALL,
)


@dataclass
class Sample:
    """A sample with its section, its language or other kind, and its documented output."""

    section: str
    kind: str
    caption: str
    text: str
    output: str = ""

    def run(self, folder: Path, key: str) -> str:
        """Return the output of the sample with a key, in a folder with the clients."""
        # The first sample is for a terminal in every language.
        is_for_terminal = self.section == "quick-start"
        program, name = RUNTIMES["terminal" if is_for_terminal else self.kind]
        require(program, *(["curl"] if program == "sh" else []))
        (folder / name).write_text(self.text.replace("YOUR_API_KEY", key))
        process = subprocess.run([program, name], cwd=folder, capture_output=True, text=True)
        assert process.returncode == 0, process.stderr
        assert process.stderr == ""
        return process.stdout

    def documents(self, printed: str) -> bool:
        """Return whether an output matches the documented one."""
        if (shown := _json(self.output)) is not None:
            return shown == _json(printed)
        pattern = re.escape(self.output.strip()).replace("…", ".+")
        return re.fullmatch(pattern, printed.strip()) is not None


def samples(page: str) -> list[Sample]:
    """Return the samples of a page in their order."""
    found_samples: list[Sample] = []
    section = ""
    for part in _PART.finditer(page):
        section = part["section"] or section
        if part["section"]:
            continue
        kinds, text = part["kinds"].split(), plain(part["code"])
        if kinds[0] == "output":
            for sample in _samples_with_output(found_samples, section, kinds):
                sample.output = text
        else:
            found_samples.append(Sample(section, kinds[-1], part["caption"], text))
    return found_samples


def plain(markup: str) -> str:
    """Return the text of a piece of HTML."""
    return html.unescape(re.sub(r"<[^>]*>", "", markup))


def _samples_with_output(
    found_samples: list[Sample], section: str, kinds: list[str]
) -> Iterator[Sample]:
    for sample in found_samples:
        is_for_kind = "tabbed" not in kinds or sample.kind in kinds
        if sample.section == section and is_for_kind:
            yield sample


def _json(text: str) -> object:
    try:
        value: object = json.loads(text)
    except ValueError:
        return None
    return value
