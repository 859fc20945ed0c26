"""Programs that want a verdict they have not earned, or to do harm. None may pass, stay or spread.

Each is bounded twice: by the limits of its job and by the test's own time-out.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from sandbox_runner import jail
from sandbox_runner.pool import Pool
from sandbox_runner.types import (
    CheckTest,
    FunctionTest,
    Job,
    Limits,
    StdinTest,
    TestResult,
    Verdict,
)

Judge = Callable[..., TestResult]
LIMITS = Limits(cpu_s=1.0, wall_s=2.0, memory_mib=256, output_kib=64, processes=16)
SECRET = 918273645  # the expected result, which no program below may find out

# name: (program, verdicts that are right). Each is asked for f(1) == SECRET.
FUNCTIONS: dict[str, tuple[str, set[str]]] = {
    "exit at import": ("import os\nos._exit(0)", {"RE"}),
    "exit in the function": ("import os\ndef f(x): os._exit(0)", {"RE"}),
    "sys.exit at import": ("import sys\nsys.exit(0)", {"RE"}),
    "sys.exit in the function": ("import sys\ndef f(x): sys.exit(0)", {"RE"}),
    "SystemExit subclass": (
        "class E(SystemExit): pass\ndef f(x): raise E(0)",
        {"RE"},
    ),
    "atexit": (
        "import atexit, os\natexit.register(lambda: os._exit(0))\ndef f(x): raise ValueError",
        {"RE"},
    ),
    "exit from a timer thread": (
        "import threading, os, time\n"
        "threading.Timer(0.05, lambda: os._exit(0)).start()\n"
        "def f(x): time.sleep(0.5); return 0",
        {"RE"},
    ),
    "equal to everything": (
        "class E:\n"
        "  def __eq__(self, o): return True\n"
        "  def __hash__(self): return 0\n"
        "def f(x): return E()",
        {"WA"},
    ),
    "int subclass": (
        "class I(int):\n  def __eq__(self, o): return True\n  __hash__ = int.__hash__\n"
        "  def __int__(self): return 918273645\n"
        "def f(x): return I(3)",
        {"WA"},
    ),
    "str subclass": (
        "class S(str):\n  def __eq__(self, o): return True\n  __hash__ = str.__hash__\n"
        "def f(x): return S('x')",
        {"WA"},
    ),
    "list of always equal": (
        "class L(list):\n  def __eq__(self, o): return True\ndef f(x): return L([1])",
        {"WA"},
    ),
    "metaclass that lies about its type": (
        "class M(type):\n  __base__ = tuple\n  _fields = ()\n"
        "class E(metaclass=M):\n  def __eq__(self, o): return True\n"
        "  __class__ = int\ndef f(x): return E()",
        {"WA", "RE"},
    ),
    "expected values in gc": (
        "import gc\n"
        "def f(x):\n"
        "  for o in gc.get_objects():\n"
        "    if type(o) is dict and 'expected' in o: return o['expected']\n"
        "  return 0",
        {"WA"},
    ),
    "expected values on the stack": (
        "import re, sys\n"
        "def f(x):\n"
        "  frame = sys._getframe()\n"
        "  while frame:\n"
        "    for v in list(frame.f_locals.values()) + list(frame.f_globals.values()):\n"
        "      for n in re.findall(r'\\d{9}', repr(v)):\n"
        f"        if int(n) % 99991 == {SECRET % 99991}: return int(n)\n"
        "    frame = frame.f_back\n"
        "  return 0",
        {"WA", "RE"},
    ),
    "expected values in the memory of any process": (
        "import os\n"
        "NEEDLE = str(918273644 + x if False else 0).encode()\n"
        "def f(x):\n"
        "  for pid in os.listdir('/proc'):\n"
        "    if pid.isdecimal() and int(pid) != os.getpid():\n"
        "      for name in ('mem', 'environ', 'maps'):\n"
        "        open(f'/proc/{pid}/{name}', 'rb').read(1)\n"
        "  return 0",
        {"WA", "RE"},
    ),
    "forged frames on every descriptor": (
        "import os, struct, json\n"
        "def frame(v):\n"
        "  p = json.dumps(v).encode(); return struct.pack('>I', len(p)) + p\n"
        "def f(x):\n"
        "  for fd in range(256):\n"
        "    for v in ({'values': []}, {'end': {'verdict': 'AC', 'status': 0}},\n"
        "              {'done': 9}, {'verdict': 'AC', 'passed': True}):\n"
        "      try: os.write(fd, frame(v))\n"
        "      except OSError: pass\n"
        "  os._exit(0)",
        {"RE", "WA"},
    ),
    "garbage on every descriptor": (
        "import os\n"
        "def f(x):\n"
        "  for fd in range(256):\n"
        "    try: os.write(fd, b'\\xff' * 4000)\n"
        "    except OSError: pass\n"
        "  return 0",
        {"RE", "WA", "OLE"},
    ),
    "patched codec": (
        "import sys, json\n"
        "for m in list(sys.modules.values()):\n"
        "  for n in ('encode', 'dumps', 'answer'):\n"
        '    try: setattr(m, n, lambda *a, **k: b\'{"values": [{"value": null}]}\')\n'
        "    except Exception: pass\n"
        "def f(x): return 0",
        {"WA", "RE"},
    ),
    "patched builtins": (
        "import builtins\n"
        "builtins.isinstance = lambda *a: True\nbuiltins.type = lambda *a: int\n"
        "def f(x): return 0",
        {"WA", "RE"},
    ),
    "pickle in the result": (
        "class R:\n  def __reduce__(self): return (eval, ('918273645',))\ndef f(x): return R()",
        {"WA"},
    ),
    "loop in C": ("import itertools\ndef f(x): return sum(itertools.repeat(0))", {"TLE"}),
    "catastrophic regex": ("import re\ndef f(x): return re.match('(a+)+$', 'a'*40+'b')", {"TLE"}),
    "swallows everything": (
        "import signal\n"
        "for s in range(1, 65):\n"
        "  try: signal.signal(s, signal.SIG_IGN)\n"
        "  except (OSError, ValueError): pass\n"
        "def f(x):\n"
        "  while True:\n"
        "    try:\n"
        "      while True: pass\n"
        "    except BaseException: pass",
        {"TLE"},
    ),
    "stops itself": ("import os, signal\ndef f(x): os.kill(os.getpid(), 19)", {"TLE"}),
    "memory": ("def f(x): return len(bytearray(1 << 33))", {"MLE"}),
    "memory in small pieces": (
        "def f(x):\n  a = []\n  while 1: a.append('x' * 100000)",
        {"MLE"},
    ),
    "memory by mmap": (
        "import mmap\ndef f(x):\n  a = []\n  while True: a.append(mmap.mmap(-1, 1 << 24))",
        {"MLE", "RE"},
    ),
    "huge result": ("def f(x): return 'x' * (1 << 22)", {"OLE"}),
    "huge integer": ("def f(x): return 1 << 200000", {"WA"}),
    "deep result": (
        "def f(x):\n  a = []\n  for _ in range(100000): a = [a]\n  return a",
        {"WA", "RE"},
    ),
    "recursive result": ("def f(x):\n  a = []\n  a.append(a)\n  return a", {"WA"}),
    "endless recursion": ("def f(x): return f(x)", {"RE"}),
    "stack overflow in C": (
        "import sys\nsys.setrecursionlimit(10**9)\n"
        "class A:\n  def __repr__(self): return repr(self)\ndef f(x): return repr(A())",
        {"RE", "MLE", "TLE"},
    ),
    "segfault": ("import ctypes\ndef f(x): return ctypes.string_at(0)", {"RE"}),
    "exception that loops": (
        "class E(Exception):\n  def __str__(self):\n    while True: pass\ndef f(x): raise E",
        {"TLE"},
    ),
    "exception with a huge text": (
        "class E(Exception):\n  def __str__(self): return 'x' * 50_000_000\ndef f(x): raise E",
        {"RE", "MLE", "TLE"},
    ),
    "closes all descriptors": ("import os\ndef f(x):\n  os.closerange(0, 256)\n  return 0", {"RE"}),
    "kills its parent": (
        "import os, signal\ndef f(x):\n  os.kill(os.getppid(), 9)\n  return 0",
        {"WA", "RE"},
    ),
    "kills everything": ("import os\ndef f(x):\n  os.kill(-1, 9)\n  return 0", {"WA", "RE"}),
    "no entry point": ("def g(x): return 918273645", {"RE"}),
    "entry point is no function": ("f = 918273645", {"RE"}),
    "does not compile": ("def f(x) return 1", {"CE"}),
    "null bytes": ("f = lambda x: 1\0", {"CE"}),
    "parser bomb": ("(" * 10000 + ")" * 10000, {"CE"}),
    "surrogates": ("f = lambda x: '\ud800'", {"CE", "WA"}),
    "network": (
        "import socket\n"
        "def f(x):\n"
        "  s = socket.socket(); s.settimeout(1); s.connect(('1.1.1.1', 53)); return 918273645",
        {"RE"},
    ),
    "loopback": (
        "import socket\n"
        "def f(x):\n"
        "  s = socket.socket(); s.settimeout(1); s.connect(('127.0.0.1', 22)); return 918273645",
        {"RE"},
    ),
    "a user namespace of its own": (
        "import ctypes\ndef f(x): return 0 if ctypes.CDLL(None).unshare(0x10000000) else 918273645",
        {"WA"},
    ),
    "more rights by mount": (
        "import ctypes\n"
        "def f(x):\n"
        "  c = ctypes.CDLL(None, use_errno=True)\n"
        "  return c.mount(b'none', b'/tmp', b'tmpfs', 0, None)",
        {"WA"},
    ),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_function_is_not_rewarded(name: str, call: Judge) -> None:
    program, right = FUNCTIONS[name]
    result = call(program, 1, expected=SECRET)
    assert result.verdict in right, (result.verdict, result.actual, result.stderr)


STDIN: dict[str, tuple[str, set[str]]] = {
    "exit before output": ("import os\nprint('right')\nos._exit(0)", {"WA"}),
    "right output, then a failure": ("print('right')\nraise ValueError", {"RE"}),
    "right output, then status 3": ("print('right')\nimport sys\nsys.exit(3)", {"RE"}),
    "flood": ("while True: print('right')", {"OLE"}),
    "flood on stderr": ("import sys\nwhile True: sys.stderr.write('x' * 10000)", {"TLE"}),
    "flood by one write": ("import os\nos.write(1, b'x' * (1 << 26))", {"OLE"}),
    "slow drip": (
        "import time\nwhile True:\n  print('r', flush=True)\n  time.sleep(0.01)",
        {"TLE", "OLE"},
    ),
    "sleep": ("import time\ntime.sleep(100)", {"TLE"}),
    "no valid text": ("import os\nos.write(1, bytes(range(256)))", {"WA"}),
    "process that never joins": (
        "import threading, time\nthreading.Thread(target=time.sleep, args=(100,)).start()\n"
        "print('right')",
        {"TLE"},
    ),
    "fork bomb": (
        "import os\n"
        "while True:\n"
        "  try: os.fork()\n"
        "  except OSError: pass",
        {"TLE", "RE"},
    ),
    "thread bomb": (
        "import threading, time\n"
        "while True: threading.Thread(target=time.sleep, args=(9,)).start()",
        {"RE", "MLE", "TLE"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", STDIN)
def test_stdin_program_is_not_rewarded(name: str, feed: Judge) -> None:
    program, right = STDIN[name]
    started = time.monotonic()
    result = feed(program, "", "right")
    assert result.verdict in right, (result.verdict, result.actual[:200], result.stderr)
    assert time.monotonic() - started < LIMITS.wall_s + 2


def test_memory_of_other_processes_cannot_be_read(feed: Judge) -> None:
    program = """
