"""Programs that want a verdict they have not earned, or to do harm. None may pass, stay or spread.

The corpus is judged once, in one batch, with an honest program between every two attacks; the tests
look at what came of it. Programs and what is right for them stand in tests/attacks, one a file.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

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

from sandbox_runner import jail
from sandbox_runner.pool import Pool
from sandbox_runner.types import FunctionTest, Job, Report, Verdict

ATTACKS = attacks()
HONEST = honest()
BYSTANDER = Job("bystander", "def f(x): return x", "function", (FunctionTest("1", (7,), 7),), "f")
FOLDERS = (tempfile.gettempdir(), "/dev/shm", "/var/tmp")


class Aftermath:
    """The reports of the corpus by name, and what it changed on the machine."""

    def __init__(self, pool: Pool) -> None:
        warm = list(pool.run([BYSTANDER] * 8))  # so that every zygote is there
        assert all(r.all_passed for r in warm)
        processes, files, here = _running(), _files(), set(os.listdir())
        self.reports: dict[str, Report] = {}
        self.unharmed: list[Report] = []
        for report in pool.run(_jobs(pool.tier)):
            if report.id == BYSTANDER.id:
                self.unharmed.append(report)
            else:
                self.reports[report.id] = report
        self.tier = pool.tier
        self.new_files = _files() - files
        self.new_files_here = set(os.listdir()) - here
        self.strangers = _strangers(processes)


@pytest.fixture(scope="module")
def aftermath(pool: Pool) -> Aftermath:
    return Aftermath(pool)


def _jobs(tier: str) -> Iterator[Job]:
    rest = [h for h in HONEST.values() if tier in h.tiers]
    for name, attack in ATTACKS.items():
        if tier in attack.tiers:
            yield attack.job(f"attacks/{name}")
            yield rest[0].job(f"honest/{rest.pop(0).name}") if rest else BYSTANDER
    for program in rest:
        yield program.job(f"honest/{program.name}")


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS)
def test_an_attack_gains_nothing(attack: Attack, aftermath: Aftermath) -> None:
    if aftermath.tier not in attack.tiers:
        pytest.skip(f"has a point in {attack.tiers} only; this is {aftermath.tier}")
    for result in aftermath.reports[f"attacks/{attack.name}"].tests:
        assert result.verdict is not Verdict.AC, result
        assert result.verdict in attack.verdicts, result


@pytest.mark.parametrize("program", HONEST.values(), ids=HONEST)
def test_an_honest_program_among_attacks_is_accepted(program: Honest, aftermath: Aftermath) -> None:
    if aftermath.tier not in program.tiers:
        pytest.skip(f"cannot run in {aftermath.tier}")
    (result,) = aftermath.reports[f"honest/{program.name}"].tests
    assert result.verdict is Verdict.AC, result


def test_bystanders_are_unharmed(aftermath: Aftermath) -> None:
    assert aftermath.unharmed
    assert [r for r in aftermath.unharmed if not r.all_passed] == []


def test_no_process_is_left(aftermath: Aftermath) -> None:
    assert aftermath.strangers == {}


def test_no_file_is_left(aftermath: Aftermath) -> None:
    assert aftermath.new_files == set()
    assert aftermath.new_files_here == set()


def test_the_pool_still_judges(aftermath: Aftermath, pool: Pool) -> None:
    wrong = Job("w", "def f(x): return 0", "function", (FunctionTest("1", (1,), SECRET),), "f")
    reports = list(pool.run([BYSTANDER, wrong] * 4))
    assert sorted(r.tests[0].verdict for r in reports) == ["AC"] * 4 + ["WA"] * 4


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
    for pid in jail.descendants(os.getpid()):
        try:
            stat = Path(f"/proc/{pid}/stat").read_bytes()
            command = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
        except OSError:
            continue
        if stat.rpartition(b")")[2].split()[0] != b"Z":
            found[pid] = command
    return found


def _strangers(before: dict[int, str]) -> dict[int, str]:
    """Processes that the corpus left. A zygote may have been replaced, so their number counts."""
    deadline = time.monotonic() + 2
    while len(running := _running()) > len(before) and time.monotonic() < deadline:
        time.sleep(0.02)
    if len(running) <= len(before):
        return {}
    return {pid: command for pid, command in running.items() if pid not in before}
