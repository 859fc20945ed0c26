"""Plain values as tagged JSON: the only form in which data crosses the jail. Never pickle.

None, booleans, integers, finite floats, strings, lists and dicts with string keys are themselves.
All else that Python literals can say is an object with the one key "$": a type name, and its
content. Types are exact: a subclass is not plain data and does not pass.
"""

from __future__ import annotations

import math
from typing import Any

MAX_DEPTH = 200


class CodecError(ValueError):
    """A value that is not plain data, or JSON that is no encoding of one."""


def encode(value: Any, depth: int = 0) -> Any:
    """The JSON form of plain data. Raises CodecError on any other type and on deep nesting."""
    if depth > MAX_DEPTH:
        raise CodecError(f"nested deeper than {MAX_DEPTH}")
    kind = type(value)
    if value is None or kind in (bool, str):
        return value
    if kind is int:
        # Past 2**63 JSON readers differ, and decimal conversion is bounded by the interpreter.
        return value if -(2**63) <= value < 2**63 else {"$": "int", "hex": hex(value)}
    if kind is float:
        return value if math.isfinite(value) else {"$": "float", "repr": repr(value)}
    if kind is complex:
        return {"$": "complex", "parts": [encode(value.real), encode(value.imag)]}
    if kind is bytes:
        return {"$": "bytes", "hex": value.hex()}
    if kind is list:
        return [encode(v, depth + 1) for v in value]
    if kind in (tuple, set, frozenset):
        return {"$": kind.__name__, "items": [encode(v, depth + 1) for v in value]}
    if kind is dict:
        if "$" not in value and all(type(k) is str for k in value):
            return {k: encode(v, depth + 1) for k, v in value.items()}
        pairs = [[encode(k, depth + 1), encode(v, depth + 1)] for k, v in value.items()]
        return {"$": "dict", "pairs": pairs}
    raise CodecError(f"{kind.__module__}.{kind.__qualname__} is not plain data")


def decode(data: Any, depth: int = 0) -> Any:
    """The value that `encode` was given. Raises CodecError on anything else."""
    if depth > MAX_DEPTH:
        raise CodecError(f"nested deeper than {MAX_DEPTH}")
    if isinstance(data, list):
        return [decode(v, depth + 1) for v in data]
    if not isinstance(data, dict):
        return data
    if "$" not in data:
        return {k: decode(v, depth + 1) for k, v in data.items()}
    try:
        match data["$"]:
            case "int":
                return int(data["hex"], 16)
            case "float":
                return {"inf": math.inf, "-inf": -math.inf, "nan": math.nan}[data["repr"]]
            case "complex":
                return complex(*(decode(p) for p in data["parts"]))
            case "bytes":
                return bytes.fromhex(data["hex"])
            case "tuple":
                return tuple(decode(v, depth + 1) for v in data["items"])
            case "set":
                return {decode(v, depth + 1) for v in data["items"]}
            case "frozenset":
                return frozenset(decode(v, depth + 1) for v in data["items"])
            case "dict":
                return {decode(k, depth + 1): decode(v, depth + 1) for k, v in data["pairs"]}
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise CodecError(f"malformed {data['$']!r} object: {error}") from error
    raise CodecError(f"unknown type tag {data['$']!r}")