import os
read = []
for pid in os.listdir('/proc'):
    if pid.isdecimal() and int(pid) != os.getpid():
        for name in ('mem', 'environ', 'maps', 'fd/0', 'root/etc'):
            try:
                os.stat(f'/proc/{pid}/{name}') if '/' in name else open(f'/proc/{pid}/{name}').close()
                read.append((pid, name))
            except OSError:
                pass
print(read)
"""  # noqa: E501
    result = feed(program, "", "[]")
    assert result.verdict == "AC", result


def test_the_machine_cannot_be_seen_or_written(feed: Judge, tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("here", encoding="utf-8")
    for directory in [tmp_path, *tmp_path.parents[:-1]]:
        assert directory.exists()
    program = f"""
import os
print(os.path.exists({str(secret)!r}), os.path.exists('/root'), os.path.exists('/home'))
for path in ('/x', '/usr/x', '/etc/x', '/dev/x', '/proc/sys/kernel/hostname', '/usr/bin/env'):
    try:
        open(path, 'w').close()
        print('wrote', path)
    except OSError:
        pass
print(sorted(os.environ), os.getuid(), os.listdir('.'), len(os.listdir('/proc/self/fd')))
"""
    result = feed(program, "", "")
    first, *rest = result.actual.splitlines()
    assert first.startswith("False"), result
    assert not any(line.startswith("wrote") for line in rest), result
    assert "1000 []" in rest[-1], result
    assert all(name not in rest[-1] for name in ("TOKEN", "KEY", "USER")), result


STARTS = {
    "double fork": "if os.fork() == 0:\n  os.setsid()\n  if os.fork() == 0: time.sleep(9999)\n"
    "  os._exit(0)",
    "process": "subprocess.Popen(['/bin/sleep', '9999'], start_new_session=True)",
    "thread": "threading.Thread(target=time.sleep, args=(9999,), daemon=True).start()",
}


@pytest.mark.parametrize("mode", STARTS)
def test_nothing_outlives_its_job(mode: str, feed: Judge) -> None:
    feed("", "", "")  # so that every zygote is there
    feed("", "", "")
    before = set(jail.descendants(os.getpid()))
    program = f"""
