"""Building blocks of a page that stands alone: text made safe, tables, bars, and the style.

What is HTML already is an `Html`; every other string is escaped where it is put into the page.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

# What a program prints may hold anything. Characters that HTML or UTF-8 cannot hold, and those that
# turn the direction of the text around them, are shown as escapes.
_INVISIBLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff"
    "\ud800-\udfff\ufffe\uffff]"
)

STYLE = """
:root { color-scheme: light dark; --page: #ffffff; --ink: #1f2937; --soft: #5b6676;
  --line: #dbe1e8; --paper: #f5f7fa; --accent: #2563eb; --bad: #c81e1e; --good: #04764f;
  --bad-paper: #fdecec; --good-paper: #e3f6ee; --warn: #b45309; --warn-paper: #fff7e0;
  --c1: #0072b2; --c2: #d55e00; --c3: #008a64; --c4: #b8568f; --c5: #a87400; --c6: #2f8fc4;
  --c7: #7c3aed; --other: #b9c1cb; }
@media (prefers-color-scheme: dark) { :root { --page: #12161c; --ink: #e3e8ee; --soft: #9aa6b5;
  --line: #303945; --paper: #1b2129; --accent: #6ea8fe; --bad: #ff8f8f; --good: #5fd3a3;
  --bad-paper: #3b1d20; --good-paper: #12342a; --warn: #f5b83d; --warn-paper: #33290f;
  --c1: #56a9e0; --c2: #ff8a4c; --c3: #35c795; --c4: #e39cc6; --c5: #e8b339; --c6: #8fd0f7;
  --c7: #b794f6; --other: #48525f; } }
* { box-sizing: border-box; }
body { font: 15px/1.55 system-ui, "Segoe UI", "DejaVu Sans", sans-serif; color: var(--ink);
  background: var(--page); max-width: 1100px; margin: 0 auto; padding: 28px 20px 80px;
  overflow-wrap: anywhere; }
h1 { font-size: 27px; line-height: 1.25; margin: 0 0 6px; }
h2 { font-size: 20px; margin: 44px 0 8px; padding-top: 10px; border-top: 1px solid var(--line); }
h3 { font-size: 15.5px; margin: 24px 0 6px; }
nav { margin: 18px 0 0; font-size: 14px; } nav a { margin-right: 14px; white-space: nowrap; }
a { color: var(--accent); }
.lead, .note, summary { color: var(--soft); } .note { font-size: 13.5px; }
.caption { margin: 16px 0 -6px; }
.simulated { border-left: 5px solid var(--warn); background: var(--warn-paper);
  padding: 10px 14px; font-size: 16px; }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(200px, 1fr)); gap: 12px;
  margin: 14px 0; }
.card { border: 1px solid var(--line); border-radius: 8px; padding: 11px 14px; }
.card b { display: block; font-size: 22px; } .card span { color: var(--soft); font-size: 13px; }
.scroll { overflow-x: auto; margin: 10px 0; position: relative; }
.hidden { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
table { border-collapse: collapse; width: 100%; font-size: 13.5px; }
table.narrow { width: auto; min-width: min(100%, 540px); }
th, td { text-align: right; padding: 4px 9px; border-bottom: 1px solid var(--line);
  font-variant-numeric: tabular-nums; overflow-wrap: normal; }
td { white-space: nowrap; } td.words { white-space: normal; min-width: 9em; }
.words { text-align: left; }
thead th { color: var(--soft); font-weight: 600; vertical-align: bottom; }
th:first-child { text-align: left; font-weight: 500; position: sticky; left: 0;
  background: var(--page); z-index: 1; min-width: 7.5em; }
tbody th { white-space: nowrap; }
.interval { display: inline-block; position: relative; width: 120px; height: 12px;
  vertical-align: -1px; background: var(--paper); border-radius: 2px; }
.interval i { position: absolute; top: 4px; height: 4px; background: var(--accent);
  opacity: .45; min-width: 1px; }
.interval b { position: absolute; top: 1px; width: 3px; margin-left: -1px; height: 10px;
  background: var(--accent); }
.parts { display: flex; height: 5px; margin-top: 2px; min-width: 64px;
  max-width: 150px; margin-left: auto;  border-radius: 2px;
  overflow: hidden; background: var(--paper); }
.parts i { background: var(--other); } .parts .good { background: var(--good); }
.parts .bad { background: var(--bad); }
table.matrix { font-size: 12px; } .matrix td, .matrix thead th { padding: 3px 4px; }
.matrix th:first-child { white-space: nowrap; } .matrix td { text-align: center; }
.matrix thead th + th { text-align: center; }
.matrix .up { background: var(--good-paper); } .matrix .down { background: var(--bad-paper); }
.matrix .sure { font-weight: 700; }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(290px, 1fr)); gap: 18px; }
figure { margin: 0; min-width: 0; } figcaption { font-size: 13px; color: var(--soft); }
svg { width: 100%; height: auto; display: block; } svg path { stroke-linejoin: round; }
.charts figure > svg { max-width: 440px; }
.legend { list-style: none; padding: 0; margin: 2px 0; display: flex; flex-wrap: wrap;
  gap: 0 14px; font-size: 12.5px; }
