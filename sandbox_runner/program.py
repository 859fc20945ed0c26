"""The part of a cell that shares a process with the program: runs it and answers with its values.

Everything here may be tampered with by the program. That gains it nothing: what leaves this process
is compared elsewhere, with values that were never in it.
"""

from __future__ import annotations

import atexit
import builtins
import collections
import linecache
import os
import sys
import threading
import traceback
from collections.abc import Callable
from types import CodeType, ModuleType
from typing import Any, NoReturn

from sandbox_runner import codec

FILENAME = "main.py"
# What runs above the program on the stack; python main.py has only the program's own frames.
_FRAMES_ABOVE = 20

Receive = Callable[[], Any]
Send = Callable[[Any], None]


class OpaqueValueError(TypeError):
    """A program returned something that is no plain data, so nothing can be said about it."""


class ProgramError(RuntimeError):
    """An exception of the program whose type is not a built-in one."""


class Program:
    """A compiled program in the process that will run it.

    Args:
      code: compiled from `source` under the name FILENAME.
      source: shown in tracebacks.
      entry_point: the function that is called; None for programs that are only run.
    """

    def __init__(self, code: CodeType, source: str, entry_point: str | None) -> None:
        self.code, self.entry_point = code, entry_point
        lines = source.splitlines(keepends=True)
        linecache.cache[FILENAME] = (len(source), None, lines, FILENAME)
        sys.setrecursionlimit(sys.getrecursionlimit() + _FRAMES_ABOVE)
        sys.argv[:] = [FILENAME]

    def run_main(self) -> NoReturn:
        """Runs the program as `__main__` and ends the process as the interpreter would."""
        module = _module("__main__")
        _finish(_guarded(lambda: exec(self.code, module.__dict__)))

    def run_calls(self, calls: list[Any], send: Send) -> NoReturn:
        """Imports the program, calls the entry point, sends {"values": [...]}."""
        decoded = [(_decode(args), _decode(kwargs)) for args, kwargs in calls]

        def work() -> None:
            function = self._import()
            send({"values": [answer(function(*args, **kwargs)) for args, kwargs in decoded]})

        self._work(work)

    def run_server(self, receive: Receive, send: Send) -> NoReturn:
        """Imports the program, then answers each {"call"} with {"value"…} or {"raised"…}."""

        def work() -> None:
            function = self._import()
            send({"ready": True})
            while True:
                args, kwargs = receive()["call"]
                try:
                    result = function(*_decode(args), **_decode(kwargs))
                except Exception as error:  # noqa: BLE001 (relayed to the test code)
                    text = exception_text(error)
                    send({"raised": type(error).__name__, "message": _str(error), "text": text})
                else:
                    send(answer(result))

        self._work(work)

    def run_tester(self, source: str, receive: Receive, send: Send) -> NoReturn:
        """Runs the test code `source` with a `candidate` that calls the program elsewhere.

        Sends {"done": number of calls}, or {"failed": exception type, "assertion": bool}.
        """
        called = 0

        def candidate(*args: Any, **kwargs: Any) -> Any:
            nonlocal called
            called += 1
            encoded = {name: codec.encode(value) for name, value in kwargs.items()}
            send({"call": [codec.encode(list(args)), encoded]})
            reply = receive()
            if "raised" in reply:
                raise _exception(reply["raised"], reply["message"])
            if "value" not in reply:
                raise OpaqueValueError(f"candidate returned {reply}")
            return codec.decode(reply["value"])

        def work() -> None:
            module = _module("__main__")
            module.__dict__["candidate"] = candidate
            if self.entry_point:
                module.__dict__[self.entry_point] = candidate
            linecache.cache[FILENAME] = (len(source), None, source.splitlines(True), FILENAME)
            try:
                exec(compile(source, FILENAME, "exec", dont_inherit=True), module.__dict__)
                check = module.__dict__.get("check")
                if not called and callable(check):
                    check(candidate)
            except BaseException as error:
                assertion = isinstance(error, (AssertionError, OpaqueValueError))
                send({"failed": type(error).__name__, "assertion": assertion})
                raise
            send({"done": called})

        self._work(work)

    def _import(self) -> Callable[..., Any]:
        # As by an importer, so that code under the `__main__` guard (a demonstration, a script that
        # reads stdin) does not run; `import __main__` and pickling by name still find the module.
        module = _module("solution")
        sys.modules["__main__"] = module
        exec(self.code, module.__dict__)
        function = module.__dict__.get(str(self.entry_point))
        if not callable(function):
            raise NameError(f"the program defines no function {self.entry_point!r}")
        return function

    def _work(self, work: Callable[[], None]) -> NoReturn:
        # No joining of threads and no atexit: the answer is out, and that is what counts.
        os._exit(_guarded(work))


