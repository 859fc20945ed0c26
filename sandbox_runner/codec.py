"""Plain values as tagged JSON: the only form in which data crosses the jail. Never pickle.

None, booleans, integers, finite floats, strings, lists and dicts with string keys are themselves.
All else that Python literals can say is an object with the one key "$": a type name, and its
content. Types are exact: a subclass is not plain data and does not pass.

On a pipe or socket a value is a frame: four bytes of length, most significant first, then JSON.
The reader names the largest frame that it will take, and allocates no more than has arrived.
"""

from __future__ import annotations

import json
import json.encoder
import math
import os
import select
import struct
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
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
        if depth == MAX_DEPTH:
            return [decode(v, depth + 1) for v in data]
        return [decode(v, depth + 1) if type(v) in _NESTED else v for v in data]
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
                parts = [decode(p, depth + 1) for p in data["parts"]]
                if [type(p) for p in parts] != [float, float]:
                    raise CodecError("a complex number has two floats")
                return complex(*parts)
            case "bytes":
                return bytes.fromhex(data["hex"])
            case "tuple":
                return tuple(decode(v, depth + 1) for v in data["items"])
            case "set":
                return set(_hashed([decode(v, depth + 1) for v in data["items"]]))
            case "frozenset":
                return frozenset(_hashed([decode(v, depth + 1) for v in data["items"]]))
            case "dict":
                pairs = [(decode(k, depth + 1), decode(v, depth + 1)) for k, v in data["pairs"]]
                _hashed([key for key, _ in pairs])
                return dict(pairs)
    except CodecError:
        raise
    except (KeyError, TypeError, ValueError, IndexError, OverflowError) as error:
        raise CodecError(f"malformed {data['$']!r} object: {error}") from error
    raise CodecError(f"unknown type tag {data['$']!r}")


def _hashed(values: list[Any]) -> list[Any]:
    """`values`, if they can be looked up. Raises CodecError where hashes have been made to collide.

    A few coincide by nature (-1 and -2, so up to eight points of a grid). Each value is compared
    with all others of its hash, so n that share one cost n * n, and that at each level of a nest.
    """
    counts = Counter(map(hash, values))
    if sum(n * n for n in counts.values()) > _MOST_EQUAL_HASHES * len(values):
        raise CodecError(f"{len(values)} keys or members with few different hashes")
    return values


_MOST_EQUAL_HASHES = 8
_NESTED = (list, dict)  # the types of JSON that are not themselves

HEADER = struct.Struct(">I")
_length = len  # that of this interpreter, whatever a program has made of its own


def dumps(value: Any) -> bytes:
    """JSON text of an already encoded value, as compact ASCII bytes. Raises CodecError."""
    try:
        return "".join(_chunks(value, 0)).encode("ascii")
    except (TypeError, ValueError, RecursionError) as error:
        raise CodecError(f"no JSON form: {error}") from error


