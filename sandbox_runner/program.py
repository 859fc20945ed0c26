"""The process of a program: compiles it, runs it, answers with its values. Knows no expected one.

Everything here may be tampered with by the program. That gains it nothing: what leaves this process
is compared elsewhere, with values that were never in it.

What catches exceptions of the program stands in short functions: without memory, CPython comes to
no end of one that goes through a handler behind the first 256 units of a function's code. A reserve
is then given up for what is to be said.

The payload is a marshalled dict {"mode", "program", "entry_point", "max_answer", …}: it comes from
the supervisor, and holds nothing but plain values. By mode:
  "stdin":   run as `__main__`, once, and before that leave (code, source) in a memfd, sealed. That
             is the payload of the program's other tests, which have no channel.
  "batch":   run as `__main__` once for each pair of further channels (stdin, stdout).
  "calls":   {"tests": [[[args, kwargs], …], …]}: import it and make the calls of each test.
             With {"turns": n} instead, both give n tests their input one by one: two further
             channels are a memfd for it and a pipe, on which a byte says that it is there; a batch
             then has only stdouts beside them.
  "serve":   import it and answer calls that arrive on a pair of pipes (in, out).
  "tester":  {"code"}: run test code whose `candidate` calls the program over a pair of pipes.
On the supervisor's channel go {"compiled": false, "error"}, or {"compiled": true}, then {"ready":
true} once the program is imported, and one frame for each test, in their order.
"""

from __future__ import annotations

import atexit
import builtins
import fcntl
import functools
import gc
import linecache
import marshal
import os
import resource
import signal
import sys
import threading
import time
import traceback
import weakref
from collections.abc import Callable
from types import CodeType, ModuleType
from typing import Any, NoReturn

from sandbox_runner import codec
from sandbox_runner.answers import Opaque, OpaqueValueError, answer, exception

FILENAME = "main.py"
MAX_ERROR = 4096
SEALS = 0x1 | 0x2 | 0x4 | 0x8  # no sealing, shrinking, growing or writing any more
# What runs above the program on the stack; python main.py has only the program's own frames.
FRAMES_ABOVE = 20


class ChannelClosedError(Exception):
    """The process on the other side of a pipe of calls is gone."""


def main(payload: int, channels: list[int]) -> NoReturn:
    """Runs what the payload, open at that descriptor, asks for, and ends the process."""
    status = 1
    try:
        status = run(payload, channels)
    finally:
        _exit(status)


def run(payload: int, channels: list[int]) -> int:
    """`main` without its end; returns the exit status."""
    job = _loads(_pread(payload, _lseek(payload, 0, 2), 0))
    _close(payload)
    if not channels:
        return _run_whole(*job)
    program = _Program(job, channels)
    try:
        return _MODES[job["mode"]](program)
    except _EndedError as ended:
        return ended.status


