"""Frozen dataclasses from JSON, every value checked: a damaged file is a message, no traceback."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

from codeprm_jax.files import InputError

T = TypeVar("T")


def read_dataclass(kind: type[T], data: Any, where: str) -> T:
    """`kind` made of a JSON object.

    Understands int, float, str, bool, Literal, Optional, tuples of one kind, and dataclasses of
    these.

    Raises InputError, which begins with `where` and names the field: unknown, missing or of another
    kind.
    """
    if not isinstance(data, Mapping):
        raise InputError(f"{where}: an object is needed, not {data!r}")
    hints = typing.get_type_hints(kind)
    fields = {f.name: f for f in dataclasses.fields(kind)}  # type: ignore[arg-type]
    if unknown := sorted(map(str, data.keys() - fields.keys())):
        raise InputError(f"{where}: unknown {', '.join(unknown)}")
    missing = [
        name
        for name, field in fields.items()
        if name not in data
        and field.default is dataclasses.MISSING
        and field.default_factory is dataclasses.MISSING
    ]
    if missing:
        raise InputError(f"{where}: {', '.join(missing)} is missing")
    return kind(**{k: _value(hints[k], v, f"{where}: {k}") for k, v in data.items()})


def _value(hint: Any, value: Any, where: str) -> Any:
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        if value is None and type(None) in get_args(hint):
            return None
        (hint,) = (h for h in get_args(hint) if h is not type(None))
        return _value(hint, value, where)
    if dataclasses.is_dataclass(hint):
        return read_dataclass(hint, value, where)  # type: ignore[arg-type]
    if origin is Literal:
        if value not in get_args(hint):
            raise InputError(f"{where} is {value!r}, none of {', '.join(map(str, get_args(hint)))}")
        return value
    if origin is tuple:
        if not isinstance(value, list | tuple):
            raise InputError(f"{where} is {value!r}; a list is needed")
        return tuple(_value(get_args(hint)[0], item, where) for item in value)
    wanted = (int, float) if hint is float else (hint,)
    if not isinstance(value, wanted) or (isinstance(value, bool) and hint is not bool):
        raise InputError(f"{where} is {value!r}; {hint.__name__} is needed")
    return hint(value)