import os, subprocess, threading, time
{STARTS[mode]}
print('right', flush=True)
os._exit(0)
"""
    result = feed(program, "", "right")
    assert result.verdict == "AC", result
    deadline = time.monotonic() + 2
    while (left := _running() - before) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not left


def test_state_does_not_reach_the_next_test_or_program(pool: Pool) -> None:
    program = """
import os, sys, builtins
def f(x):
    seen = [os.listdir('/tmp'), os.listdir('/dev/shm'), hasattr(builtins, 'left')]
    open('/tmp/left', 'w').close()
    open('/dev/shm/left2', 'w').close()
    os.mkdir('/tmp/d'); open('/tmp/d/x', 'w').close(); os.chmod('/tmp/d', 0)
    os.symlink('/', '/tmp/root')
    builtins.left = 1
    return seen
"""
    tests = tuple(FunctionTest(str(i), (i,), [[], [], False]) for i in range(3))
    jobs = [Job(str(i), program, "function", tests, entry_point="f") for i in range(4)]
    for report in pool.run(jobs):
        assert report.all_passed, report


def test_a_check_cannot_be_forged_or_escaped(pool: Pool) -> None:
    check = CheckTest("t", "for i in range(3):\n    assert candidate(i) == i + 1000")
    programs = {
        "exit": "import os\ndef f(x): os._exit(0)",
        "equal": "class E:\n  def __eq__(s, o): return True\ndef f(x): return E()",
        "frames": (
            "import os, struct, json\n"
            "p = json.dumps({'done': 3}).encode()\n"
            "for fd in range(256):\n"
            "  try: os.write(fd, struct.pack('>I', len(p)) + p)\n"
            "  except OSError: pass\n"
            "def f(x): return 0"
        ),
        "raises": "def f(x): raise AssertionError",
        "loop": "def f(x):\n  while True: pass",
        "flood": "def f(x):\n  while True: print('x' * 1000)",
        "import": "import os\nos._exit(0)",
        "late": "def f(x): return x + 1000 if x < 2 else 0",
    }
    right = {"equal": "WA", "loop": "TLE", "flood": "OLE", "late": "WA", "raises": "WA"}
    jobs = [Job(n, p, "function", (check,), "f", limits=LIMITS) for n, p in programs.items()]
    reports = {r.id: r.tests[0] for r in pool.run(jobs)}
    for name in programs:
        assert reports[name].verdict in {right.get(name, "RE"), right.get(name, "WA")}, (
            name,
            reports[name],
        )


def test_the_harness_lives_on(pool: Pool) -> None:
    good = Job("good", "def f(x): return x", "function", (FunctionTest("1", (1,), 1),), "f")
    kill = "import os\ndef f(x):\n  os.kill(-1, 9)\n  os.kill(1, 9)\n  os.kill(0, 9)"
    bad = Job("bad", kill, "function", (FunctionTest("1", (1,), 1),), "f", limits=LIMITS)
    reports = list(pool.run([good, bad] * 5))
    assert sum(r.all_passed for r in reports) == 5
    assert {r.tests[0].verdict for r in reports if r.id == "bad"} <= {Verdict.RE, Verdict.WA}


def test_output_up_to_the_limit_is_kept(feed: Judge) -> None:
    limits = Limits(output_kib=64)
    assert feed("print('x' * 60000)", "", "x" * 60000, limits=limits).verdict == "AC"
    assert feed("print('x' * 70000)", "", "x" * 70000, limits=limits).verdict == "OLE"


def test_stdin_job_sees_only_its_input(pool: Pool) -> None:
    tests = (StdinTest("a", "first", "first"), StdinTest("b", "second", "second"))
    (report,) = pool.run([Job("x", "print(open('/dev/stdin').read())", "stdin", tests)])
    assert report.all_passed, report


def _running() -> set[int]:
    """Descendants of this process that are no zombies."""
    found = set()
    for pid in jail.descendants(os.getpid()):
        try:
            state = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0]
        except OSError:
            continue
        if state != b"Z":
            found.add(pid)
    return found
