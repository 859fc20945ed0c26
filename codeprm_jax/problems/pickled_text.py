"""The text inside a pickle that holds one text and nothing else, without unpickling.

Unpickling runs whatever the bytes ask for. Here the opcodes are only listed, and all but those that
a pickled text consists of are refused: what would name a class, call or build anything among them.
"""

from __future__ import annotations

import base64
import binascii
import pickletools
import zlib

_TEXT = frozenset({"SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8"})
_FRAMING = frozenset({"PROTO", "FRAME", "MEMOIZE", "BINPUT", "LONG_BINPUT"})


class PickledTextError(ValueError):
    """Bytes that are not what they should be; the message says what they are."""


def unpacked_text(packed: str, max_bytes: int) -> str:
    """The text behind base64, zlib and pickle, as LiveCodeBench has it.

    Args:
      max_bytes: how long the unpacked pickle may be; no more than that is ever unpacked.

    Raises:
      PickledTextError: another form, too long, or a pickle of anything but one text.
    """
    try:
        data = base64.b64decode(packed, validate=True)
        unpacker = zlib.decompressobj()
        content = unpacker.decompress(data, max_bytes + 1)
    except (binascii.Error, ValueError, zlib.error) as error:
        raise PickledTextError(f"no base64 of zlib: {error}") from error
    if len(content) > max_bytes:
        raise PickledTextError(f"more than {max_bytes} bytes unpacked")
    if not unpacker.eof:
        raise PickledTextError("cut short")
    return pickled_text(content)


def pickled_text(data: bytes) -> str:
    """The text that a pickle holds. Raises PickledTextError on any other pickle, or on none."""
    text: str | None = None
    try:
        for opcode, argument, position in pickletools.genops(data):
            if opcode.name in _TEXT and text is None and isinstance(argument, str):
                text = argument
            elif opcode.name == "STOP" and text is not None and position == len(data) - 1:
                return text
            elif opcode.name not in _FRAMING:
                raise PickledTextError(f"a pickle of more than one text ({opcode.name})")
    except PickledTextError:
        raise
    except (ValueError, IndexError, OverflowError, MemoryError) as error:
        raise PickledTextError(f"no pickle: {error}") from error
    raise PickledTextError("a pickle without an end")