def answer(value: Any) -> dict[str, Any]:
    """{"value": encoded}, or {"opaque": what it is} for a value that is no plain data."""
    try:
        return {"value": codec.encode(value)}
    except codec.CodecError:
        pass  # the usual value passes at once; the rest is worth a second look
    try:
        return {"value": codec.encode(_plain(value))}
    except (codec.CodecError, TypeError) as error:
        return {"opaque": f"a value that is no plain data: {error}"}


def exception_text(error: BaseException) -> str:
    """The traceback as the interpreter prints it, without the judge's own frames."""
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_filename != FILENAME:
        trace = trace.tb_next
    return "".join(traceback.format_exception(type(error), error, trace))


def _plain(value: Any, depth: int = 0) -> Any:
    """`value` with the standard library's own containers as the plain ones they are equal to.

    By exact type, and through the base type's methods: a class of the program that is derived from
    one of these stays opaque, except for named tuples, which are tuples with names.
    """
    kind = type(value)
    if depth > codec.MAX_DEPTH:
        raise codec.CodecError(f"nested deeper than {codec.MAX_DEPTH}")
    if kind in (dict, collections.Counter, collections.OrderedDict, collections.defaultdict):
        return {_plain(k, depth + 1): _plain(v, depth + 1) for k, v in dict.items(value)}
    if kind is list:
        return [_plain(v, depth + 1) for v in value]
    if kind is tuple or (kind.__base__ is tuple and hasattr(kind, "_fields")):
        return tuple(_plain(v, depth + 1) for v in tuple.__iter__(value))
    if kind in (set, frozenset):
        return kind(_plain(v, depth + 1) for v in value)
    if kind in _VIEWS:
        return {_plain(v, depth + 1) for v in value}
    return value


_VIEWS: tuple[type, ...] = (type({}.keys()), type({}.items()))  # which are equal to sets


def _module(name: str) -> ModuleType:
    module = ModuleType(name)
    module.__dict__.update(__builtins__=builtins, __file__=FILENAME)
    sys.modules[name] = module
    return module


def _decode(data: Any) -> Any:
    if isinstance(data, list):
        return [codec.decode(v) for v in data]
    return {k: codec.decode(v) for k, v in data.items()}


def _guarded(work: Callable[[], Any]) -> int:
    """Runs `work` and returns the exit status that the interpreter would give it."""
    try:
        work()
    except SystemExit as error:
        return _exit_status(error.code)
    except BaseException as error:  # noqa: BLE001 (the last frame of this process)
        return _report(error)
    return 0


def _report(error: BaseException) -> int:
    if sys.excepthook is not sys.__excepthook__:
        sys.excepthook(type(error), error, error.__traceback__)
    else:
        # The program's buffered output belongs before its traceback, and sys.stderr may be gone.
        text = exception_text(error).encode("utf-8", "backslashreplace")
        os.write(2, text[-32768:])
    return 1


def _exit_status(code: object) -> int:
    if code is None:
        return 0
    if isinstance(code, int):
        return code & 0xFF
    os.write(2, f"{code}\n".encode("utf-8", "backslashreplace"))
    return 1


def _finish(status: int) -> NoReturn:
    """Ends the process as the interpreter does: threads, atexit, buffers; then no destructors."""
    try:
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
    finally:
        try:
            if sys.stdout is not None:
                sys.stdout.flush()
        except (OSError, ValueError):
            status = status or 120
        finally:
            os._exit(status)


def _str(error: BaseException) -> str:
    try:
        return str(error)[:1000]
    except Exception:  # noqa: BLE001 (its __str__ is the program's)
        return ""


def _exception(name: str, message: str) -> Exception:
    """The built-in exception of that name, so that test code can catch it; else ProgramError."""
    kind = getattr(builtins, name, None)
    if isinstance(kind, type) and issubclass(kind, Exception):
        try:
            return kind(message)
        except TypeError:
            pass  # UnicodeDecodeError and its like want more
    return ProgramError(f"{name}: {message}")
