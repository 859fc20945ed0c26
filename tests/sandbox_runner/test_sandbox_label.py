from __future__ import annotations

import errno
import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from sandbox_runner import cli, label, store
from sandbox_runner.accounting import descendants
from sandbox_runner.pool import Pool
from sandbox_runner.store import StoreError
from sandbox_runner.types import Job, Report, TestResult, Verdict
from sandbox_runner.worker import Worker

ROOT = Path(__file__).resolve().parents[2]

RIGHT = "def f(x): return x + 1"
HALF = "def f(x): return 2"
WRONG = "def f(x): return None"


def problem(name: str, **change: Any) -> dict[str, Any]:
    tests = [{"id": f"t{i}", "args": [i], "expected": i + 1} for i in range(4)]
    return {
        "schema": 1,
        "id": name,
        "kind": "function",
        "entry_point": "f",
        "comparator": None,
        "limits": {"cpu_s": 2.0},
        "statement": "add one",
        "public": tests[:2],
        "private": tests[2:],
        **change,
    }


def trace(name: str, problem_id: str, thoughts: list[str], program: str) -> dict[str, Any]:
    return {
        "schema": 1,
        "id": name,
        "problem_id": problem_id,
        "thoughts": thoughts,
        "program": program,
        "public": None,
        "steps": None,
        "provenance": {"seed": 1},
    }


class Files:
    def __init__(self, folder: Path) -> None:
        self.traces, self.problems = folder / "traces.jsonl", folder / "problems.jsonl"
        self.out = folder / "out.jsonl"
        self.results = folder / "out.jsonl.results"

    def write(self, problems: list[dict[str, Any]], traces: list[dict[str, Any]]) -> None:
        for path, rows in ((self.problems, problems), (self.traces, traces)):
            path.write_text("".join(json.dumps(r) + "\n" for r in rows), encoding="utf-8")

    def label(self, **options: Any) -> label.LabelSummary:
        return label.label(self.traces, self.problems, self.out, workers=2, **options)

    def rows(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.read_text().splitlines()]

    def command(self, *more: str) -> list[str]:
        arguments = [str(self.traces), "--problems", str(self.problems), "--out", str(self.out)]
        return ["label", *arguments, "--workers", "2", *more]


@pytest.fixture
def files(tmp_path: Path) -> Files:
    files = Files(tmp_path)
    files.write(
        [problem("p"), problem("q")],
        [
            trace("1", "p", ["a", "b"], RIGHT),
            trace("2", "p", ["a", "c"], HALF),
            trace("3", "q", ["a"], WRONG),
            trace("4", "p", ["a", "b"], RIGHT),
            trace("5", "p", ["d"], WRONG),
            trace("6", "q", [], RIGHT),
        ],
    )
    return files


def test_labels_count_the_rollouts_behind_each_prefix(files: Files) -> None:
    seen: list[tuple[int, int]] = []
    summary = files.label(progress=lambda done, total: seen.append((done, total)))
    rows = {r["id"]: r for r in files.rows()}
    assert [r["id"] for r in files.rows()] == ["1", "2", "4", "5", "3", "6"]
    assert rows["1"]["steps"] == rows["4"]["steps"]
    assert rows["1"]["steps"] == [
        {"passes": 2, "trials": 3, "pass_rate_sum": 2.25},
        {"passes": 2, "trials": 2, "pass_rate_sum": 2.0},
    ]
    assert rows["2"]["steps"][1] == {"passes": 0, "trials": 1, "pass_rate_sum": 0.25}
    assert rows["5"]["steps"] == [{"passes": 0, "trials": 1, "pass_rate_sum": 0.0}]
    assert rows["3"]["steps"] == [{"passes": 0, "trials": 1, "pass_rate_sum": 0.0}]
    assert rows["6"]["steps"] == []
    assert rows["2"]["outcome"] == {"passes": 1, "trials": 4, "tier": summary.tier}
    feedback = rows["2"]["public"]
    assert (feedback["passed"], feedback["total"]) == (1, 2)
    assert feedback["failures"] == [
        {"id": "t0", "verdict": "WA", "input": "f(0)", "expected": "1", "actual": "2", "stderr": ""}
    ]
    assert rows["1"]["provenance"] == {"seed": 1}
    # Both problems have equal tests, so their programs are the same work.
    assert (summary.programs_run, summary.traces, summary.excluded) == (3, 6, 0)
    assert summary.verdicts == {"AC": 5, "WA": 3, "RE": 4} or summary.verdicts["AC"] == 5
    assert seen[-1] == (6, 6)


