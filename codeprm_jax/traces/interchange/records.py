"""Records of foreign files one at a time, with every bad one named, and strict JSON.

What JSON as Python reads it would change in silence is refused: NaN and infinities, and a key that
an object has twice.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from codeprm_jax.files import InputError


@dataclass(frozen=True)
class Line:
    """One record of a file, or why it is none.

    Attributes:
      number: of the line, or of the item of a list or folder, from 1.
      where: names file and line, for messages.
      record: the object; empty where there is an error.
      error: what is wrong with it.
    """

    number: int
    where: str
    record: dict[str, Any]
    error: InputError | None = None


def read_lines(path: Path) -> Iterator[Line]:
    """The objects of a JSON Lines file; blank lines are passed over.

    Raises InputError if the file cannot be read at all.
    """
    try:
        # Lines of bytes: in a text, a string may hold U+2028 and its like unescaped.
        with open(path, "rb") as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    yield _line(number, f"{path}, line {number}", line)
    except FileNotFoundError:
        raise InputError(f"{path} does not exist") from None
    except IsADirectoryError:
        raise InputError(f"{path} is a folder; a JSON Lines file is needed") from None


def read_documents(path: Path) -> Iterator[Line]:
    """The objects of a folder of .json files, of one .json file (an object or a list), or of lines.

    One file is held at a time. Raises InputError if nothing can be read at all.
    """
    if path.is_dir():
        files = sorted(path.glob("*.json"))
        if not files:
            raise InputError(f"{path} holds no .json file; name the folder mc_labels itself")
        for number, file in enumerate(files, 1):
            yield _line(number, str(file), file.read_bytes())
    elif path.suffix == ".json" and path.is_file():
        try:
            data = parse(path.read_bytes())
        except InputError as error:
            raise InputError(f"{path}: {error}; lines of JSON need the suffix .jsonl") from error
        for number, item in enumerate(data if isinstance(data, list) else [data], 1):
            yield _checked(number, f"{path}, item {number}", item)
    else:
        yield from read_lines(path)


def parse(text: str | bytes) -> Any:
    """One JSON value. Raises InputError on what is no JSON or would not be kept."""
    try:
        decoded = text.decode("utf-8") if isinstance(text, bytes) else text
        return json.loads(
            decoded,
            parse_constant=_refuse_constant,
            parse_float=_finite,
            object_pairs_hook=_unique,
        )
    except UnicodeDecodeError as error:
        raise InputError(f"not UTF-8 text: {error}") from error
    except InputError:
        raise
    except RecursionError as error:
        raise InputError("nested too deeply") from error
    except ValueError as error:
        raise InputError(f"not valid JSON: {error}") from error


def same_json(first: Any, second: Any) -> bool:
    """Whether two values are the same JSON: 1, 1.0 and true are not; the order of keys is free."""
    return json.dumps(first, sort_keys=True) == json.dumps(second, sort_keys=True)


def need(record: Mapping[str, Any], name: str, kind: type | tuple[type, ...], what: str) -> Any:
    """`record[name]`, checked; `what` names the form. Raises InputError that names the field."""
    if name not in record:
        found = ", ".join(sorted(map(str, record))) or "none"
        raise InputError(f"field {name!r} is missing (found: {found}); is this {what}?")
    value, kinds = record[name], kind if isinstance(kind, tuple) else (kind,)
    # bool is an int in Python, and not in JSON.
    if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
        wanted = " or ".join(_JSON_NAMES[k] for k in kinds)
        raise InputError(f"field {name!r} must be {wanted}, not {_JSON_NAMES[type(value)]}")
    return value


def need_texts(record: Mapping[str, Any], name: str, what: str) -> list[str]:
    """`record[name]`, a list of at least one string. Raises InputError that names the field."""
    values = need(record, name, list, what)
    if not values:
        raise InputError(f"field {name!r} is empty: a trace has at least one step")
    for index, value in enumerate(values, 1):
        if not isinstance(value, str):
            raise InputError(f"field {name!r}, item {index}: a string is needed")
    return values


def check_rates(name: str, values: Sequence[Any]) -> None:
    """Raises InputError unless all are booleans, or all are numbers in [0, 1]."""
    booleans = sum(isinstance(v, bool) for v in values)
    if booleans == len(values):
        return
    if booleans:
        raise InputError(f"field {name!r} mixes booleans and numbers; write all in one kind")
    for index, value in enumerate(values, 1):
        if not isinstance(value, int | float) or not 0 <= value <= 1:
            raise InputError(
                f"field {name!r}, item {index} is {value!r}: a boolean or a number in [0, 1] is "
                "needed"
            )


_JSON_NAMES = {
    str: "a string",
    list: "a list",
    dict: "an object",
    int: "an integer",
    float: "a number",
    bool: "a boolean",
    type(None): "null",
}


def _line(number: int, where: str, content: bytes) -> Line:
    try:
        return _checked(number, where, parse(content))
    except InputError as error:
        return Line(number, where, {}, error)


def _checked(number: int, where: str, value: Any) -> Line:
    if isinstance(value, dict):
        return Line(number, where, value)
    error = InputError(f"an object is needed, not {_JSON_NAMES[type(value)]}")
    return Line(number, where, {}, error)


def _refuse_constant(name: str) -> Any:
    raise InputError(f"{name} is no JSON number")


def _finite(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise InputError(f"{text} is beyond the range of a 64-bit number")
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    record = dict(pairs)
    if len(record) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(n for n in names if names.count(n) > 1)
        raise InputError(f"key {twice!r} is there twice in one object; one would be lost")
    return record
