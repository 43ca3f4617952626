"""Reads a page back."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path

WITHOUT_END = {"img", "input", "link", "meta"}


class Page(HTMLParser):
    """Reads a page; fails where tags do not close in order."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, str]] = []
        self.feed(path.read_text(encoding="utf-8"))
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in WITHOUT_END:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open:
            self.texts.append((self.open[-1], data))

    def text(self) -> str:
        kept = [data for tag, data in self.texts if tag not in ("script", "style")]
        return re.sub(r"\s+", " ", " ".join(kept))

    def figures(self) -> dict[str, dict]:
        scripts = [data for tag, data in self.texts if tag == "script"]
        return json.loads(scripts[0])