def test_nothing_is_run_twice(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    files.label()
    first = files.out.read_bytes()
    ran: list[Job] = []
    real = Pool.run

    def counting(pool: Pool, jobs: Any) -> Any:
        return real(pool, (ran.append(j) or j for j in jobs))  # type: ignore[func-returns-value]

    monkeypatch.setattr(Pool, "run", counting)
    assert files.label().programs_run == 0
    assert files.out.read_bytes() == first
    for size in (0, 1, len(first) // 2, len(first) - 1):
        files.out.write_bytes(first[:size])
        files.label()
        assert files.out.read_bytes() == first
    files.out.unlink()
    assert files.label().programs_reused == 3
    assert files.out.read_bytes() == first
    assert not ran


@pytest.mark.parametrize("cut", [0.1, 0.5, 0.9, 0.999])
def test_a_torn_store_is_mended(files: Files, cut: float) -> None:
    files.label()
    first, results = files.out.read_bytes(), files.results.read_bytes()
    files.results.write_bytes(results[: int(len(results) * cut)])
    try:
        files.label()
    except StoreError:
        assert cut < 0.2  # the line that says what OUT was made from is lost
        files.out.unlink()
        files.label()
    assert files.out.read_bytes() == first


def test_internal_errors_are_no_labels(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    attempts: list[str] = []

    def broken(pool: Pool, jobs: Any) -> Any:
        for job in jobs:
            attempts.append(job.id)
            verdict = Verdict.IE if job.program == HALF else Verdict.AC
            yield Report(job.id, "T1", tuple(TestResult(t.id, verdict) for t in job.tests))

    monkeypatch.setattr(Pool, "run", broken)
    summary = files.label()
    assert summary.excluded == 1
    assert len(attempts) == 4  # the broken one twice
    rows = {r["id"]: r for r in files.rows()}
    assert "2" not in rows
    assert rows["1"]["steps"][0]["trials"] == 2
    again = files.label()
    assert (again.excluded, again.traces) == (1, 5)
    assert len(attempts) == 6  # a restart tries it again, and nothing else


@pytest.mark.parametrize("cut", [0.0, 0.5, 1.0])
def test_a_restart_labels_what_the_judge_had_failed_on(
    files: Files, cut: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    files.label()
    whole = files.out.read_bytes()
    files.out.unlink()
    files.results.unlink()
    real = Worker.judge

    def broken(worker: Worker, job: Job) -> Report:
        report = real(worker, job)
        if job.program == HALF:
            tests = tuple(TestResult(t.id, Verdict.IE) for t in job.tests)
            return Report(job.id, report.tier, tests)
        return report

    with monkeypatch.context() as patch:
        patch.setattr(Worker, "judge", broken)
        assert files.label().excluded == 1
    assert files.out.read_bytes() != whole
    before = len(files.results.read_bytes())
    again = files.label()
    assert (again.excluded, again.traces, again.programs_run) == (0, 6, 1)
    assert files.out.read_bytes() == whole
    # The same, killed on the way.
    results = files.results.read_bytes()
    files.results.write_bytes(results[: before + int(cut * (len(results) - before))])
    assert files.label().traces == 6
    assert files.out.read_bytes() == whole
    assert files.label().programs_run == 0
    assert files.out.read_bytes() == whole


def test_other_inputs_are_refused(files: Files) -> None:
    files.label()
    before = files.out.read_bytes()
    lines = files.traces.read_text()
    files.traces.write_text(lines + json.dumps(trace("7", "p", ["z"], RIGHT)) + "\n")
    with pytest.raises(StoreError, match="other traces or problems"):
        files.label()
    assert files.out.read_bytes() == before
    files.results.unlink()
    with pytest.raises(StoreError, match="something else"):
        files.label()
    assert files.out.read_bytes() == before


def test_one_writer_at_a_time(files: Files) -> None:
    with store.AppendFile(files.out, bool), pytest.raises(StoreError, match="another run"):
        files.label()


@pytest.mark.parametrize(
    ("target", "line", "message"),
    [
        ("traces", '{"id": "9", "problem_id"', "traces.jsonl:7: no whole JSON object"),
        ("traces", "[1]", "traces.jsonl:7: a JSON object"),
        ("traces", '{"id": "9"}', "'problem_id' is missing"),
        ("traces", json.dumps(trace("9", "r", [], "")), "problem 'r' is not in"),
        ("traces", json.dumps(trace("1", "p", [], "")), "'1' is there twice"),
        ("traces", json.dumps({**trace("9", "p", [], ""), "thoughts": [1]}), "'thoughts'"),
        ("problems", '{"id": ', "problems.jsonl:3: no whole JSON object"),
        ("problems", json.dumps(problem("p")), "'p' is there twice"),
        ("problems", json.dumps(problem("r", public=[], private=[])), "no tests"),
        ("problems", json.dumps(problem("r", comparator="best")), "comparator 'best'"),
        ("problems", json.dumps(problem("r", limits={"x": 1})), "unknown limits"),
        ("problems", json.dumps(problem("r", private=[{"id": "a"}])), "fit no kind"),
        ("problems", json.dumps(problem("r", entry_point=None)), "no Python name"),
    ],
)
def test_bad_input_is_named(
    files: Files, target: str, line: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with getattr(files, target).open("a") as file:
        file.write(line + "\n")
    if target == "problems":
        with files.traces.open("a") as file:
            file.write(json.dumps(trace("9", "r", [], RIGHT)) + "\n")
    assert cli.main(files.command()) == 2
    assert message in capsys.readouterr().err
    assert not files.out.exists()


def test_missing_files_and_options(files: Files, capsys: pytest.CaptureFixture[str]) -> None:
    files.problems.unlink()
    assert cli.main(files.command()) == 2
    assert "problems.jsonl: no such file" in capsys.readouterr().err
    for wrong in (["--color"], ["--workers", "0"]):
        with pytest.raises(SystemExit) as exit_info:
            cli.main(files.command(*wrong))
        assert exit_info.value.code == 2


def test_the_command_says_what_it_did(files: Files, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(files.command()) == 0
    out, err = capsys.readouterr()
    assert "6 traces labelled" in out and "3 programs run in this run" in out
    assert err == ""


def many(folder: Path, count: int = 60) -> Files:
    files = Files(folder)
    program = "import time\ndef f(x):\n  time.sleep(0.01)\n  return x + {}"
    files.write(
        [problem(f"p{i}") for i in range(count)],
        [
            trace(f"{i}-{k}", f"p{i}", [f"a{k % 2}"], program.format(f"1 + 0 * {i * 4 + k}"))
            for i in range(count)
            for k in range(3)
        ],
    )
    return files


def start(files: Files) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "sandbox_runner", *files.command()],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0] != b"Z"
    except OSError:
        return False


def wait_for_results(files: Files, lines: int) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if files.results.exists() and files.results.read_bytes().count(b"\n") >= lines:
            return
        time.sleep(0.01)
    raise AssertionError("no results")


def test_kill_9_and_resume_runs_nothing_twice(tmp_path: Path) -> None:
    files = many(tmp_path)
    for lines in (10, 60, 120):
        process = start(files)
        wait_for_results(files, lines)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert process.returncode == -signal.SIGKILL
    assert files.label().traces == 180
    keys = [r["key"] for r, _, _ in store.read_lines(files.results) if "key" in r]
    assert len(keys) == len(set(keys)) == 180
    assert [r["id"] for r in files.rows()] == [f"{i}-{k}" for i in range(60) for k in range(3)]
    assert all(r["outcome"]["passes"] == 4 for r in files.rows())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_keeps_what_is_finished(tmp_path: Path, number: signal.Signals) -> None:
    files = many(tmp_path, 20)
    process = start(files)
    wait_for_results(files, 10)
    zygotes = descendants(process.pid)
    process.send_signal(number)
    _, err = process.communicate(timeout=20)
    assert process.returncode == 1
    assert "interrupted; run the same command again to go on" in err
    assert "Traceback" not in err
    assert not [pid for pid in zygotes if alive(pid)]
    assert files.label().traces == 60


def test_a_full_disk_is_reported_and_survived(tmp_path: Path) -> None:
    files = many(tmp_path, 5)
    size = 6000

    def small_disk() -> None:
        # A file size limit stands in for a full disk: the write fails in the same place.
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

    process = subprocess.run(
        [sys.executable, "-m", "sandbox_runner", *files.command()],
        cwd=ROOT,
        capture_output=True,
        text=True,
        preexec_fn=small_disk,
        timeout=60,
    )
    assert process.returncode == 1, process
    assert os.strerror(errno.EFBIG) in process.stderr
    assert "Traceback" not in process.stderr
    assert all(json.loads(line) for line in files.results.read_text().splitlines())
    assert files.label().traces == 15


def test_a_store_keeps_reports_and_marks(tmp_path: Path) -> None:
    path = tmp_path / "results"
    report = Report("r", "T1", (TestResult("t", Verdict.AC),))
    first = store.ResultStore(path)
    first.put("k", report)
    first.mark({"problem": "1", "end": 0, "excluded": 0})
    first.close()
    path.write_bytes(path.read_bytes() + b'{"key":"torn')
    second = store.ResultStore(path)
    assert second.get("k") == report
    assert second.marks == [{"problem": "1", "end": 0, "excluded": 0}]
    assert "torn" not in second
    second.put("l", report)
    second.close()
    assert len(store.ResultStore(path)) == 2


def test_the_key_is_the_work_and_not_its_name() -> None:
    def job(name: str, **change: Any) -> Job:
        data = {**problem("p"), **change}
        return Job.from_json(
            {
                "id": name,
                "program": data.get("program", RIGHT),
                "kind": "function",
                "entry_point": "f",
                "tests": data["public"],
                "limits": data["limits"],
                "comparator": data["comparator"],
            }
        )

    key = store.job_key(job("a"), "T1")
    assert key == store.job_key(job("b"), "T1")
    others = [
        store.job_key(job("a"), "T3"),
        store.job_key(job("a", program=HALF), "T1"),
        store.job_key(job("a", limits={"cpu_s": 1.0}), "T1"),
        store.job_key(job("a", comparator="unordered"), "T1"),
        store.job_key(job("a", public=problem("p")["private"]), "T1"),
    ]
    assert len({key, *others}) == 6


def test_results_beside_the_traces_are_taken_over(files: Files, tmp_path: Path) -> None:
    """Whoever drew the traces may have run their programs; a torn file counts as far as it goes."""
    files.label()
    content, first = files.results.read_bytes(), files.out.read_bytes()
    beside = files.traces.with_name("traces.jsonl.results")
    reports = [line for line in content.splitlines(keepends=True) if line.startswith(b'{"key"')]
    for kept in (b"".join(reports), b"".join(reports)[:-5], b"no record", b""):
        files.out.unlink()
        files.results.unlink()
        beside.write_bytes(kept)
        summary = files.label()
        assert summary.programs_reused == kept.count(b"\n")
        assert summary.programs_run == len(reports) - summary.programs_reused
        assert files.out.read_bytes() == first and beside.read_bytes() == kept
        beside.unlink()
        assert files.label().programs_run == 0  # they are the labeller's own now
