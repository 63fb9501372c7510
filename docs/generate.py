"""Write the generated parts of the documentation; with `--check`, only name the stale files.

In `docs/*.md`, the lines between `<!-- from /docs: ANCHOR … -->` and `<!-- end -->` are a copy of
these sections of the page `/docs`, whose tables come from the code. `docs/package.md` is the README
without images and relative links, for a package index, which cannot resolve them.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple
from xml.etree.ElementTree import Element, fromstring

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
ADDRESS = "http://127.0.0.1:8000"

PART = re.compile(r"<!-- from /docs: ([\w -]+?)(, all languages)? -->\n.*?<!-- end -->", re.DOTALL)
FILE_LANGUAGES = {
    ".js": "javascript",
    ".mts": "typescript",
    ".py": "python",
    ".sql": "sql",
    ".yml": "yaml",
}


class Block(NamedTuple):
    """A piece of a section in Markdown, and the languages of samples to which it belongs."""

    text: str
    languages: frozenset[str] = frozenset()


def generate() -> dict[Path, str]:
    """Return the content that each file with generated parts must have."""
    pages = {path: path.read_text() for path in sorted(DOCS.glob("*.md"))}
    homes = {
        anchor: path.name
        for path, text in pages.items()
        for anchors, _ in PART.findall(text)
        for anchor in anchors.split()
    }
    sections = convert_page(render_page(), homes)
    files = {
        path: PART.sub(lambda part: _write_part(part, sections), text)
        for path, text in pages.items()
        if PART.search(text)
    }
    return files | {DOCS / "package.md": describe_package((ROOT / "README.md").read_text())}


def render_page() -> str:
    """Return the page `/docs` as a server on this machine sends it."""
    sys.path.insert(0, str(ROOT))
    from bytelog import create_app

    with TemporaryDirectory() as folder:
        page = create_app({}, folder).test_client().get("/docs", base_url=ADDRESS)
        return page.text


def convert_page(html: str, homes: dict[str, str]) -> dict[str, list[Block]]:
    """Return the sections of the page in Markdown, by anchor.

    `homes` names the file in `docs/` that contains a section, for links between sections.
    """
    main = html[html.index("<main") : html.index("</main>")] + "</main>"
    return Converter(fromstring(main), homes).sections  # noqa: S314 (our own page)


class Converter:
    """The page as Markdown."""

    def __init__(self, main: Element, homes: dict[str, str]) -> None:
        headings = [*main.iter("h2"), *main.iter("h3")]
        self._slugs = {heading.attrib["id"]: slug(heading.text or "") for heading in headings}
        self._homes = homes
        self._level = ""
        self.sections: dict[str, list[Block]] = {}
        blocks: list[Block] = []
        for element in main.iterfind("section/div/*"):
            if "id" in element.attrib:
                blocks = self.sections[element.attrib["id"]] = []
                self._level = element.tag
            blocks.extend(self._convert(element))

    def _convert(self, element: Element) -> Iterator[Block]:
        if element.tag == "figure":
            yield from _convert_sample(element)
        elif element.tag == "table":
            yield Block("\n".join(self._convert_table(element)))
        else:
            yield Block(self._heading_prefix(element.tag) + self._convert_text(element))

    def _heading_prefix(self, tag: str) -> str:
        # A chapter without sections is a page of its own.
        below = "## " if self._level == "h2" else "### "
        return {"h2": "# ", "h3": "## ", "h4": below}.get(tag, "")

    def _convert_table(self, table: Element) -> Iterator[str]:
        for number, row in enumerate(table.iter("tr")):
            cells = [self._convert_text(cell).replace("|", r"\|") for cell in row]
            yield f"| {' | '.join(cells)} |"
            if number == 0:
                yield f"|{' --- |' * len(cells)}"

    def _convert_text(self, element: Element) -> str:
        parts = [_escape(element.text)]
        for child in element:
            parts += [self._convert_inline(child), _escape(child.tail)]
        return re.sub(r"\s+", " ", "".join(parts)).strip()

    def _convert_inline(self, element: Element) -> str:
        text = "".join(element.itertext())
        if element.tag == "code":
            return _link_test(text)
        if element.tag == "small":
            return f"({text})"
        return self._convert_link(self._convert_text(element), element.attrib["href"])

    def _convert_link(self, text: str, target: str) -> str:
        if text == "#":  # the link of a heading to itself
            return ""
        if target.startswith("#"):
            anchor = target.removeprefix("#")
            return f"[{text}]({self._homes[anchor]}#{self._slugs[anchor]})"
        if target.startswith("clients/"):
            return f"[{text}](../bytelog/{target})"
        return f"[{text}]({target})" if target.startswith("http") else text


def slug(title: str) -> str:
    """Return the anchor that GitHub gives to a heading."""
    return re.sub(r"[^\w\- ]", "", title.strip().lower()).replace(" ", "-")


def _convert_sample(figure: Element) -> Iterator[Block]:
    caption = "".join(figure[0].itertext()).strip()
    code = "".join(figure[1].itertext()).strip()
    _, kind, *languages = figure.attrib["class"].replace(" tabbed", "").split()
    if kind == "output":
        language = "json" if code.startswith("{") else "text"
    elif kind == "file":
        language = _guess_language(Path(caption.split(",")[0]).suffix, code)
    else:
        languages = [kind] if "tabbed" in figure.attrib["class"] else []
        is_for_shell = kind in ("terminal", "commands", "shell") or "terminal" in caption
        language = "sh" if is_for_shell else kind
    if caption != "Terminal":
        yield Block(f"{caption}:", frozenset(languages))
    yield Block(f"```{language}\n{code}\n```", frozenset(languages))


def _guess_language(suffix: str, code: str) -> str:
    if suffix in FILE_LANGUAGES:
        return FILE_LANGUAGES[suffix]
    if code.startswith("#!"):
        return "sh"
    return "json" if code.startswith("{") else "text"


def _escape(text: str | None) -> str:
    return re.sub(r"\*|<(?=[a-zA-Z/!])", r"\\\g<0>", text or "")


def _link_test(text: str) -> str:
    # The page names a promise's test without its folder.
    paths = list((ROOT / "tests").rglob(text)) if re.fullmatch(r"\w+\.py", text) else []
    if len(paths) != 1:
        return f"`{text}`"
    path = paths[0].relative_to(ROOT)
    return f"[`{path}`](../{path})"


def _write_part(part: re.Match[str], sections: dict[str, list[Block]]) -> str:
    anchors, all_languages = part[1].split(), part[2]
    blocks = [
        block.text
        for anchor in anchors
        for block in sections[anchor]
        if all_languages or not block.languages or "shell" in block.languages
    ]
    if not all_languages:
        blocks = [text for text in blocks if text != "Shell:"]
    begin = f"<!-- from /docs: {part[1]}{all_languages or ''} -->"
    return "\n\n".join([begin, *blocks, "<!-- end -->"])


def describe_package(readme: str) -> str:
    """Return the README for a package index: links to files become their names."""
    text = re.sub(r"^!\[.*\n\n", "", readme, flags=re.MULTILINE)
    return re.sub(r"\[([^\]]*)\]\((?!https?:)([^)]+)\)", _name_file, text)


def _name_file(link: re.Match[str]) -> str:
    text, file = link[1], link[2].partition("#")[0]
    return text if file in text or not file else f"{text} (`{file}`)"


def main() -> None:
    """Write the files, or name the stale ones and exit with status 1."""
    stale = [(path, text) for path, text in generate().items() if not _is_current(path, text)]
    if "--check" in sys.argv[1:]:
        names = ", ".join(str(path.relative_to(ROOT)) for path, _ in stale)
        sys.exit(f"Stale: {names}. Run `python docs/generate.py`." if stale else 0)
    for path, text in stale:
        path.write_text(text)


def _is_current(path: Path, text: str) -> bool:
    return path.exists() and path.read_text() == text


if __name__ == "__main__":
    main()