class _EndedError(BaseException):
    """The process is to end now with this status."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class _Program:
    def __init__(self, job: dict[str, Any], channels: list[int]) -> None:
        self.job = job
        self.source: str = job["program"]
        self.entry_point: str | None = job["entry_point"]
        self.max_answer: int = job["max_answer"]
        self.channel, *self.others = channels

    def run_main(self) -> int:
        code = self._compile()
        memfd = self.others[0]
        os.pwrite(memfd, marshal.dumps((code, self.source)), 0)
        fcntl.fcntl(memfd, fcntl.F_ADD_SEALS, SEALS)
        os.close(memfd)
        os.close(self.channel)
        return _run_whole(code, self.source)

    def run_batch(self) -> int:
        code = self._compile()
        os.write(self.channel, _COMPILED)
        _show_source(self.source)
        turns = "turns" in self.job
        stdins, outs = self.others[::2], self.others[1::2]
        if turns:
            outs = self.others[2:]
            stdins = [self.others[0]] * len(outs)
        for stdin, out in zip(stdins, outs, strict=True):
            if turns:
                self._await_turn()
                os.lseek(stdin, 0, os.SEEK_SET)
            os.dup2(stdin, 0)
            os.dup2(out, 1)
            os.close(out)
            if not turns:
                os.close(stdin)
            sys.stdin = open(0, encoding="utf-8", errors="surrogateescape", closefd=False)  # noqa: SIM115
            sys.stdout = open(1, "w", encoding="utf-8", errors="surrogateescape", closefd=False)  # noqa: SIM115
            sys.__stdin__, sys.__stdout__ = sys.stdin, sys.stdout  # type: ignore[misc]
            meter = _Meter()
            status, error = _run_as_main(code)
            current = threading.current_thread()
            for thread in threading.enumerate():
                if thread is not current and not thread.daemon:
                    thread.join()
            atexit._run_exitfuncs()
            atexit._clear()
            weakref.finalize._registered_with_atexit = False  # type: ignore[attr-defined]
            weakref.finalize._shutdown = False  # type: ignore[attr-defined]
            status = _finalize(status, self.source)
            self._send(meter.add_to({"status": status, "error": error}))
        return 0

    def run_calls(self) -> int:
        meter = _Meter()
        function = self._import()
        tests = self.job.get("tests")
        for index in range(self.job["turns"] if tests is None else len(tests)):
            if tests is None:
                self._await_turn()
                calls = _loads(_pread(self.others[0], _lseek(self.others[0], 0, 2), 0))
                meter = _Meter()
            else:
                calls = tests[index]
            self._send(meter.add_to(_called(function, calls)))
        return 0

    def serve(self) -> int:
        receive, send = self._peer()
        function = self._import()
        send({"ready": True})
        while True:
            try:
                args, kwargs = receive()["call"]
            except ChannelClosedError:
                # The test code has come to its end; this process waits to be stopped.
                signal.pause()
                continue
            reply = _reply(function, args, kwargs)
            if reply is None:
                return 1
            send(reply)

    def run_tester(self) -> int:
        receive, send = self._peer()
        source: str = self.job["code"]
        called = 0
        ran: list[object] = []

        def watched(function: Callable[..., Any]) -> Callable[..., Any]:
            @functools.wraps(function)
            def call(*args: Any, **kwargs: Any) -> Any:
                ran.append(call)
                return function(*args, **kwargs)

            return call

        def candidate(*args: Any, **kwargs: Any) -> Any:
            nonlocal called
            called += 1
            encoded = {name: codec.encode(value) for name, value in kwargs.items()}
            send({"call": [codec.encode(list(args)), encoded]})
            reply = receive()
            if "raised" in reply:
                raise exception(str(reply["raised"]), str(reply.get("message")))
            if "value" in reply:
                return codec.decode(reply["value"])
            return Opaque(str(reply.get("opaque")), reply.get("truth"))

        module = _module("__main__")
        module.__dict__["candidate"] = candidate
        if self.entry_point:
            module.__dict__[self.entry_point] = candidate
        _show_source(source)
        try:
            code = _compiled(_watch_check(source))
            receive()  # the program is imported
            module.__dict__[_WATCHED] = watched
            exec(code, module.__dict__)
            check = module.__dict__.get("check")
            if callable(check) and not any(check is function for function in ran):
                check(candidate)
        except BaseException as error:  # noqa: BLE001 (the last frame of this process)
            assertion = isinstance(error, (AssertionError, OpaqueValueError))
            self._send({"failed": type(error).__name__, "assertion": assertion})
            return _report(error)
        self._send({"done": called})
        return 0

    def _import(self) -> Callable[..., Any]:
        # As by an importer, so that code under the `__main__` guard (a demonstration, a script that
        # reads stdin) does not run; `import __main__` and pickling by name still find the module.
        code = self._compile()
        _write(self.channel, _COMPILED)
        _show_source(self.source)
        module = _modules["__main__"] = _module("solution")
        function = _function(code, module.__dict__, self.entry_point)
        _write(self.channel, _READY)
        return function

    def _await_turn(self) -> None:
        if not _read(self.others[1], 1):
            raise _EndedError(1)  # the judge is gone

    def _compile(self) -> CodeType:
        try:
            return _compiled(self.source)
        except (SyntaxError, ValueError, RecursionError, MemoryError, OverflowError) as error:
            self._send({"compiled": False, "error": _shown(error)})
            raise _EndedError(1) from None

    def _send(self, frame: dict[str, Any]) -> None:
        self._write(self.channel, frame)

    def _write(self, fd: int, frame: dict[str, Any]) -> None:
        payload = codec.dumps(frame)
        if len(payload) > self.max_answer:
            kept = {k: frame[k] for k in ("status", "cpu_s", "wall_s", "peak_mib") if k in frame}
            opaque = f"a value of {len(payload)} bytes"
            payload = codec.dumps({**kept, "too_long": len(payload), "opaque": opaque})
        codec.write_payload(fd, payload, self.max_answer)

    def _peer(self) -> tuple[Callable[[], Any], Callable[[dict[str, Any]], None]]:
        """Functions that take a frame from, and send one to, the process at the other ends."""
        source, target = self.others

        def receive() -> Any:
            try:
                return codec.read_frame(source, self.max_answer)
            except (EOFError, OSError) as error:
                raise ChannelClosedError("the other process is gone") from error

        return receive, lambda frame: self._write(target, frame)


class _Meter:
    """What each test has used, as this process sees it: shown to people, believed by nobody."""

    def __init__(self) -> None:
        self.cpu, self.wall = _process_time(), _monotonic()

    def add_to(self, frame: dict[str, Any]) -> dict[str, Any]:
        """Adds to `frame` what was used since the last call, and returns it."""
        cpu, wall = _process_time(), _monotonic()
        frame["cpu_s"], frame["wall_s"] = cpu - self.cpu, wall - self.wall
        frame["peak_mib"] = _getrusage(0)[2] / 1024
        self.cpu, self.wall = cpu, wall
        return frame


_COMPILED, _READY = codec.frame(b'{"compiled":true}'), codec.frame(b'{"ready":true}')
# Under names of this module they are found by way of fewer pages, each of which would be copied.
_process_time, _monotonic, _getrusage = time.process_time, time.monotonic, resource.getrusage
_loads, _pread, _lseek = marshal.loads, os.pread, os.lseek
_read, _write = os.read, os.write
_close, _exit = os.close, os._exit
_cached_lines, _modules = linecache.cache, sys.modules
_RESERVE = 4 << 20  # bytes: the allocator takes a mebibyte at once
_reserve = [memoryview(bytes(_RESERVE))]  # a view, for programs print what they find


def _function(code: CodeType, names: dict[str, Any], name: str | None) -> Callable[..., Any]:
    """The function that a program defines. Raises _EndedError where it does not come to that."""
    try:
        exec(code, names)
        function = names.get(str(name))
        if not callable(function):
            raise NameError(f"the program defines no function {name!r}")
        return function
    except SystemExit as error:
        status = _exit_status(error.code)
    except BaseException as error:  # noqa: BLE001 (the last frame of this process)
        status = _report(error)
    raise _EndedError(status)


def _reply(function: Callable[..., Any], args: Any, kwargs: Any) -> dict[str, Any] | None:
    """The answer to a call of the test code; None where the program is to end."""
    try:
        return answer(function(*_decode(args), **_decode(kwargs)))
    except Exception as error:  # noqa: BLE001 (relayed to the test code)
        _make_room(error)
        return {"raised": type(error).__name__, "message": _str(error)}
    except BaseException as error:  # noqa: BLE001 (the last frame of this process)
        _report(error)
        return None


def _called(function: Callable[..., Any], calls: list[Any]) -> dict[str, Any]:
    """What a frame says about the calls of a test."""
    try:
        _keep_reserve()
        return {"values": [answer(function(*args, **kwargs)) for args, kwargs in calls]}
    except BaseException as error:  # noqa: BLE001 (also of a call to sys.exit)
        # What is shown must not cost the next test its turn.
        return {"error": _shown(error)}


def exception_text(error: BaseException) -> str:
    """The traceback as the interpreter prints it, without the judge's own frames."""
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_filename != FILENAME:
        trace = trace.tb_next
    return "".join(traceback.format_exception(type(error), error, trace))


