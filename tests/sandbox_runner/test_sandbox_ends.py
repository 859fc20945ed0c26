"""How a program ends: with the output and exit status that CPython gives it, however it is run."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from sandbox_runner.pool import Pool
from sandbox_runner.types import Job, StdinTest

# Separated by lines of ---.
_TEXT = """\
import sys
class W:
    def write(s, x): sys.__stdout__.write(x)
    def flush(s): sys.__stdout__.flush()
sys.stdout = W(); print('z')
---
import sys
out = sys.stdout
class W:
    def write(s, x): out.write(x)
    def flush(s): out.flush()
sys.stdout = W()
print(6)
---
import sys
print(1); sys.stdout.close()
---
import sys
with sys.stdout as f: f.write('hi')
---
import sys,io
sys.stdout = io.TextIOWrapper(sys.stdout.detach(), write_through=True); print(5)
---
import sys,io
sys.stdout = io.TextIOWrapper(sys.stdout.buffer, encoding='utf-8'); print(5)
---
import sys,io
sys.stdin = io.TextIOWrapper(sys.stdin.buffer, encoding='utf-8'); print(input())
---
import sys,codecs
sys.stdout = codecs.getwriter('utf-8')(sys.stdout.detach()); print(7)
---
import sys,codecs
sys.stdout = codecs.getwriter('utf-8')(sys.stdout.buffer); print(7)
---
import sys
sys.stderr.close()
print(2)
---
import sys
print(3)
del sys.stdout
---
def log(s): print(s)
class A:
    def __del__(self): log('bye')
a=A()
---
class A:
    n=0
    def __del__(self):
        A.n += 1
        print(A.n)
a=A(); b=A()
---
class A:
    def __del__(self): print('c')
a=A(); a.x=a
---
import sys
sys.stdin=open(0); print(input())
---
import os
f=os.fdopen(0); print(f.readline().strip())
---
import sys
sys.stdout=open(1,'w'); print(4)
---
import sys,os
sys.stdout=os.fdopen(sys.stdout.fileno(),'w'); print(4)
---
import sys,os,io
buf=io.BytesIO()
class F:
    def __init__(s): s.b=buf; s.write=lambda t: s.b.write(t.encode())
    def flush(s):
        os.write(1,s.b.getvalue()); s.b.truncate(0); s.b.seek(0)
sys.stdout=F(); print('fast')
---
import sys
class W:
    def write(s,x): pass
    def flush(s): raise KeyError
sys.stdout=W(); print(1)
---
import atexit
atexit.register(lambda: print('end'))
print('begin')
---
import sys
sys.stdout.write('x'); sys.exit(0)
---
import sys
sys.stdout.write('x'); sys.exit('bad')
---
f=open('o.txt','w'); f.write('x')
print(1)
---
import threading,time
def g():
    time.sleep(.05); print('t')
threading.Thread(target=g).start()
print('m')
---
import weakref
class A: pass
a=A()
weakref.finalize(a, print, 'fin')
print('x')
---
import sys
print(1, file=sys.__stdout__)
---
import contextlib,io
s=io.StringIO()
with contextlib.redirect_stdout(s): print(9)
print(s.getvalue().strip())
---
import logging
logging.basicConfig(); logging.warning('w'); print(1)
"""
PROGRAMS = _TEXT.split("---\n")


@pytest.fixture(scope="module")
def ends(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[str, int]]:
    """(stdout, exit status) of each program in CPython."""
    folder: Path = tmp_path_factory.mktemp("python")
    found = []
    for program in PROGRAMS:
        command = [sys.executable, "-c", program]
        done = subprocess.run(command, input="a b\n", capture_output=True, text=True, cwd=folder)
        found.append((done.stdout, done.returncode))
    return found


@pytest.mark.parametrize("reuse", [False, True])
def test_a_program_ends_as_in_python(pool: Pool, ends: list[tuple[str, int]], reuse: bool) -> None:
    jobs, right = [], {}
    for number, (program, (stdout, status)) in enumerate(zip(PROGRAMS, ends, strict=True)):
        # Twice: the first test must leave the second one its streams and its end.
        tests = tuple(StdinTest(name, "a b\n", stdout) for name in "12")
        jobs.append(Job(str(number), program, "stdin", tests, reuse_process=reuse))
        right[str(number)] = ["RE" if status else "AC"] * 2
    for report in pool.run(jobs):
        found = [str(t.verdict) for t in report.tests]
        assert found == right[report.id], (PROGRAMS[int(report.id)], report.tests)
