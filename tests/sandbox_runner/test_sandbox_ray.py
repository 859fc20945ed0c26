from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import ray

from sandbox_runner import cli, store
from sandbox_runner.accounting import descendants
from sandbox_runner.batch import run as run_batch
from sandbox_runner.engine import EngineError, EngineSetupError
from sandbox_runner.engine_ray import ATTEMPTS, RayEngine
from sandbox_runner.jail import IsolationError
from sandbox_runner.label import label
from sandbox_runner.pool import PoolClosedError
from sandbox_runner.ray_node import BatchWriter, NodeJudge, decode_jobs, decode_reports
from sandbox_runner.types import FunctionTest, Job, JobFormatError, Limits, StdinTest, Verdict

pytestmark = pytest.mark.timeout(100)

ROOT = Path(__file__).resolve().parents[2]
BATCH = 16

# The classes below are unknown to the nodes.
ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])


@pytest.fixture(scope="module", autouse=True)
def cluster() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("RAY_worker_niceness", "0")
        ray.init(
            "local",
            num_cpus=4,  # as Ray counts them: two for `engine`, two for a test's own
            object_store_memory=80 << 20,
            include_dashboard=False,
            log_to_driver=False,
        )
        yield
        ray.shutdown()


@pytest.fixture(scope="module")
def engine(cluster: None) -> Iterator[RayEngine]:
    """Two actors, as of two nodes, with one worker each."""
    with two_actors() as engine:
        yield engine


def two_actors(**options: Any) -> RayEngine:
    return RayEngine(workers_per_node=1, actors_per_node=2, batch=BATCH, **options)


def echo(name: str, program: str = "def f(x): return x") -> Job:
    return Job(name, program, "function", (FunctionTest("t", (1,), 1),), "f")


def processes(word: bytes) -> list[int]:
    """Our descendants that have a word in their command line."""
    found = []
    for pid in descendants(os.getpid()):
        try:
            if word in Path(f"/proc/{pid}/cmdline").read_bytes():
                found.append(pid)
        except OSError:
            continue
    return found


def kill_an_actor() -> None:
    os.kill(processes(b"ray::NodeJudge")[0], signal.SIGKILL)


