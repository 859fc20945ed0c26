"""Reads a report as a browser would, strictly: every element closed, every link inside the page."""

from __future__ import annotations

import re
from html.parser import HTMLParser

VOID = {"meta", "br", "hr", "img", "link", "input", "col"}
ALLOWED = {
    *("html", "head", "meta", "title", "style", "body", "header", "nav", "main", "section"),
    *("h1", "h2", "h3", "p", "a", "b", "i", "code", "abbr", "span", "div", "pre", "del", "ins"),
    *("table", "thead", "tbody", "tr", "th", "td", "ul", "ol", "li", "details", "summary"),
    *(
        "figure",
        "figcaption",
        "svg",
        "g",
        "defs",
        "path",
        "use",
        "text",
        "line",
        "rect",
        "clippath",
    ),
    *("tspan", "polyline"),
}


class PageParser(HTMLParser):
    """The elements, ids, links and text of a page. Raises AssertionError where it is not sound."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, dict[str, str]]] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.texts: list[str] = []
        self.feed(page)
        self.close()
        assert not self.open, f"not closed: {self.open}"
        assert set(self.tags) <= ALLOWED, set(self.tags) - ALLOWED
        assert len(self.ids) == len(set(self.ids)), "an id is not unique"
        for link in self.links:
            assert link.startswith("#") and link[1:] in self.ids, link
        assert not re.search(r"@import|url\((?!#)", page), "a style from elsewhere"

    @property
    def text(self) -> str:
        return "".join(self.texts)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._see(tag, attrs)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._see(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open.pop() == tag, f"{tag} closes nothing"

    def handle_data(self, data: str) -> None:
        if self.open[-1:] != ["style"]:
            self.texts.append(data)

    def handle_comment(self, data: str) -> None:
        raise AssertionError(f"a comment: {data}")

    def _see(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        values = {name: value or "" for name, value in attrs}
        self.attributes.append((tag, values))
        for name, value in values.items():
            assert not name.startswith("on") and name not in ("src", "action", "data"), name
            if name == "id":
                self.ids.append(value)
            if name == "href":
                self.links.append(value)