def _module(name: str) -> ModuleType:
    module = ModuleType(name)
    names = module.__dict__
    names["__builtins__"], names["__file__"] = builtins, FILENAME
    _modules[name] = module
    return module


def _decode(data: Any) -> Any:
    if isinstance(data, list):
        return [codec.decode(v) for v in data]
    return {k: codec.decode(v) for k, v in data.items()}


def _run_whole(code: CodeType, source: str) -> int:
    """Runs a program to the end of its threads and hooks; returns the exit status."""
    _show_source(source)
    status, _ = _run_as_main(code)
    _finish_threads()
    atexit._run_exitfuncs()
    return _finalize(status, source)


def _show_source(source: str) -> None:
    # Read when a traceback or inspect asks for it.
    _cached_lines[FILENAME] = (source.__str__,)


def _run_as_main(code: CodeType) -> tuple[int, str]:
    """(exit status, error text) of the program's main thread."""
    module = _module("__main__")
    try:
        _keep_reserve()
        exec(code, module.__dict__)
    except SystemExit as error:
        return _exit_status(error.code), ""
    except BaseException as error:  # noqa: BLE001 (the last frame of this program)
        return _report(error), _shown(error)
    return 0, ""


def _report(error: BaseException) -> int:
    _make_room(error)
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


def _flush(name: str, status: int) -> int:
    """Flushes a stream of sys as the interpreter does at its end; returns the exit status."""
    try:
        stream = getattr(sys, name, None)
        if stream is not None and not getattr(stream, "closed", False):
            stream.flush()
    except Exception:  # noqa: BLE001 (its flush may be the program's)
        return status or 120
    return status


