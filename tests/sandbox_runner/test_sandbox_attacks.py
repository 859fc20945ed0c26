"""Programs that want a verdict they have not earned, or to do harm. None may pass, stay or spread.

The corpus is judged once a tier, in one batch, with an honest program between every two attacks;
the tests look at what came of it. Programs and what is right for them stand in tests/attacks, one a
file, and in tests/honest. As an ordinary user it is judged in a process of its own.
"""

from __future__ import annotations

import functools
import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from corpus import (
    LEFT_BEHIND,
    SECRET,
    Attack,
    CorpusError,
    Honest,
    attacks,
    honest,
    read_attack,
    read_honest,
)

from sandbox_runner import accounting, jail
from sandbox_runner.pool import Pool
from sandbox_runner.types import FunctionTest, Job, Report, Verdict

ATTACKS = attacks()
HONEST = honest()
BYSTANDER = Job("bystander", "def f(x): return x", "function", (FunctionTest("1", (7,), 7),), "f")
FOLDERS = (tempfile.gettempdir(), "/dev/shm", "/var/tmp")


class Aftermath:
    """The reports of the corpus by name, and what it changed on the machine."""

    def __init__(self, pool: Pool) -> None:
        files, here = _files(), set(os.listdir())
        before = _running()
        self.reports: dict[str, Report] = {}
        self.unharmed: list[Report] = []
        for report in pool.run(jobs(pool.tier)):
            if report.id == BYSTANDER.id:
                self.unharmed.append(report)
            else:
                self.reports[report.id] = report
        self.strangers = _strangers(before, pool)
        wrong = Job("w", "def f(x): return 0", "function", (FunctionTest("1", (1,), SECRET),), "f")
        self.afterwards = list(pool.run([BYSTANDER, wrong] * 4))
        pool.close()
        self.left_running = _running().keys() - before.keys()
        self.new_files = _files() - files
        self.new_files_here = set(os.listdir()) - here


@pytest.fixture(scope="module")
def aftermaths() -> Callable[[str], Aftermath]:
    """The aftermath of the corpus in a tier."""

    @functools.cache
    def judge(tier: jail.Tier) -> Aftermath:
        return Aftermath(Pool(workers=2, allow_weak_isolation=True, tier=tier))

    return judge


def jobs(tier: str) -> Iterator[Job]:
    rest = [h for h in HONEST.values() if tier in h.tiers]
    for name, attack in ATTACKS.items():
        if tier in attack.tiers:
            yield attack.job(f"attacks/{name}")
            yield rest[0].job(f"honest/{rest.pop(0).name}") if rest else BYSTANDER
    for program in rest:
        yield program.job(f"honest/{program.name}")


def _cases(programs: Mapping[str, Attack | Honest]) -> list[Any]:
    return [
        pytest.param(tier, program, id=f"{tier}-{name}")
        for tier in jail.TIERS
        for name, program in programs.items()
        if tier in program.tiers
    ]


@pytest.mark.parametrize(("tier", "attack"), _cases(ATTACKS))
def test_an_attack_gains_nothing(
    tier: str, attack: Attack, aftermaths: Callable[[str], Aftermath]
) -> None:
    for result in aftermaths(tier).reports[f"attacks/{attack.name}"].tests:
        assert result.verdict is not Verdict.AC, result
        assert result.verdict in attack.verdicts, result


@pytest.mark.parametrize(("tier", "program"), _cases(HONEST))
def test_an_honest_program_among_attacks_is_accepted(
    tier: str, program: Honest, aftermaths: Callable[[str], Aftermath]
) -> None:
    (result,) = aftermaths(tier).reports[f"honest/{program.name}"].tests
    assert result.verdict is Verdict.AC, result


@pytest.mark.parametrize("tier", jail.TIERS)
def test_the_machine_and_the_judge_are_as_before(
    tier: str, aftermaths: Callable[[str], Aftermath]
) -> None:
    aftermath = aftermaths(tier)
    assert aftermath.unharmed
    assert [r for r in aftermath.unharmed if not r.all_passed] == []
    verdicts = sorted(r.tests[0].verdict for r in aftermath.afterwards)
    assert verdicts == ["AC"] * 4 + ["WA"] * 4
    assert aftermath.strangers == {}
    assert aftermath.left_running == set()
    assert aftermath.new_files == set()
    assert aftermath.new_files_here == set()


AS_A_USER = """
import json, os, sys
sys.path[:0] = [sys.argv[1], sys.argv[1] + "/tests"]
import corpus
from sandbox_runner.pool import Pool
with Pool(workers=2, tier=sys.argv[2]) as pool:
    programs = [*corpus.attacks().values(), *corpus.honest().values()]
    jobs = [p.job(p.name) for p in programs if pool.tier in p.tiers]
    verdicts = {r.id: [t.verdict for t in r.tests] for r in pool.run(jobs)}
print(json.dumps([os.getuid(), verdicts]))
"""


