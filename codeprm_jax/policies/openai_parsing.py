"""What a language model wrote, read tolerantly: thoughts, programs, steps and values.

Nothing here raises, whatever the text: what cannot be read is None or empty, and the policy says
which failure that is.
"""

from __future__ import annotations

import ast
import json
import re
import textwrap
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

DONE = "DONE"  # a line of its own: the plan needs no further thought

_THINKING = re.compile(r"<(think|thinking)>.*?(?:</\1>|\Z)", re.DOTALL | re.IGNORECASE)
_THOUGHT_ENDS = re.compile(r"</think(?:ing)?>", re.IGNORECASE)

# Of a line; code within backticks on one line opens no block.
_FENCE = re.compile(r"[ \t]*(`{3,}(?=[^`]*$)|~{3,})[ \t]*[{.]*(\w*)")
# "1.", "2)", "(3)", "Step 4:", "### Thought 5 -", "**Step 6.**", "**7. Bold** text".
_NUMBERED = re.compile(
    r"\s*(?:[#>]+[ \t]*)?(?P<bold>\*\*)?[ \t]*"
    r"(?:(?:step|thought)[ \t]*#?\d{1,3}(?P<end>\*\*)?(?:[ \t]*[.:)]|[ \t]+[-–—]|[ \t]*$)"
    r"|\(\d{1,3}\)|\d{1,3}[.):](?![\d.]))(?P<rest>.*)",
    re.IGNORECASE,
)
_BULLET = re.compile(r"\s*[-*+•](?:[ \t]+|$)(?P<rest>.*)")
_BOLD = re.compile(r"(?<![\w*])\*\*(?=[^\s*])(.+?)(?<=[^\s*])\*\*(?![\w*])")
_LABEL = re.compile(
    r"(?:\*\*)?(?:(?:the )?(?:new|next|rewritten|revised|corrected) )?(?:thought|step)"
    r"[ \t]*(?:\*\*)?:(?:\*\*)?",
    re.IGNORECASE,
)

_STEP_TEXT = r"(?:step|thought)(?:[\s*_#:=]|number|no\.?|is)*(\d{1,4})\b"
_STEP = re.compile(_STEP_TEXT, re.IGNORECASE)
_STEP_LINE = re.compile(rf"(?:\W|answer|_)*{_STEP_TEXT}[\W_]*", re.IGNORECASE)
_WHOLE = re.compile(r"(?<![\w.,/-])\d{1,4}(?![\w%/]|[.,]\d)")

_NUMBER = r"[-+]?(?:\d{1,12}(?:\.\d{0,40})?|\.\d{1,40})(?:e[-+]?\d{1,3})?"
_VALUE = re.compile(
    rf"(?<![\w.])(?<!\d,)(?P<number>{_NUMBER})"
    rf"(?:[\s*]*(?P<percent>%|per ?cent\b)|\s*(?:/|out of)\s*(?P<of>{_NUMBER}))?(?![\w])",
    re.IGNORECASE,
)
_LABELLED = re.compile(
    r"(?:score|value|probability|likelihood|chance|confidence|rating|estimate|answer)"
    r"[\s\"'*_]*(?:is|of|=|:|≈)[\s\"'*_:]*",
    re.IGNORECASE,
)

_CODE_LINE = re.compile(r"(?:def |async def |class |import |from \w|@\w)")
_PYTHON = ("python", "py", "python3")


@dataclass(frozen=True)
class Plan:
    """Thoughts as they were written.

    Attributes:
      thoughts: each on one line.
      done: whether the model said that no further thought is needed.
      open: whether the text ends within the last thought, so that a cut may have shortened it.
    """

    thoughts: tuple[str, ...] = ()
    done: bool = False
    open: bool = False


@dataclass(frozen=True)
class Block:
    """A fenced block. `closed` says whether its end was there."""

    language: str
    code: str
    closed: bool


