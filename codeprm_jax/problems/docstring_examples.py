"""Examples in a docstring, read as calls and their results.

People write examples in many ways: doctests, `f(x) == y`, `f(x) ➞ y`, `f(x) should return y`,
"For x = 1 the output should be 2", "Input: … Output: …". Values are read as Python literals and
nothing is ever executed; what cannot be read that way is no example.
"""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sandbox_runner import codec

_ARROWS = r"==>|=>|->|➞|→|⇒|===|==|=(?!=)"
_WORDS = r"(?:should\s+)?(?:returns?|gives?|is|equals?)\b(?:\s*[:=])?"
_SEPARATOR = re.compile(rf"[ \t]*(?:#[ \t]*)?(?:{_ARROWS}|{_WORDS})\s*", re.UNICODE)
_ASSIGNED = re.compile(r"([A-Za-z_]\w*)\s*[=:](?!=)\s*")
_OUTCOME = re.compile(
    r"the\s+(?:output|result|answer)\s+(?:should\s+be|is|will\s+be)\s*:?\s*", re.IGNORECASE
)
_RETURNED = re.compile(
    r"^[ \t]*([A-Za-z_]\w*[ \t]*=[ \t]*[^=\n]*)\n(?:[ \t]*->[^\n]*\n)*[ \t]*return\s*=?\s*",
    re.MULTILINE,
)
_SPELLINGS = {"true": True, "false": False, "null": None, "none": None}
_OPERATOR_NEXT = re.compile(r"[ \t]*[-+*/%<>&|^]")
_GLUED = re.compile(r"[\w'\"(\[]|\.\w")


@dataclass(frozen=True)
class Example:
    """A call of the entry point and its result, both plain values.

    Attributes:
      args: positional arguments.
      expected: what the docstring says the call returns.
      wrapper: source of an expression around the call in which `candidate` stands for the entry
        point, such as "round(candidate([1, 2]), 2)"; None for the bare call.
    """

    args: tuple[Any, ...]
    expected: Any
    wrapper: str | None = None

    def call(self, entry_point: str) -> str:
        """The call as source, in one spelling."""
        if self.wrapper is not None:
            return re.sub(r"\bcandidate\b", entry_point, self.wrapper)
        return f"{entry_point}({', '.join(map(repr, self.args))})"


