"""`codeprm <stage>`: finds the command and turns errors into messages and exit codes.

Exit codes: 0 done, 1 failed or interrupted, 2 wrong usage or unusable input. Commands are imported
when they are called, so that `codeprm --help` needs none of their libraries.
"""

from __future__ import annotations

import contextlib
import importlib
import logging
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from typing import Any, NoReturn

from codeprm_jax import __version__, libtpu
from codeprm_jax.files import InputError, RunError

# name: (what it does, module of codeprm_jax.commands). Each module has `main`, which tyro reads.
COMMANDS: dict[str, tuple[str, str]] = {
    "quickstart": (
        "the whole pipeline on the embedded problems, in minutes on a CPU",
        "quickstart",
    ),
    "problems": ("list, show, check or export problems", "problems"),
    "collect": ("draw thought traces from a policy", "collect"),
    "convert": ("traces from and to TRL, PRM800K, Math-Shepherd, the release", "convert"),
    "build": ("turn labelled traces into a TFDS dataset", "build"),
    "train": ("train a process reward model from a preset", "train"),
    "evaluate": ("PRM metrics on held-out traces, beside baselines", "evaluate"),
    "export": ("a trained model for transformers, TRL, PEFT or Orbax", "export"),
    "adopt": ("say how the input of another project's PRM is laid out", "adopt"),
    "score": ("step scores of traces", "score"),
    "serve": ("step scores over HTTP, batched across clients", "serve"),
    "search": ("the GVR benchmark: arms at one execution budget", "search"),
    "report": ("one self-contained HTML page about a run", "report"),
    "plan": ("does a preset fit a TPU slice, and how fast at best; no TPU needed", "plan"),
}


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Runs one command and exits."""
    sys.exit(run(sys.argv[1:] if argv is None else list(argv)))


def run(argv: Sequence[str]) -> int:
    """Runs one command and returns its exit code."""
    if not argv or argv[0] in ("-h", "--help"):
        (sys.stdout if argv else sys.stderr).write(usage())
        return 0 if argv else 2
    if argv[0] == "--version":
        sys.stdout.write(f"codeprm {__version__}\n")
        return 0
    name, rest = argv[0], list(argv[1:])
    if name not in COMMANDS:
        sys.stderr.write(f"codeprm: unknown command {name!r}\n\n{usage()}")
        return 2
    logging.basicConfig(format="%(levelname)s %(message)s", level=logging.WARNING)
    logging.getLogger("codeprm_jax").setLevel(logging.INFO)
    try:
        with _interrupts():
            return _call(name, rest)
    except InputError as error:
        return _fail(name, str(error), 2)
    except RunError as error:
        return _fail(name, str(error), 1)
    except KeyboardInterrupt:
        return _fail(name, "interrupted; run the same command again to go on", 1)
    except OSError as error:
        if error.filename or error.errno:
            return _fail(name, f"{error}; what was finished is kept, run the command again", 1)
        raise


def usage() -> str:
    """The text of `codeprm --help`."""
    lines = [f"  {name:<12}{text}" for name, (text, _) in COMMANDS.items()]
    return (
        "usage: codeprm COMMAND [options]\n\n"
        "Process reward models for code: problems, traces, execution labels, training, search.\n\n"
        + "\n".join(lines)
        + "\n\ncodeprm COMMAND --help lists a command's options and defaults.\n"
        "Labels come from the separate command sandbox-runner.\n"
    )


def _call(name: str, rest: list[str]) -> int:
    import tyro

    libtpu.quiet()
    module: Any = importlib.import_module(f"codeprm_jax.commands.{COMMANDS[name][1]}")
    prepare = getattr(module, "prepare", None)
    if prepare is not None:  # a command whose defaults come from a file named in its arguments
        return prepare(rest, f"codeprm {name}")
    return int(tyro.cli(module.main, args=rest, prog=f"codeprm {name}") or 0)


def _fail(name: str, message: str, code: int) -> int:
    sys.stderr.write(f"codeprm {name}: {message}\n")
    return code


@contextlib.contextmanager
def _interrupts() -> Iterator[None]:
    """Makes SIGTERM an interrupt, and lets no interrupt be lost.

    Python runs a signal's handler wherever it is, and what is raised inside a destructor or a
    callback of the garbage collector (JAX has one) is reported and dropped. So it is sent again, a
    moment later: at once, it would be raised inside the hook.
    """

    def unraisable(caught: sys.UnraisableHookArgs) -> None:
        if isinstance(caught.exc_value, KeyboardInterrupt):
            threading.Timer(0.01, os.kill, (os.getpid(), signal.SIGINT)).start()
        else:
            report(caught)

    previous, report = signal.signal(signal.SIGTERM, _terminate), sys.unraisablehook
    sys.unraisablehook = unraisable
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)
        sys.unraisablehook = report


def _terminate(*_: object) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    main()