def loads(text: bytes | str) -> Any:
    """Parses JSON. Raises CodecError on what is no JSON, NaN and infinities included."""
    try:
        return _DECODER.decode(text if isinstance(text, str) else text.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise CodecError(f"no JSON: {error}") from error


def write_frame(fd: int, value: Any, max_bytes: int, deadline: float | None = None) -> None:
    """Writes `value` (already encoded) to `fd` as four bytes of length and JSON.

    `deadline` is a time.monotonic() in seconds; None waits for ever.

    Raises:
      CodecError: no JSON form, or longer than `max_bytes`.
      TimeoutError: the other side does not read. Part of the frame may have been written.
      OSError: the other side is gone.
    """
    write_payload(fd, dumps(value), max_bytes, deadline)


def write_payload(fd: int, payload: bytes, max_bytes: int, deadline: float | None = None) -> None:
    """`write_frame` for JSON text that is at hand."""
    if len(payload) > max_bytes:
        raise CodecError(f"a frame of {len(payload)} bytes; at most {max_bytes} are allowed")
    rest = frame(payload)
    while rest:
        try:
            rest = rest[os.write(fd, rest) :]
        except BlockingIOError:
            _wait(fd, select.POLLOUT, deadline)


def frame(payload: bytes) -> bytes:
    """The bytes of the frame that holds a JSON text."""
    return HEADER.pack(_length(payload)) + payload


def read_frame(fd: int, max_bytes: int, deadline: float | None = None) -> Any:
    """The next value from `fd`, still encoded.

    Raises:
      CodecError: longer than `max_bytes`, cut short, or no JSON.
      EOFError: the other side closed between two frames.
      TimeoutError: no whole frame before `deadline`, a time.monotonic() in seconds.
      OSError: reading failed.
    """
    return loads(read_payload(fd, max_bytes, deadline))


def read_payload(fd: int, max_bytes: int, deadline: float | None = None) -> bytes:
    """`read_frame` without parsing the JSON text."""
    header = _read_exactly(fd, HEADER.size, deadline)
    if not header:
        raise EOFError("the other side closed the channel")
    if len(header) < HEADER.size:
        raise CodecError("a frame cut short in its length")
    (size,) = HEADER.unpack(header)
    if size > max_bytes:
        raise CodecError(f"a frame of {size} bytes; at most {max_bytes} are allowed")
    payload = _read_exactly(fd, size, deadline)
    if len(payload) < size:
        raise CodecError("a frame cut short")
    return payload


class FrameBuffer:
    """Frames out of bytes that arrive in any pieces, for a reader that cannot wait for the rest.

    Holds no more than one frame of `max_bytes` and what was fed last.
    """

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self._pending = bytearray()

    def feed(self, data: bytes) -> Iterator[Any]:
        """The values, still encoded, of the frames that `data` completes.

        Raises:
          CodecError: a frame that is longer than allowed, or no JSON. What follows is lost.
        """
        self._pending += data
        while len(self._pending) >= HEADER.size:
            (size,) = HEADER.unpack_from(self._pending)
            if size > self.max_bytes:
                self._pending.clear()
                raise CodecError(f"a frame of {size} bytes; at most {self.max_bytes} are allowed")
            end = HEADER.size + size
            if len(self._pending) < end:
                return
            payload = bytes(self._pending[HEADER.size : end])
            del self._pending[:end]
            yield loads(payload)


def _read_exactly(fd: int, size: int, deadline: float | None) -> bytes:
    parts: list[bytes] = []
    missing = size
    while missing:
        if deadline is not None:
            _wait(fd, select.POLLIN, deadline)
        try:
            part = os.read(fd, min(missing, 1 << 20))
        except BlockingIOError:
            _wait(fd, select.POLLIN, deadline)
            continue
        if not part:
            break
        parts.append(part)
        missing -= len(part)
    return b"".join(parts)


def _wait(fd: int, event: int, deadline: float | None) -> None:
    poll = select.poll()
    poll.register(fd, event)
    timeout = None if deadline is None else max(0.0, deadline - time.monotonic()) * 1000
    if not poll.poll(timeout):
        raise TimeoutError("the other side of the channel does not answer")


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


def _encoder() -> Callable[[Any, int], Iterable[str]]:
    # What JSONEncoder.encode makes anew for every value. What is encoded holds no cycles.
    encoder = json.JSONEncoder(separators=(",", ":"), allow_nan=False, check_circular=False)
    make = getattr(json.encoder, "c_make_encoder", None)
    if make is None:
        return lambda value, _: encoder.iterencode(value)
    text = json.encoder.encode_basestring_ascii
    found: Callable[[Any, int], Iterable[str]] = make(
        None, encoder.default, text, None, ":", ",", False, False, False
    )
    return found


_chunks = _encoder()
_DECODER = json.JSONDecoder(parse_constant=_refuse_constant)