def find_examples(docstring: str, entry_point: str, parameters: Sequence[str]) -> list[Example]:
    """The examples in a docstring, in the order of the text, without repetitions.

    Args:
      docstring: its text.
      entry_point: the function that the examples call. Where none calls it, examples that call
        another name are taken for it.
      parameters: the function's parameter names, for examples that assign them.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about the escapes in examples
        found = _all_forms(docstring, entry_point, parameters)
    unique: dict[str, Example] = {}
    for _, example in sorted(found, key=lambda pair: pair[0]):
        if _is_plain(example):
            unique.setdefault(example.call(entry_point), example)
    return list(unique.values())


def _all_forms(
    docstring: str, entry_point: str, parameters: Sequence[str]
) -> list[tuple[int, Example]]:
    """(position, example) for each."""
    found = list(_calls(docstring, entry_point, parameters))
    found += _assignments(docstring, parameters)
    found += _input_output(docstring, parameters)
    found += _assigned_then_returned(docstring, parameters)
    if not found:
        names = dict.fromkeys(re.findall(r"\b([A-Za-z_]\w*)\(", docstring))
        for name in names:
            found += _calls(docstring, name, parameters)
    return found


def _calls(text: str, name: str, parameters: Sequence[str]) -> Iterator[tuple[int, Example]]:
    """Examples written as a call with its result beside or below it."""
    for match in re.finditer(rf"(?<![\w.]){re.escape(name)}\(", text):
        source = _expression_at(text, match.start())
        if source is None:
            continue
        start, end = match.start(), match.start() + len(source)
        line_start = text.rfind("\n", 0, start) + 1
        prompt = re.match(r"[ \t]*>>>[ \t]*", text[line_start:])
        wrapper = None
        if prompt is not None and line_start + prompt.end() != start:
            start = line_start + prompt.end()
            whole = _expression_at(text, start)
            if whole is None or start + len(whole) < end:
                continue
            wrapper = _wrapped(whole, name)
            end = start + len(whole)
            if wrapper is None:
                continue
        args = _arguments(source, parameters)
        if args is None:
            continue
        result = _result_after(text, end, doctest=prompt is not None)
        if result is not None:
            yield start, Example(args, result[0], wrapper)


def _result_after(text: str, end: int, doctest: bool) -> tuple[Any] | None:
    """The value beside a call that ends at `end`, or below it in a doctest."""
    separator = _SEPARATOR.match(text, end)
    # Prose may break the line after "should"; a doctest's own line may not.
    if separator is None and not doctest:
        separator = re.compile(r"\s+should\s+return\s+").match(text, end)
    if separator is not None:
        return _value_at(text, separator.end())
    if not doctest:
        return None
    line, _, below = text[end:].partition("\n")
    if line.strip() and not line.strip().startswith("#"):
        return None
    block = []
    for row in below.split("\n"):
        if not row.strip() or row.lstrip().startswith(">>>"):
            break
        block.append(row.strip())
    if not block:
        return (None,)
    for size in range(len(block), 0, -1):
        value = _literal("\n".join(block[:size]))
        if value is not None:
            return value
    return None


def _assignments(text: str, parameters: Sequence[str]) -> Iterator[tuple[int, Example]]:
    """Examples such as 'For s = "ab", c = "b" the result should be "a"'."""
    for match in re.finditer(r"\bFor\s+(?=[A-Za-z_]\w*\s*=)", text):
        line_end = text.find("\n", match.end())
        outcome = _OUTCOME.search(text, match.end(), len(text) if line_end < 0 else line_end)
        if outcome is None:
            continue
        args = _assigned(text[match.end() : outcome.start()], parameters)
        value = _value_at(text, outcome.end())
        if args is not None and value is not None:
            yield match.start(), Example(args, value[0])


def _input_output(text: str, parameters: Sequence[str]) -> Iterator[tuple[int, Example]]:
    """Examples such as 'Input: x = 1, y = 2' with 'Output: 3' below."""
    for match in re.finditer(r"\bInput:\s*(.*?)\s*\bOutput:\s*", text, re.DOTALL):
        given = match[1]
        args = _assigned(given, parameters)
        if args is None and len(parameters) == 1:
            value = _literal(given)
            args = None if value is None else (value[0],)
        value = _value_at(text, match.end())
        if args is not None and value is not None:
            yield match.start(), Example(args, value[0])


def _assigned_then_returned(text: str, parameters: Sequence[str]) -> Iterator[tuple[int, Example]]:
    """Examples such as 'arr = [1]' with 'return [2]' on a line of its own below."""
    for match in _RETURNED.finditer(text):
        args = _assigned(match[1], parameters)
        value = _value_at(text, match.end())
        if args is not None and value is not None:
            yield match.start(), Example(args, value[0])


def _assigned(text: str, parameters: Sequence[str]) -> tuple[Any, ...] | None:
    """Values of `name = value` or `name : value` pairs, in the order of the parameters."""
    values: dict[str, Any] = {}
    position = 0
    while (match := _ASSIGNED.search(text, position)) is not None:
        source = _expression_at(text, match.end())
        value = None if source is None else _literal(source)
        if source is None or value is None:
            return None
        # "bucket_capacity" stands for "capacity".
        names = [p for p in parameters if match[1] == p or match[1].endswith(f"_{p}")]
        if len(names) != 1 or names[0] in values:
            return None
        values[names[0]] = value[0]
        position = match.end() + len(source)
    if not values or set(values) != set(parameters):
        return None
    return tuple(values[p] for p in parameters)


def _value_at(text: str, start: int) -> tuple[Any] | None:
    """The literal that stands at `start`; for "1 + 2 = 3" the last part."""
    line = text[start:].partition("\n")[0]
    if (chain := re.fullmatch(r"[\s\d()*/+.-]+=\s*(-?[\d.]*\d)\s*", line)) is not None:
        return _literal(chain[1])
    source = _expression_at(text, start)
    if source is None:
        return None
    return _literal(source)


def _expression_at(text: str, start: int) -> str | None:
    """The operand (literal, name or call) at `start`; None where there is none.

    A number that goes on with an operator is refused: its sum is not worked out here.
    """
    depth, position = 0, start
    if position < len(text) and text[position] in "+-":
        position += 1
    while position < len(text):
        if (string := _STRING.match(text, position)) is not None:
            position = string.end()
        elif text[position] in "([{":
            depth += 1
            position += 1
        elif text[position] in ")]}":
            depth -= 1
            position += 1
        elif (word := _WORD.match(text, position)) is not None:
            position = word.end()
            if depth == 0 and text[position : position + 1] == "(":
                continue
        elif depth > 0:
            position += 1
            continue
        else:
            return None
        if depth < 0 or position - start > 2000:
            return None
        if depth == 0:
            source = text[start:position]
            try:
                ast.parse(source, mode="eval")
            except (SyntaxError, ValueError):
                return None
            if _GLUED.match(text, position):
                return None
            number = source[-1].isdigit()
            return None if number and _OPERATOR_NEXT.match(text, position) else source
    return None


_STRING = re.compile(r"'(?:[^'\\\n]|\\.)*'|\"(?:[^\"\\\n]|\\.)*\"")
_WORD = re.compile(r"\d+(?:\.\d+)?(?:[eE][+-]?\d+)?|[^\W\d]\w*")


def _literal(source: str) -> tuple[Any] | None:
    """(value,) of a Python literal, or of true, false and null; None for all else."""
    source = source.strip()
    if source.lower() in _SPELLINGS:
        return (_SPELLINGS[source.lower()],)
    try:
        return (ast.literal_eval(source),)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return None


def _arguments(call: str, parameters: Sequence[str]) -> tuple[Any, ...] | None:
    """The arguments of a call in source; a bare word that is no parameter is a string."""
    node = ast.parse(call, mode="eval").body
    if not isinstance(node, ast.Call) or node.keywords or len(node.args) != len(parameters):
        return None
    values = []
    for argument in node.args:
        if isinstance(argument, ast.Name) and argument.id not in parameters:
            values.append(_SPELLINGS.get(argument.id.lower(), argument.id))
            continue
        value = _literal(ast.unparse(argument))
        if value is None:
            return None
        values.append(value[0])
    return tuple(values)


def _wrapped(source: str, name: str) -> str | None:
    """A `round(name(…), digits)` with `candidate` for the name; None for other wrappers."""
    node = ast.parse(source, mode="eval").body
    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name)):
        return None
    if node.func.id != "round" or not node.args or not isinstance(node.args[0], ast.Call):
        return None
    inner = node.args[0]
    if not (isinstance(inner.func, ast.Name) and inner.func.id == name):
        return None
    inner.func.id = "candidate"
    return ast.unparse(node)


def _is_plain(example: Example) -> bool:
    try:
        codec.encode([*example.args, example.expected])
    except codec.CodecError:
        return False
    return True
