"""Ordinary programs of every habit: each is right and must be accepted."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from sandbox_runner.pool import Pool
from sandbox_runner.types import CheckTest, FunctionTest, Job, Limits, TestResult

Judge = Callable[..., TestResult]

STDIN: dict[str, str] = {  # each prints the sum of the numbers on stdin
    "input": "n = int(input())\nprint(sum(int(x) for x in input().split()))",
    "sys.stdin.read": "import sys\nd = sys.stdin.read().split()\nprint(sum(map(int, d[1:])))",
    "sys.stdin.buffer": (
        "import sys\nd = sys.stdin.buffer.read().split()\n"
        "sys.stdout.buffer.write(b'%d\\n' % sum(map(int, d[1:])))"
    ),
    "readline": (
        "import sys\ninput = sys.stdin.readline\nn = int(input())\n"
        "print(sum(map(int, input().split())))"
    ),
    "iterating": "import sys\nl = [x for x in sys.stdin]\nprint(sum(map(int, l[1].split())))",
    "open(0)": "d = open(0).read().split()\nprint(sum(map(int, d[1:])))",
    "os.read": "import os\nd = os.read(0, 1 << 20).split()\nprint(sum(map(int, d[1:])))",
    "/dev/stdin": "d = open('/dev/stdin').read().split()\nprint(sum(map(int, d[1:])))",
    "end of file": (
        "t = 0\ninput()\nwhile True:\n  try: t += sum(map(int, input().split()))\n"
        "  except EOFError: break\nprint(t)"
    ),
    "os.write": (
        "import os\nd = os.read(0, 1 << 20).split()\n"
        "os.write(1, str(sum(map(int, d[1:]))).encode())"
    ),
    "print to a file": (
        "import sys, io\nout = io.StringIO()\ninput()\nprint(sum(map(int, input().split())), "
        "file=out)\nsys.stdout.write(out.getvalue())"
    ),
    "exit after output": "input()\nprint(sum(map(int, input().split())))\nexit()",
    "sys.exit(0)": "import sys\ninput()\nprint(sum(map(int, input().split())))\nsys.exit(0)",
    "quit": "input()\nprint(sum(map(int, input().split())))\nquit()",
    "os._exit after flush": (
        "import os\ninput()\nprint(sum(map(int, input().split())), flush=True)\nos._exit(0)"
    ),
    "main guard": (
        "def main():\n  input()\n  print(sum(map(int, input().split())))\n"
        "if __name__ == '__main__':\n  main()"
    ),
    "thread with a big stack": (
        "import sys, threading\nsys.setrecursionlimit(1 << 20)\n"
        "threading.stack_size(1 << 27)\n"
        "def f(l): return l[0] + f(l[1:]) if l else 0\n"
        "def main():\n  input()\n  print(f(list(map(int, input().split()))))\n"
        "t = threading.Thread(target=main)\nt.start()\nt.join()"
    ),
    "thread not joined": (
        "import threading, time\n"
        "def main():\n  time.sleep(0.05)\n  input()\n  print(sum(map(int, input().split())))\n"
        "threading.Thread(target=main).start()"
    ),
    "atexit": (
        "import atexit\ninput()\ns = sum(map(int, input().split()))\natexit.register(print, s)"
    ),
    "global": (
        "total = 0\ndef add(x):\n  global total\n  total += x\ninput()\n"
        "for x in input().split(): add(int(x))\nprint(total)"
    ),
    "future annotations": (
        "from __future__ import annotations\nfrom dataclasses import dataclass\n"
        "@dataclass(order=True)\nclass A:\n  x: int\n  y: A | None = None\n"
        "input()\nprint(sum(A(int(x)).x for x in input().split()))"
    ),
    "exec": "exec('input()\\nprint(sum(map(int, input().split())))')",
    "deep recursion": (
        "import sys\nsys.setrecursionlimit(10**5)\n"
        "def down(n): return 0 if n == 0 else down(n - 1)\n"
        "down(9000)\ninput()\nprint(sum(map(int, input().split())))"
    ),
    "default recursion": (
        "def down(n): return 0 if n == 0 else down(n - 1)\n"
        "down(985)\ninput()\nprint(sum(map(int, input().split())))"
    ),
    "many modules": (
        "import math, random, decimal, fractions, statistics, hashlib, json, datetime, enum\n"
        "import bisect, heapq, string, operator, copy, time, typing, array, textwrap, queue\n"
        "input()\nprint(math.floor(sum(map(int, input().split()))))"
    ),
    "subprocess-free pool": (
        "from concurrent.futures import ThreadPoolExecutor\ninput()\n"
        "with ThreadPoolExecutor(4) as p:\n  print(sum(p.map(int, input().split())))"
    ),
    "generator and lambda": (
        "from functools import reduce, lru_cache\nfrom collections import *\n"
        "input()\nprint(reduce(lambda a, b: a + b, (int(x) for x in input().split()), 0))"
    ),
    "scratch file": (
        "input()\nwith open('x.txt', 'w') as f: f.write(input())\n"
        "print(sum(map(int, open('x.txt').read().split())))"
    ),
    "noise on stderr": (
        "import sys\nprint('debug', file=sys.stderr)\ninput()\n"
        "print(sum(map(int, input().split())))"
    ),
    "multiprocessing": (
        "import multiprocessing as m\ninput()\nq = m.Queue()\n"
        "p = m.Process(target=q.put, args=(sum(map(int, input().split())),))\n"
        "p.start()\nprint(q.get())\np.join()"
    ),
}


@pytest.mark.parametrize("name", STDIN)
def test_stdin_program_is_accepted(name: str, feed: Judge) -> None:
    result = feed(STDIN[name], "4\n1 2 3 -10\n", "-4\n", limits=Limits(processes=16))
    assert result.verdict == "AC", result


def test_much_input_and_output(feed: Judge) -> None:
    lines = "\n".join(str(i) for i in range(60_000)) + "\n"
    program = "import sys\nfor line in sys.stdin: print(int(line))"
    result = feed(program, lines, lines, limits=Limits(output_kib=1024))
    assert result.verdict == "AC", result.stderr


FUNCTIONS: dict[str, tuple[str, tuple[object, ...], object]] = {
    "plain": ("def f(x): return x + 1", (1,), 2),
    "tuple": ("def f(x): return x, [x], {x}", (1,), (1, [1], {1})),
    "true is one": ("def f(x): return True", (1,), 1),
    "none": ("def f(x): pass", (1,), None),
    "big": ("def f(x): return x ** 4000", (7,), 7**4000),
    "infinity": ("def f(x): return float('-inf')", (1,), float("-inf")),
    "bytes": ("def f(x): return bytes(x)", ([1, 255],), b"\x01\xff"),
    "keys of every kind": ("def f(x): return {1: 'a', (2, 3): x}", (None,), {1: "a", (2, 3): None}),
    "text": ("def f(x): return x[::-1]", ("añ\U0001f600\n\0",), "\0\n\U0001f600ña"),
    "counter": (
        "from collections import Counter\ndef f(x): return Counter(x)",
        ("abca",),
        {"a": 2, "b": 1, "c": 1},
    ),
    "nested defaultdict": (
        "from collections import defaultdict\n"
        "def f(x):\n  d = defaultdict(list)\n  d[x].append(defaultdict(int))\n  return d",
        (1,),
        {1: [{}]},
    ),
    "named tuple": (
        "from collections import namedtuple\nP = namedtuple('P', 'x y')\ndef f(x): return P(x, 2)",
        (1,),
        (1, 2),
    ),
    "keys view": ("def f(x): return {x: 1}.keys()", (1,), {1}),
    "guard that reads stdin": (
        "def f(x): return x\nif __name__ == '__main__':\n  print(f(int(input())))",
        (3,),
        3,
    ),
    "prints on the way": ("print('hello')\ndef f(x):\n  print(x)\n  return x", (3,), 3),
    "lambda": ("f = lambda x: x", (3,), 3),
    "class instance": ("class F:\n  def __call__(self, x): return x\nf = F()", (3,), 3),
    "thread left running": (
        "import threading, time\n"
        "def f(x):\n  threading.Thread(target=time.sleep, args=(60,)).start()\n  return x",
        (3,),
        3,
    ),
    "dataclass and typing": (
        "from dataclasses import dataclass, asdict\nfrom typing import List, get_type_hints\n"
        "@dataclass\nclass A:\n  x: 'List[int]'\n"
        "def f(x):\n  get_type_hints(A)\n  return asdict(A([x]))",
        (3,),
        {"x": [3]},
    ),
    "pickling its own class": (
        "import pickle\nclass A:\n  def __init__(s, x): s.x = x\n"
        "def f(x): return pickle.loads(pickle.dumps(A(x))).x",
        (3,),
        3,
    ),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_function_is_accepted(name: str, call: Judge) -> None:
    program, args, expected = FUNCTIONS[name]
    result = call(program, *args, expected=expected)
    assert result.verdict == "AC", result


def test_checks_of_every_kind(pool: Pool) -> None:
    program = "class Odd(Exception): pass\ndef f(x, y=1):\n"
    program += "  if x < 0: raise ValueError('negative')\n"
    program += "  if x > 99: raise Odd('large')\n  return [x, y]"
    codes = {
        "one": "assert candidate(1) == [1, 1]",
        "named": "assert f(1, y=2) == [1, 2]",
        "loop": "for i in range(9):\n  assert candidate(i, i) == [i, i]",
        "check": "import random\ndef check(candidate):\n"
        "  for _ in range(9):\n    n = random.randint(0, 99)\n    assert candidate(n)[0] == n\n"
        "check(candidate)",
        "uncalled check": "def check(candidate):\n  x = 3\n  assert candidate(x) == [x, 1]",
        "raises": "try:\n  candidate(-1)\n  assert False\nexcept ValueError as e:\n"
        "  assert str(e) == 'negative'",
        "raises its own": "try:\n  candidate(100)\n  assert False\nexcept Exception as e:\n"
        "  assert 'large' in str(e)",
    }
    tests = tuple(CheckTest(name, code) for name, code in codes.items())
    (report,) = pool.run([Job("checks", program, "function", tests, "f")])
    assert [(t.id, t.verdict) for t in report.tests if not t.passed] == []


def test_mixed_tests_come_back_in_order(pool: Pool) -> None:
    tests = (
        CheckTest("loop", "for i in range(2):\n  assert candidate(i) == i"),
        FunctionTest("one", (1,), 1),
        CheckTest("simple", "assert candidate(2) == 3"),
        CheckTest("loop2", "for i in range(2):\n  assert candidate(i) == i + 1"),
        FunctionTest("two", (2,), 2),
    )
    (report,) = pool.run([Job("mixed", "def f(x): return x", "function", tests, "f")])
    assert [t.id for t in report.tests] == [t.id for t in tests]
    assert [t.verdict for t in report.tests] == ["AC", "AC", "WA", "WA", "AC"]
