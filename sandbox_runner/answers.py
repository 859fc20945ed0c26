"""What a call of a program gives, as it crosses the jail: plain data, or the news that it is none.

Runs in the process of the program, which may tamper with all of it. That gains it nothing: it could
as well have returned the value that it wants to be seen.
"""

from __future__ import annotations

import builtins
import collections
import sys
from collections.abc import Callable
from typing import Any, NoReturn

from sandbox_runner import codec


class OpaqueValueError(TypeError):
    """A program returned something that is no plain data, so nothing can be said about it."""


class ProgramError(RuntimeError):
    """An exception of the program whose type is not a built-in one."""


def answer(value: Any) -> dict[str, Any]:
    """{"value": encoded}, or {"opaque": what it is} for a value that is no plain data."""
    try:
        return {"value": codec.encode(value)}
    except codec.CodecError:
        pass  # the usual value passes at once; the rest is worth a second look
    try:
        return {"value": codec.encode(_plain(value))}
    except (codec.CodecError, TypeError) as error:
        opaque = {"opaque": f"a value that is no plain data: {error}"}
    try:
        return {**opaque, "truth": bool(value)}
    except Exception:  # noqa: BLE001 (its __bool__ is the program's)
        return opaque


def exception(name: str, message: str) -> Exception:
    """The built-in exception of that name, so that test code can catch it; else ProgramError."""
    kind = getattr(builtins, name, None)
    if name in ("StopIteration", "StopAsyncIteration"):
        kind = None  # it would end an iteration in the test code, and with it the test
    if isinstance(kind, type) and issubclass(kind, Exception):
        try:
            return kind(message)
        except TypeError:
            pass  # UnicodeDecodeError and its like want more
    return ProgramError(f"{name}: {message}")


class Opaque:
    """What test code holds of such a value: it is true or false, and all else about it fails."""

    __slots__ = ("_text", "_truth")

    def __init__(self, text: str, truth: object) -> None:
        object.__setattr__(self, "_text", text)
        object.__setattr__(self, "_truth", truth)

    def __bool__(self) -> bool:
        truth = object.__getattribute__(self, "_truth")
        if not isinstance(truth, bool):
            _refuse(self)
        return bool(truth)


def _refuse(value: Opaque, *_: object) -> NoReturn:
    raise OpaqueValueError(f"candidate returned {object.__getattribute__(value, '_text')}")


for _name in (
    *("eq", "ne", "lt", "le", "gt", "ge", "hash", "str", "repr", "format", "getattribute"),
    *("setattr", "delattr", "call", "len", "iter", "next", "reversed", "contains", "getitem"),
    *("setitem", "delitem", "index", "int", "float", "complex", "round", "abs", "neg", "pos"),
    *("invert", "enter", "exit", "await", "aiter", "fspath", "bytes", "instancecheck"),
    *(
        f"{side}{operator}"
        for side in ("", "r", "i")
        for operator in ("add", "sub", "mul", "matmul", "truediv", "floordiv", "mod", "pow")
    ),
    *(f"{side}{name}" for side in ("", "r", "i") for name in ("lshift", "rshift", "and", "xor")),
    *("or", "ror", "ior", "divmod", "rdivmod"),
):
    setattr(Opaque, f"__{_name}__", _refuse)


def _plain(value: Any, depth: int = 0) -> Any:
    """`value` as the plain data that it is equal to; what has an equality of its own as it is.

    A subclass of a plain type that compares as that does (a named tuple, an IntEnum, a defaultdict)
    is read by the methods of the plain type.
    """
    kind = type(value)
    if depth > codec.MAX_DEPTH:
        raise codec.CodecError(f"nested deeper than {codec.MAX_DEPTH}")
    if kind in _VIEWS:
        return {_plain(v, depth + 1) for v in value}
    generic = getattr(sys.modules.get("numpy"), "generic", None)
    if isinstance(generic, type) and issubclass(kind, generic):
        return value.item()
    if (kind.__module__, kind.__name__) in (("decimal", "Decimal"), ("fractions", "Fraction")):
        return _plain_number(value)
    for base, read in _READ_AS.items():
        if issubclass(kind, base) and kind.__eq__ in (base.__eq__, *_EQUAL_TO_DICTS):
            plain = read(value)
            if base is dict:
                return {_plain(k, depth + 1): _plain(v, depth + 1) for k, v in plain}
            if base in (list, tuple, set, frozenset):
                return base(_plain(v, depth + 1) for v in plain)
            return plain
    return value


def _plain_number(value: Any) -> Any:
    """A Decimal or a Fraction as the int or float that it is equal to, if there is one."""
    for kind in (int, float):
        try:
            if (plain := kind(value)) == value:
                return plain
        except (ArithmeticError, ValueError):
            pass  # infinite, or no number
    return value


_READ_AS: dict[type, Callable[[Any], Any]] = {
    dict: dict.items,
    list: list.__iter__,
    tuple: tuple.__iter__,
    set: set.__iter__,
    frozenset: frozenset.__iter__,
    int: int.__int__,
    float: float.__float__,
    complex: complex.__pos__,
    str: str.__str__,
    bytes: lambda value: bytes.__getitem__(value, slice(None)),
    bytearray: bytes,
}
_EQUAL_TO_DICTS = (collections.Counter.__eq__, collections.OrderedDict.__eq__)
_VIEWS: tuple[type, ...] = (type({}.keys()), type({}.items()))  # which are equal to sets