def visible(text: str) -> str:
    """The text without the model's thinking; all of it is encodable.

    A block that is not closed was cut off, and nothing follows it. A closing tag alone belongs to a
    template that opens the block itself.
    """
    text = text.encode("utf-8", "replace").decode("utf-8").replace("\r\n", "\n")
    text = _THINKING.sub("", text)
    return _THOUGHT_ENDS.split(text)[-1].strip()


def parse_plan(text: str) -> Plan:
    """Thoughts of a visible text: a list in JSON, numbered, or with bullets."""
    if (listed := _json_list(text)) is not None:
        return _plan(listed)
    lines = list(_before_fence(text))
    marker = _NUMBERED if any(map(_NUMBERED.match, lines)) else _BULLET
    items: list[str] = []
    inside = done = False
    for line in lines:
        if _is_done(line):
            inside, done = False, True
        elif done:
            break
        elif match := marker.match(line):
            items.append(_without_bold_start(match))
            inside = True
        elif inside and line.strip():
            items[-1] += f" {line.strip()}"
        elif inside:  # a blank line ends an item, unless its text is still to come
            inside = not _one_line(items[-1])
    if len(lines) < len(text.splitlines()):
        inside = False  # a fence follows
    return _plan(items, done, inside)


def parse_thought(text: str, index: int = 0, count: int = 1) -> str | None:
    """One thought of a visible text.

    Where the whole plan of `count` thoughts was written again, it is number `index` of them; where
    there is no list, the first paragraph.
    """
    if thoughts := parse_plan(text).thoughts:
        return thoughts[index] if len(thoughts) == count else thoughts[0]
    for paragraph in re.split(r"\n\s*\n", "\n".join(_before_fence(text))):
        thought = _one_line(_LABEL.sub("", paragraph.strip(), count=1))
        if thought and not _is_done(thought):
            return thought
    return None


def parse_program(text: str, entry_point: str | None, cut: bool) -> str | None:
    """The program of a visible text; None if there is none that is whole.

    Of several blocks the last that defines the entry point is taken: drafts come before a solution,
    and examples of its use do not define it. Where no name tells, the longest: examples of input,
    output and use are shorter than the program. With `cut`, a block whose end is missing is none.
    """
    blocks = [b for b in fenced_blocks(text) if b.code.strip() and (b.closed or not cut)]
    blocks = [b for b in blocks if not b.language or b.language in _PYTHON]
    if entry_point and (defining := [b for b in blocks if _defines(b.code, entry_point)]):
        return _tidy(defining[-1].code)
    if blocks := [b for b in blocks if b.language] or blocks:
        return _tidy(max(reversed(blocks), key=lambda b: len(b.code)).code)
    if cut or fenced_blocks(text):
        return None
    return _bare_program(text)


def parse_step(text: str, count: int) -> int | None:
    """The index (from 0) of the step, of `count`, that a visible text names last.

    A line that names a step and says nothing else comes before other mentions.
    """
    alone = [m[1] for line in text.splitlines() if (m := _STEP_LINE.fullmatch(line))]
    numbers = alone or _STEP.findall(text) or _WHOLE.findall(text)
    if numbers and 1 <= int(numbers[-1]) <= count:
        return int(numbers[-1]) - 1
    return None


def parse_value(text: str) -> float | None:
    """The last value in [0, 1] that a visible text names: "0.7", "7/10", "70%", "Score: 0.7".

    Numbers behind a word for it ("score", "probability" …) come before others.
    """
    labelled = [v for m in _LABELLED.finditer(text) if (v := _VALUE.match(text, m.end()))]
    for match in reversed(labelled or list(_VALUE.finditer(text))):
        value = float(match["number"])
        if match["percent"]:
            value /= 100
        elif match["of"]:
            whole = float(match["of"])
            value = value / whole if whole else -1.0
        return value if 0 <= value <= 1 else None
    return None


def fenced_blocks(text: str) -> list[Block]:
    """The blocks between fences, in order; an open one reaches to the end of the text."""
    blocks: list[Block] = []
    fence = language = ""
    code: list[str] = []
    for line in text.split("\n"):
        match = _FENCE.match(line)
        if not fence:
            if match:
                fence, language, code = match[1], match[2].lower(), []
        elif match and match[1].startswith(fence) and not line.strip().strip(fence[0]):
            blocks.append(Block(language, "\n".join(code), True))
            fence = ""
        else:
            code.append(line)
    if fence:
        blocks.append(Block(language, "\n".join(code), False))
    return blocks