def until(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


# Labels

PROGRAMS = [
    "def f(x): return x + {i} - {i}",
    "def f(x): return x * 2 # {i}",
    "def f(x): return {{x}} if x % 2 else [x, {i}]",
    "def f(x):\n  if x == 2: raise ValueError('{i}')\n  return x",
    "import os, signal\ndef f(x):\n  try: os.kill(os.getpid(), signal.SIGINT)\n"
    "  except KeyboardInterrupt: return x\n  return {i}",
    "def f(x): return x +",
    "import os\ndef f(x): return os.nice(0) + x # {i}",
    "print('{i}', '\\ud800')\ndef f(x): return x",
]


class Files:
    def __init__(self, folder: Path, problems: int = 25, rollouts: int = 8) -> None:
        self.folder = folder
        self.traces, self.problems = folder / "traces.jsonl", folder / "problems.jsonl"
        tests = [{"id": f"t{i}", "args": [i], "expected": i} for i in range(3)]
        self._write(
            self.problems,
            [
                {
                    "id": f"p{p}",
                    "kind": "function",
                    "entry_point": "f",
                    "public": tests,
                    "private": [],
                }
                for p in range(problems)
            ],
        )
        self.count = problems * rollouts
        self._write(
            self.traces,
            [
                {
                    "id": f"{i}",
                    "problem_id": f"p{i % problems}",
                    "thoughts": [f"a{i % 3}", f"b{i}"],
                    "program": PROGRAMS[i // problems % len(PROGRAMS)].format(i=i),
                }
                for i in range(self.count)
            ],
        )

    def label(self, name: str, **options: Any) -> bytes:
        out = self.folder / name
        summary = label(self.traces, self.problems, out, **options)
        assert (summary.traces, summary.excluded) == (self.count, 0)
        keys = [r["key"] for r, _, _ in store.read_lines(Path(f"{out}.results")) if "key" in r]
        assert len(keys) == len(set(keys)) == summary.programs_run
        return out.read_bytes()

    @staticmethod
    def _write(path: Path, rows: list[dict[str, Any]]) -> None:
        path.write_text("".join(json.dumps(r) + "\n" for r in rows), encoding="utf-8")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return Files(tmp_path_factory.mktemp("ray"))


@pytest.fixture(scope="module")
def local(files: Files) -> bytes:
    return files.label("local.jsonl", workers=2)


def test_labels_are_those_of_the_local_engine(
    files: Files, local: bytes, engine: RayEngine
) -> None:
    assert files.label("ray.jsonl", engine=engine) == local
    assert {v for v in ("AC", "WA", "RE", "CE") if f'"{v}"'.encode() in local} >= {"WA", "RE", "CE"}


@pytest.mark.parametrize("how", ["the process", "the actor"])
def test_a_killed_actor_costs_nothing(
    files: Files, local: bytes, engine: RayEngine, how: str
) -> None:
    killed = []

    def kill(done: int, total: int) -> None:
        if done > total // 4 and not killed:
            killed.append(done)
            if how == "the process":
                kill_an_actor()
            else:
                place = next(iter(engine._fleet._places.values()))
                ray.kill(place.actor)

    assert files.label(f"{how}.jsonl", engine=engine, progress=kill) == local
    assert killed
    until(lambda: len(processes(b"ray::NodeJudge")) == 2)


def test_every_job_gives_one_report_though_actors_die(engine: RayEngine) -> None:
    # Equal names and equal programs are not taken for one job.
    names = [str(i % 50) for i in range(150)]
    seen = []
    for report in engine.run(echo(name) for name in names):
        assert report.all_passed and report.tier == engine.tier
        seen.append(report.id)
        if len(seen) in (20, 60, 100):
            kill_an_actor()
    assert sorted(seen) == sorted(names)


def test_jobs_are_taken_only_as_needed(engine: RayEngine) -> None:
    taken = 0

    def jobs() -> Iterator[Job]:
        nonlocal taken
        while True:
            taken += 1
            yield echo(str(taken))

    run = engine.run(jobs())
    for seen, _ in enumerate(run, 1):
        assert taken <= seen + 5 * BATCH
        if seen == 3 * BATCH:
            break
    run.close()
    assert [r.id for r in engine.run([echo("after")])] == ["after"]
    both = engine.run(echo(f"a{i}") for i in range(40)), engine.run(echo("b") for _ in range(40))
    assert sum(len(pair) for pair in zip(*both, strict=True)) == 80


def test_errors_of_the_caller_come_through(engine: RayEngine, files: Files, tmp_path: Path) -> None:
    with pytest.raises(JobFormatError, match="comparator"):
        list(engine.run([Job("x", "", "stdin", (StdinTest("t", "", ""),), None, "best")]))
    with pytest.raises(ValueError, match="where the engine is opened"):
        label(files.traces, files.problems, tmp_path / "out", engine=engine, workers=1)
    assert list(engine.run([])) == []


def test_run_takes_an_engine_too(engine: RayEngine, tmp_path: Path) -> None:
    rows = [echo(str(i), f"def f(x): return {i}").to_json() for i in range(20)]
    jobs, out = tmp_path / "jobs.jsonl", tmp_path / "reports.jsonl"
    jobs.write_text("".join(json.dumps(r) + "\n" for r in rows))
    assert run_batch(jobs, out, engine=engine).verdicts == {"WA": 19, "AC": 1}
    assert run_batch(jobs, out, engine=engine).reused == 20


# Actors that fail


class Poisoned(NodeJudge):
    def judge(self, run: str, batch: bytes) -> bytes:
        if b"poison" in batch:
            os._exit(1)
        return super().judge(run, batch)


class Garbled(NodeJudge):
    def judge(self, run: str, batch: bytes) -> bytes:
        return super().judge(run, batch) if b"innocent" in batch else b"[]"


class Hopeless(NodeJudge):
    def judge(self, run: str, batch: bytes) -> bytes:
        os._exit(1)


class Stillborn(NodeJudge):
    def start(self) -> bytes:
        os._exit(1)


class Unlike(NodeJudge):
    """The first actor that makes the folder is of another kind."""

    folder = ""
    facts: dict[str, Any] = {}  # noqa: RUF012 (travels to the actors with the class)

    def start(self) -> bytes:
        facts = json.loads(super().start())
        try:
            os.mkdir(self.folder)
        except FileExistsError:
            return json.dumps(facts).encode()
        return json.dumps({**facts, **self.facts}).encode()


@pytest.fixture
def actors(monkeypatch: pytest.MonkeyPatch) -> Callable[[type], None]:
    return lambda kind: monkeypatch.setattr("sandbox_runner.ray_fleet.NodeJudge", kind)


@pytest.mark.parametrize("kind", [Poisoned, Garbled])
def test_a_job_that_kills_actors_takes_no_other_along(
    kind: type, actors: Callable[[type], None]
) -> None:
    actors(kind)
    word = "poison" if kind is Poisoned else "other"
    with RayEngine(workers_per_node=1, actors_per_node=2, batch=4) as engine:
        jobs = [echo(str(i), f"def f(x): return x  # {'innocent'}") for i in range(20)]
        jobs[5] = echo("bad", f"def f(x): return x  # {word}")
        if kind is Garbled:  # an answer that is none is no better than a death
            jobs = jobs[5:6]
        reports = {r.id: r for r in engine.run(jobs)}
    assert len(reports) == len(jobs)
    assert [i for i, r in reports.items() if r.internal_error] == ["bad"]
    assert f"lost with {ATTEMPTS} actors" in reports["bad"].tests[0].stderr


def test_actors_that_always_die_end_the_run(
    actors: Callable[[type], None], caplog: pytest.LogCaptureFixture
) -> None:
    actors(Hopeless)
    with RayEngine(workers_per_node=1, batch=4) as engine:
        reports = []
        with pytest.raises(EngineError, match=r"no node of the Ray cluster is left.*died 5 times"):
            for report in engine.run(echo(str(i)) for i in range(100)):
                reports.append(report)
    assert {t.verdict for r in reports for t in r.tests} == {Verdict.IE}
    assert 0 < len(reports) < 10
    assert "is replaced" in caplog.text and "is left out" in caplog.text
    actors(Stillborn)
    with pytest.raises(EngineError, match=r"no actor could be started.*importable on every node"):
        RayEngine(workers_per_node=1)
    assert processes(b"ray::Hopeless") == processes(b"ray::Stillborn") == []


@pytest.mark.parametrize(
    ("facts", "error", "message"),
    [
        ({"tier": "T3"}, EngineError, r"differ.*: tier T1.*: tier T3"),
        ({"python": "3.8", "judge": 0}, EngineError, r"Python 3\.8, judge 0"),
        ({"missing": "user namespace: not permitted"}, IsolationError, "on .*user namespace"),
    ],
)
def test_nodes_that_differ_are_refused_by_name(
    facts: dict[str, Any],
    error: type[Exception],
    message: str,
    actors: Callable[[type], None],
    tmp_path: Path,
) -> None:
    unlike = type("Unlike", (Unlike,), {"folder": str(tmp_path / "first"), "facts": facts})
    actors(unlike)
    with pytest.raises(error, match=message) as caught:
        two_actors()
    assert os.uname().nodename in str(caught.value)


def test_an_actor_that_becomes_unlike_the_others_is_left_out(
    actors: Callable[[type], None], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "first"
    folder.mkdir()
    actors(type("Unlike", (Unlike,), {"folder": str(folder), "facts": {"tier": "T3"}}))
    with two_actors() as engine:
        folder.rmdir()
        seen = []
        for report in engine.run(echo(str(i)) for i in range(60)):
            seen.append(report.all_passed)
            if len(seen) == 1:
                os.kill(processes(b"ray::Unlike")[0], signal.SIGKILL)
    assert seen == [True] * 60


def test_what_is_missing_or_wrong_is_said(
    files: Files,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for wrong in ({"workers_per_node": 0}, {"actors_per_node": 0}, {"batch": 257}):
        with pytest.raises(ValueError, match=r"must be|at least"):
            RayEngine(**wrong)
    with pytest.raises(EngineSetupError, match="connected to a Ray cluster already"):
        RayEngine("ray://elsewhere:10001")
    command = ["label", str(files.traces), "--problems", str(files.problems)]
    command += ["--out", str(tmp_path / "out")]
    for usage in (["--batch", "8"], ["--ray-address", "auto"], ["--engine", "ray", "--batch", "0"]):
        with pytest.raises(SystemExit) as exit_info:
            cli.main([*command, *usage])
        assert exit_info.value.code == 2
    capsys.readouterr()
    monkeypatch.setitem(sys.modules, "ray", None)
    assert cli.main([*command, "--engine", "ray"]) == 2
    assert "pip install 'codeprm-jax[ray]'" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


# Ends

SLOW = "import time\ndef f(x):\n  time.sleep(30)\n  return x"


def test_ctrl_c_leaves_nothing() -> None:
    words = (b"zygote", b"ray::NodeJudge")
    before = {pid for word in words for pid in processes(word)}

    def all_begun() -> bool:
        return all(set(processes(word)) - before for word in words)

    def interrupt() -> None:
        until(all_begun)
        os.kill(os.getpid(), signal.SIGINT)

    slow = Job("slow", SLOW, "function", echo("x").tests, "f", limits=Limits(wall_s=60))
    thread = threading.Thread(target=interrupt)
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt), RayEngine(workers_per_node=1, batch=1) as engine:
        thread.start()
        list(engine.run([slow] * 4))
    thread.join()
    assert time.monotonic() - began < 20
    until(lambda: not any(set(processes(word)) - before for word in words), 5)
    with pytest.raises(PoolClosedError):
        next(engine.run([slow]))


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0] != b"Z"
    except OSError:
        return False


def test_the_command_starts_its_own_cluster_and_ctrl_c_ends_it(tmp_path: Path) -> None:
    files = Files(tmp_path)
    out = tmp_path / "out.jsonl"
    command = [sys.executable, "-m", "sandbox_runner", "label", str(files.traces)]
    command += ["--problems", str(files.problems), "--out", str(out)]
    command += ["--engine", "ray", "--workers", "2", "--batch", "4"]
    environment = {k: v for k, v in os.environ.items() if k != "RAY_ADDRESS"}
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    results = Path(f"{out}.results")
    until(lambda: results.exists() and results.read_bytes().count(b"\n") > 10, 40)
    begun = descendants(process.pid)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to the cluster's processes too
    _, err = process.communicate(timeout=30)
    assert process.returncode == 1, err
    assert err.splitlines() == ["sandbox-runner: interrupted; run the same command again to go on"]
    until(lambda: not any(map(alive, begun)), 5)


# Bytes


def test_a_batch_carries_shared_tests_once() -> None:
    big = (StdinTest("t", "x" * 10_000, "y"),)
    equal = (StdinTest("t", "x" * 10_000, "y"),)
    odd = (FunctionTest("t", ((1, 2), {3}), {(1,): float("inf")}, {"k": b"\0"}),)
    jobs = [Job(str(i), f"print({i}, '\ud800')", "stdin", big) for i in range(20)]
    jobs += [Job("same", "", "stdin", equal, None, "tokens", Limits(cpu_s=1))]
    jobs += [Job("f", "", "function", odd, "f")]
    writer = BatchWriter()
    for job in jobs:
        writer.add(job)
    payload = writer.payload()
    assert writer.size <= len(payload) < 20_000
    for number, (job, again) in enumerate(zip(jobs, decode_jobs(payload), strict=True)):
        assert again.to_json() == {**job.to_json(), "id": str(number)}


@pytest.mark.parametrize(
    "reply", ["[]", "{}", '[{"id": "0"}]', "x", '[{"id": "0", "tier": "T1", "tests": []}]']
)
def test_an_answer_of_another_form_is_refused(reply: str) -> None:
    with pytest.raises(ValueError):
        decode_reports(reply.encode(), [echo("a")])