.legend svg { display: inline-block; width: 30px; height: 8px; margin-right: 5px; }
pre { background: var(--paper); border: 1px solid var(--line); border-radius: 6px; margin: 6px 0;
  padding: 8px 10px; overflow-x: auto; white-space: pre; overflow-wrap: normal;
  font: 12.5px/1.45 ui-monospace, "DejaVu Sans Mono", monospace; }
summary { cursor: pointer; } details > summary:hover { color: var(--ink); }
.search { border: 1px solid var(--line); border-radius: 8px; margin: 8px 0; padding: 6px 12px; }
.search > summary b { color: var(--ink); }
ul.tree { list-style: none; margin: 4px 0 4px 3px; padding: 0 0 0 11px;
  border-left: 2px solid var(--line); }
ul.tree ul.tree ul.tree ul.tree ul.tree { margin-left: 0; padding-left: 5px; }
ul.tree > li { margin: 4px 0; }
.node, .node > summary { color: var(--ink); } .replaced > summary, div.replaced { opacity: .7; }
.replaced .thought { text-decoration: line-through; }
.attempt { background: var(--paper); border-radius: 6px; padding: 4px 10px; }
.attempt.answer { outline: 2px solid var(--accent); outline-offset: -1px; }
.attempt > summary { color: var(--ink); }
.attempt pre { background: var(--page); }
.attempt th:first-child { position: static; background: none; }
.attempt table { width: auto; } td pre { margin: 0; padding: 1px 7px; max-width: 420px; }
.chip { display: inline-block; font-size: 12px; line-height: 1.5; border-radius: 4px;
  padding: 0 6px; margin: 1px 2px; border: 1px solid var(--line); white-space: nowrap;
  color: var(--soft); }
.chip.good { color: var(--good); background: var(--good-paper); border-color: transparent; }
.chip.bad { color: var(--bad); background: var(--bad-paper); border-color: transparent; }
.chip.mark { color: var(--page); background: var(--accent); border-color: transparent; }
ol.thoughts { padding-left: 22px; margin: 6px 0; } ol.thoughts li { margin: 3px 0; }
ol.thoughts li > div { display: flex; flex-wrap: wrap; gap: 2px 12px; align-items: center; }
ol.thoughts li > div > span:first-child { flex: 1 1 240px; }
del { color: var(--bad); background: var(--bad-paper); }
ins { color: var(--good); background: var(--good-paper); text-decoration: none; }
.bar { margin-right: 4px; display: inline-flex; align-items: center; gap: 5px; font-size: 12px;
  color: var(--soft); white-space: nowrap; font-variant-numeric: tabular-nums; }
.bar span { display: inline-block; width: 70px; height: 8px; border-radius: 4px;
  background: var(--line); overflow: hidden; }