@pytest.mark.parametrize("tier", ["T1", "T2"])
def test_the_corpus_as_an_ordinary_user(tier: str, as_a_user: list[str]) -> None:
    # A copy that others can read; the checkout may stand in a home directory.
    with tempfile.TemporaryDirectory(prefix="checkout-") as copy:
        root = Path(__file__).resolve().parents[2]
        for folder in ("sandbox_runner", "tests/attacks", "tests/honest"):
            shutil.copytree(root / folder, Path(copy, folder))
        shutil.copy(root / "tests/corpus.py", Path(copy, "tests"))
        for path in [Path(copy), *Path(copy).rglob("*")]:
            path.chmod(0o755)
        done = subprocess.run(
            [*as_a_user, "-c", AS_A_USER, copy, tier],
            capture_output=True,
            text=True,
            timeout=120,
            cwd="/",
            check=False,
        )
    assert done.returncode == 0, done.stderr
    uid, verdicts = json.loads(done.stdout)
    assert uid == 4242
    right = {a.name: set(a.verdicts) for a in ATTACKS.values() if tier in a.tiers}
    right |= {h.name: {Verdict.AC} for h in HONEST.values() if tier in h.tiers}
    assert verdicts.keys() == right.keys()
    assert {n: v for n, v in verdicts.items() if not set(v) <= right[n]} == {}


def test_the_corpus_is_large_enough() -> None:
    assert len(ATTACKS) >= 85
    assert len(HONEST) >= 55


BAD_HEADERS = {
    "no docstring": "# kind: stdin\n# verdicts: WA\nprint(1)\n",
    "unknown header": "# kind: stdin\n# verdicts: WA\n# speed: 3\n",
    "a header twice": "# kind: stdin\n# verdicts: WA\n# kind: stdin\n",
    "no header": "# kind: stdin\n# verdicts: WA\n# a remark\n",
    "unknown kind": "# kind: program\n# verdicts: WA\n",
    "no kind": "# verdicts: WA\n",
    "no verdicts": "# kind: stdin\n",
    "unknown verdict": "# kind: stdin\n# verdicts: WA, XX\n",
    "accepted": "# kind: stdin\n# verdicts: WA, AC\n",
    "internal error": "# kind: stdin\n# verdicts: IE\n",
    "unknown tier": "# kind: stdin\n# verdicts: WA\n# tiers: T4\n",
    "unknown limit": '# kind: stdin\n# verdicts: WA\n# limits: {"time": 3}\n',
    "limit of zero": '# kind: stdin\n# verdicts: WA\n# limits: {"cpu_s": 0}\n',
    "calls of a program": "# kind: stdin\n# verdicts: WA\n# calls: 3\n",
    "two programs": '# kind: stdin\n# verdicts: WA\n# program-python: "x"\nprint(1)\n',
    "no program": "# kind: stdin\n# verdicts: WA\n# program-python: 3\n",
}


@pytest.mark.parametrize("name", BAD_HEADERS)
def test_an_attack_with_a_bad_header_is_refused(name: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.py"
    path.write_text(('"""Tries."""\n' if name != "no docstring" else "") + BAD_HEADERS[name])
    with pytest.raises(CorpusError, match=r"bad\.py"):
        read_attack(path)


BAD_HONEST_HEADERS = {
    "check": "# kind: check\n",
    "no stdout": '# kind: stdin\n# stdin: ""\n',
    "stdin twice": '# kind: stdin\n# stdin: ""\n# stdin-python: ""\n# stdout: ""\n',
    "no JSON": "# kind: stdin\n# stdin: ''\n# stdout: \"\"\n",
    "no text": '# kind: stdin\n# stdin: 3\n# stdout: ""\n',
    "arguments of a program": '# kind: stdin\n# stdin: ""\n# stdout: ""\n# args: ()\n',
    "no expected value": "# kind: function\n# args: (1,)\n",
    "no arguments": "# kind: function\n# args: 1\n# expected: 1\n",
    "no literal": "# kind: function\n# args: (1,)\n# expected: 1 + f(2)\n",
    "verdicts": "# kind: function\n# args: (1,)\n# expected: 1\n# verdicts: AC\n",
}


@pytest.mark.parametrize("name", BAD_HONEST_HEADERS)
def test_an_honest_program_with_a_bad_header_is_refused(name: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.py"
    path.write_text('"""Does."""\n' + BAD_HONEST_HEADERS[name])
    with pytest.raises(CorpusError, match=r"bad\.py"):
        read_honest(path)


def _files() -> set[str]:
    """Files in shared folders that a program or the judge itself may have left there."""
    return {
        entry.path
        for folder in FOLDERS
        if os.path.isdir(folder)
        for entry in os.scandir(folder)
        if LEFT_BEHIND in entry.name.replace("_", "-") or entry.name.startswith("sandbox-")
    }


def _running() -> dict[int, str]:
    """Descendants of this process that are no zombies, with their command lines."""
    found = {}
    for pid in accounting.descendants(os.getpid()):
        try:
            stat = Path(f"/proc/{pid}/stat").read_bytes()
            command = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
        except OSError:
            continue
        if stat.rpartition(b")")[2].split()[0] != b"Z":
            found[pid] = command
    return found


def _strangers(before: dict[int, str], pool: Pool) -> dict[int, str]:
    """Processes that the corpus left, beyond the zygotes (two processes in T1) and their cells."""
    deadline = time.monotonic() + 2
    while True:
        running = {pid: c for pid, c in _running().items() if pid not in before}
        zygote = 2 if pool.tier == "T1" else 1
        owned = sum(zygote * len(w._zygotes) + len(w._cells) for w in pool._running)
        if len(running) <= owned:
            return {}
        if time.monotonic() > deadline:
            return running
        time.sleep(0.02)