def _plan(items: Sequence[str], done: bool = False, inside: bool = False) -> Plan:
    lines = [_one_line(i) for i in items]
    thoughts = tuple(t for t in lines if t and not _is_done(t))
    # An item of which the cut left nothing shortened no thought.
    return Plan(
        thoughts, done or any(map(_is_done, lines)), inside and lines[-1:] == [*thoughts][-1:]
    )


def _json_list(text: str) -> list[str] | None:
    """A JSON list of strings, alone, fenced, under one name, or within other text."""
    candidates = [b.code for b in fenced_blocks(text) if b.language in ("json", "")] + [text]
    start, end = text.find("["), text.rfind("]")
    if 0 <= start < end and text[start + 1 : end].lstrip()[:1] == '"':
        candidates.append(text[start : end + 1])
    for candidate in candidates:
        try:
            found: Any = json.loads(candidate)
        except (ValueError, RecursionError):
            continue
        if isinstance(found, dict) and len(found) == 1:
            (found,) = found.values()
        if isinstance(found, list) and found and all(isinstance(t, str) for t in found):
            return [t.encode("utf-8", "replace").decode("utf-8") for t in found]
    return None


def _before_fence(text: str) -> Iterator[str]:
    for line in text.splitlines():
        if _FENCE.match(line):
            return
        yield line


def _is_done(line: str) -> bool:
    return line.strip().strip("*_`.-# \t") == DONE


def _one_line(text: str) -> str:
    return _BOLD.sub(r"\1", " ".join(text.split())).strip()


def _without_bold_start(item: re.Match[str]) -> str:
    """The text of an item; of bold that opens before its number, the end is left out too."""
    groups = item.groupdict()
    opened = groups.get("bold") and not groups.get("end")
    return item["rest"].replace("**", "", 1) if opened else item["rest"]


def _tidy(code: str) -> str:
    code = code.strip("\n")
    return (textwrap.dedent(code) if code[:1].isspace() else code) + "\n"


def _tree(code: str) -> ast.Module | None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of odd escapes, in code that is not ours
        try:
            return ast.parse(code)
        except (SyntaxError, ValueError, MemoryError, RecursionError):
            return None


def _defines(code: str, name: str) -> bool:
    """Whether a program, even one that does not compile, defines a name."""
    pattern = rf"^[ \t]*(?:(?:async )?def|class)[ \t]+{re.escape(name)}\b|^{re.escape(name)}[ \t]*="
    return re.search(pattern, code, re.MULTILINE) is not None


def _bare_program(text: str) -> str | None:
    """Python with no fence: the whole text, or what begins at the first line of code."""
    lines = text.splitlines()
    first = next((i for i, line in enumerate(lines) if _CODE_LINE.match(line)), 0)
    for code in dict.fromkeys((text, "\n".join(lines[first:]))):
        tree = _tree(code)
        if tree is not None and any(map(_does_something, tree.body)):
            return _tidy(code)
    return None


def _does_something(statement: ast.stmt) -> bool:
    """False for what prose may be by chance, as "Sorry" is a name."""
    if isinstance(statement, ast.Expr):
        return isinstance(statement.value, ast.Call)
    return not isinstance(statement, ast.Pass | ast.AnnAssign)


def numbered(thoughts: Sequence[str], first: int = 1) -> str:
    """Thoughts as a list that `parse_plan` reads back."""
    return "\n".join(f"{n}. {' '.join(t.split())}" for n, t in enumerate(thoughts, first))


def fenced(code: str) -> str:
    """A program in a block that `parse_program` reads back, whatever fences it contains."""
    fence = "```"
    while fence in code:
        fence += "`"
    return f"{fence}python\n{code.strip(chr(10))}\n{fence}"