.bar span i { display: block; height: 100%; background: var(--accent); }
@media (max-width: 600px) { .interval { width: 64px; }
  body { padding: 18px 12px 60px; } h1 { font-size: 23px; }
  th, td { padding: 4px 6px; } .search { padding: 6px 8px; } .attempt { padding: 4px 7px; }
  th:first-child { max-width: 34vw; white-space: normal; }
  tbody th, .matrix th:first-child { white-space: normal; } }
@media print { body { max-width: none; padding: 0; font-size: 11px; } nav { display: none; }
  table { font-size: 9.5px; } table.matrix { font-size: 7.5px; } th, td { padding: 2px 4px; }
  .matrix td, .matrix thead th { padding: 1px 2px; } .scroll { overflow: visible; }
  th:first-child { position: static; } .interval { width: 60px; } pre { white-space: pre-wrap; }
  tr, figure, .card { break-inside: avoid; } h2, h3 { break-after: avoid; }
  * { print-color-adjust: exact; -webkit-print-color-adjust: exact; } }
"""


class Html(str):
    """Text that is HTML already."""


def text(value: Any) -> Html:
    """A value as HTML: escaped, with what cannot be seen shown as Python would escape it."""
    if isinstance(value, Html):
        return value
    return Html(html.escape(_INVISIBLE.sub(_escape, str(value))))


def clipped(value: str, most: int) -> Html:
    """Text of up to `most` characters, and how many more there are."""
    if len(value) <= most:
        return text(value)
    return Html(f"{text(value[:most])}\n… {len(value) - most:,} more characters")


def pre(value: str, most: int) -> Html:
    """Text as it is, in a fixed-width font, of up to `most` characters."""
    # A newline right after <pre> is dropped by a browser, so the text's own first one is kept.
    return Html(f"<pre>\n{clipped(value, most)}</pre>")


def joined(parts: Iterable[Html], between: str = "") -> Html:
    """HTML one after the other."""
    return Html(text(between).join(parts))


def document(title: str, sections: Sequence[tuple[str, Html]], opening: Html) -> Html:
    """The whole page: an opening, then sections with headings, and links to them.

    The page's own policy forbids scripts and everything from elsewhere.
    """
    names = [re.sub(r"[^a-z]+", "-", name.lower()).strip("-") for name, _ in sections]
    links = joined(
        Html(f'<a href="#{name}">{text(heading)}</a>\n')
        for name, (heading, _) in zip(names, sections, strict=True)
    )
    body = joined(
        Html(f'<section id="{name}">\n<h2>{text(heading)}</h2>\n{content}</section>\n')
        for name, (heading, content) in zip(names, sections, strict=True)
    )
    return Html(
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta http-equiv="Content-Security-Policy" '
        "content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{text(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
        f'<header>\n{opening}\n<nav aria-label="Sections">\n{links}</nav>\n</header>\n'
        f"<main>\n{body}</main>\n</body>\n</html>\n"
    )


def table(
    head: Sequence[Any],
    rows: Iterable[Sequence[Any]],
    caption: str = "",
    words: Sequence[int] = (),
    kind: str = "plain",
) -> Html:
    """A table whose first column names the rows; it scrolls sideways where it is too wide.

    Args:
      head: names of the columns; none: two columns of names and values.
      words: columns of text, set to the left.
    """
    top = joined(
        Html(f'<th scope="col"{" class=words" if i in words else ""}>{text(name)}</th>')
        for i, name in enumerate(head)
    )
    body = []
    for first, *rest in rows:
        cells = joined(
            value if isinstance(value, _Cell) else cell(value, "words" if i in words else "")
            for i, value in enumerate(rest, 1)
        )
        body.append(Html(f'<tr><th scope="row">{text(first)}</th>{cells}</tr>\n'))
    # A <caption> would be as wide as the table and scroll away with it.
    named = f' aria-label="{text(caption)}"' if caption else ""
    return Html(
        (f'<p class="note caption">{text(caption)}</p>\n' if caption else "")
        + f"<div class=scroll tabindex=0><table class={kind}{named}>"
        + (f"<thead><tr>{top}</tr></thead>" if head else "")
        + f"<tbody>\n{joined(body)}</tbody></table></div>\n"
    )


class _Cell(Html):
    """A whole table cell."""


def cell(value: Any, kind: str = "", title: str = "") -> Html:
    """A table cell with classes of its own and a title that a pointer shows."""
    attributes = (f' class="{kind}"' if kind else "") + (f' title="{text(title)}"' if title else "")
    return _Cell(f"<td{attributes}>{text(value)}</td>")


def note(value: Any) -> Html:
    """A paragraph in small print."""
    return Html(f"<p class=note>{text(value)}</p>\n")


def heading(value: Any) -> Html:
    """A heading within a section."""
    return Html(f"<h3>{text(value)}</h3>\n")


def cards(values: Iterable[tuple[Any, Any]]) -> Html:
    """Large values, each with what it is."""
    shown = joined(
        Html(f"<div class=card><b>{text(value)}</b><span>{text(what)}</span></div>\n")
        for value, what in values
    )
    return Html(f"<div class=cards>\n{shown}</div>\n")


def details(summary: Any, content: Html, kind: str = "", opened: bool = False) -> Html:
    """Content that opens below its summary."""
    return Html(
        f'<details class="{kind}"{" open" if opened else ""}><summary>{text(summary)}</summary>\n'
        f"{content}</details>\n"
    )


def chip(value: Any, kind: str = "") -> Html:
    """A short remark in a frame; kinds are good, bad and mark."""
    return Html(f'<span class="chip {kind}">{text(value)}</span>')


def bar(value: float, name: str = "", full: float = 1.0) -> Html:
    """A number with a small bar beside it, which is full at `full`."""
    width = 100 * min(max(value / full, 0.0), 1.0)
    label = f"{name} " if name else ""
    return Html(
        f'<span class=bar><span aria-hidden=true><i style="width:{width:.0f}%"></i></span>'
        f"{text(label)}{value:.2f}</span>"
    )


def interval_bar(values: Sequence[float]) -> Html:
    """(mean, low, high) in [0, 1], drawn to scale."""
    if any(v != v for v in values):
        return Html("")
    mean, low, high = (100 * min(max(v, 0.0), 1.0) for v in values)
    return Html(
        f'<span class=interval aria-hidden=true><i style="left:{low:.1f}%;'
        f'width:{high - low:.1f}%"></i><b style="left:{mean:.1f}%"></b></span>'
    )


def counts_bar(counts: Mapping[str, int]) -> Html:
    """Counts side by side in proportion, by class: good, bad, or another."""
    total = sum(counts.values())
    if not total:
        return Html("")
    parts = joined(
        Html(f'<i class="{kind}" style="width:{100 * n / total:.1f}%"></i>')
        for kind, n in counts.items()
    )
    return Html(f"<span class=parts aria-hidden=true>{parts}</span>")


def interval(values: Sequence[float], sign: str = "") -> str:
    """(mean, low, high) as text."""
    mean, low, high = values
    return f"{mean:{sign}.3f} [{low:{sign}.3f}, {high:{sign}.3f}]".replace("-", "−")


def number(value: float | None) -> str:
    """Three decimals, or a dash where there is nothing."""
    return "–" if value is None or value != value else f"{value:.3f}".replace("-", "−")


def signed(value: float, decimals: int = 3) -> str:
    """A difference: always with its sign."""
    return f"{value:+.{decimals}f}".replace("-", "−")


def share(part: float, whole: float) -> str:
    """Part of a whole, in percent; a dash where there is no whole."""
    return f"{100 * part / whole:.1f} %" if whole else "–"


def _escape(match: re.Match[str]) -> str:
    return match.group().encode("unicode_escape").decode("ascii")