def _finalize(status: int, source: str) -> int:
    """Writes what is buffered, and ends the program's globals: files of its own, `__del__`."""
    status = _flush("stderr", _flush("stdout", status))
    sys.stdin, sys.stdout, sys.stderr = sys.__stdin__, sys.__stdout__, sys.__stderr__
    main_module = sys.modules.pop("__main__", None)
    if "__del__" in source:
        # Destructors find the globals in place, as those of a module that is garbage.
        del main_module
        gc.collect()
    elif isinstance(main_module, ModuleType):
        main_module.__dict__.clear()
    _flush("stderr", _flush("stdout", 0))
    return status


def _finish_threads() -> None:
    """Waits for the program's threads as the interpreter does at its end."""
    if threading.active_count() > 1 or threading._threading_atexits:  # type: ignore[attr-defined]
        threading._shutdown()  # type: ignore[attr-defined]


def _compiled(source: Any) -> CodeType:
    code: CodeType = compile(source, FILENAME, "exec", dont_inherit=True)
    return code


def _watch_check(source: str) -> Any:
    """Test code whose own `check`, if it has one, is decorated to tell whether it was called."""
    if source.count("check") < 2:
        return source  # nothing can call it
    import ast  # every other program would carry it

    tree = ast.parse(source, FILENAME)
    statements: list[ast.AST] = [tree]
    while statements:
        node = statements.pop()
        if isinstance(node, ast.FunctionDef):
            if node.name == "check":
                mark = ast.Name(_WATCHED, ast.Load())
                node.decorator_list.insert(0, ast.copy_location(mark, node))
        elif not isinstance(node, (ast.AsyncFunctionDef, ast.ClassDef, ast.expr)):
            statements += ast.iter_child_nodes(node)
    return tree


_WATCHED = "__watched__"


def _shown(error: BaseException) -> str:
    """The tail of `exception_text`, whatever the exception's own methods do."""
    _make_room(error)
    try:
        return exception_text(error)[-MAX_ERROR:]
    except BaseException as other:  # noqa: BLE001 (raised by the program's __str__, or no memory)
        return f"{type(error).__name__} ({type(other).__name__} when it was printed)"


def _make_room(error: BaseException) -> None:
    if isinstance(error, MemoryError):
        _reserve.clear()


def _keep_reserve() -> None:
    if not _reserve:
        _reserve.append(memoryview(bytes(_RESERVE)))


def _str(error: BaseException) -> str:
    try:
        return str(error)[:1000]
    except Exception:  # noqa: BLE001 (its __str__ is the program's)
        return ""


_MODES: dict[str, Callable[[_Program], int]] = {
    "stdin": _Program.run_main,
    "batch": _Program.run_batch,
    "calls": _Program.run_calls,
    "serve": _Program.serve,
    "tester": _Program.run_tester,
}
