"""The pipeline over HTTP: collect, label, build, search and report, with a model server that dies.

The server is real (`transformers serve`), its models are Markov chains (see tests/policies/serve):
one says what is right now and then, the other nothing that could be used. With one request at a
time the server is a function of its requests, so that runs can be compared with each other.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import pytest

from codeprm_jax import cli
from codeprm_jax.data.layout import LayoutConfig
from codeprm_jax.data.pipeline import tokenizer_for
from codeprm_jax.evaluation.benchmark import EVENTS, RESULTS, STAGES, SUMMARY
from codeprm_jax.files import read_json, read_jsonl, read_valid_prefix
from codeprm_jax.problems.loading import write_problems
from codeprm_jax.problems.problem import PrivateTests, Problem, PublicProblem
from codeprm_jax.search.scoring import DECIMALS
from codeprm_jax.traces.dataset import Record
from codeprm_jax.traces.trace import read_traces
from sandbox_runner.types import FunctionTest
from tests.conftest import TINY
from tests.policies.serve import TransformersServe, save_chat_model
from tests.scoring.models import save_random_model

pytestmark = [pytest.mark.slow, pytest.mark.timeout(280)]

ROOT = Path(__file__).resolve().parents[2]

# A third of the programs is in no Python, a third of the judgements out of range.
SAYS: tuple[tuple[str, ...], ...] = (
    ("1. Read all the numbers.\n", "1. Read the first number only.\n"),
    ("2. Add them up.\n", "2. Find the largest.\n"),
    ("3. Return it.\n", "3. Return twice that.\n"),
    ("4. Check the empty list.\n",),
    ("\n```python\n", "\n```py\n", "\n```text\n"),
    ("def total(values):\n",),
    (
        "    return sum(values)\n",
        "    return max(values)\n",
        "    return 2 * sum(values)\n",
        "    return values[0]\n",
    ),
    ("```\n\n",),
    ("Step: 1\n", "Step: 3\n", "Step: 9\n"),
    ("Score: 0.25", "Score: 0.75", "Score: 7"),
)
NONSENSE: tuple[tuple[str, ...], ...] = (("Who can tell?\n", "Hm.\n"), ("Ask me later.", "Pass."))

# Narrow trees: every request takes the server a tenth of a second.
PRESET = """
from codeprm_jax.evaluation.benchmark import BenchmarkConfig, SearchPreset
from codeprm_jax.search import arms
from codeprm_jax.search.ledger import Budget

config = SearchPreset(
    (
        arms.CHAIN_OF_THOUGHT,
        arms.TESTS_ONLY,
        arms.SELF_REFINE,
        arms.GVR_JUDGED,
        arms.GVR_PRM,
        arms.Arm("tree of thoughts", "beam", evaluate="judged", width=1, branching=2),
        arms.Arm("MCTS PRM", "mcts", evaluate="prm", width=2),
        arms.Arm("RethinkMCTS", "mcts", refine="judged", evaluate="judged", width=1),
    ),
    BenchmarkConfig(Budget(2), repeats=1),
)
"""


def problem(name: str, statement: str, answer: Callable[[list[int]], int]) -> Problem:
    lists = ([1, 2], [5], [3, 4, -2], [7, 7], [0, 9, 1])
    tests = tuple(FunctionTest(f"{name}-{i}", (v,), answer(v)) for i, v in enumerate(lists))
    public = PublicProblem(name, "test", statement, "function", "total", "", tests[:2])
    return Problem(public, PrivateTests(tests[2:]))


PROBLEMS = (
    problem("lists/sum", "Return the sum of a list of numbers.", sum),
    problem("lists/largest", "Return the largest number of a list.", max),
    problem("lists/twice", "Return twice the sum of a list of numbers.", lambda v: 2 * sum(v)),
)


class Workplace:
    """A server, the folders of its two models, and a folder for everything else."""

    def __init__(self, folder: Path, server: TransformersServe, nonsense: Path) -> None:
        self.folder, self.server, self.nonsense = folder, server, nonsense
        self.problems, self.preset = folder / "problems.jsonl", folder / "preset.py"
        write_problems(PROBLEMS, self.problems)
        self.preset.write_text(PRESET)

    def policy(self, model: Path | None = None, concurrency: int = 1) -> list[str]:
        """Options that name one of the server's models."""
        return [
            *("--policy", "openai", "--openai.base-url", self.server.url),
            *("--openai.model", self.server.model if model is None else str(model)),
            *("--openai.concurrency", str(concurrency), "--openai.patience", "90"),
            *("--openai.judgement-temperature", "1"),
            *("--workers", "2", "--allow-weak-isolation"),
        ]

    def collect(self, out: str, *options: str) -> list[str]:
        """The arguments of a collection."""
        problems = ("--problems", f"file:{self.problems}")
        return ["collect", "--out", str(self.folder / out), *problems, *options]

    def search(self, out: str, prm: Path) -> list[str]:
        """The arguments of a search with all arms but one."""
        arms = ("best-of-N by tests", "self-refine", "GVR judged", "GVR PRM")
        return [
            *("search", str(self.preset), "--out", str(self.folder / out), "--model", str(prm)),
            *("--problems", f"file:{self.problems}", *self.policy(), "--openai.thoughts", "2"),
            *("--arms", *arms, "tree of thoughts", "MCTS PRM", "RethinkMCTS"),
        ]


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workplace]:
    folder = tmp_path_factory.mktemp("http")
    model = save_chat_model(folder / "model", SAYS)
    nonsense = save_chat_model(folder / "nonsense", NONSENSE)
    with TransformersServe(model, folder / "log", pinned=False) as server:
        yield Workplace(folder, server, nonsense)


@pytest.fixture(scope="module")
def collected(work: Workplace) -> tuple[str, str]:
    """What a collection said on stdout and stderr, whose server died in the middle of it."""
    small = ("--tree.root-rollouts", "6", "--tree.rollouts", "2", "--tree.searches", "1")
    process = start(*work.collect("traces.jsonl", "--method", "tree", *small, *work.policy()))
    wait_for_answers(work.folder / "traces.jsonl.collection", 15, process)
    work.server.kill()
    work.server.start()
    return end(process)


@pytest.fixture(scope="module")
def labelled(work: Workplace, collected: tuple[str, str]) -> tuple[Path, str]:
    """The labels of that collection, and what the labeller said."""
    out = work.folder / "labelled.jsonl"
    command = [sys.executable, "-m", "sandbox_runner", "label", str(work.folder / "traces.jsonl")]
    command += ["--problems", str(work.problems), "--out", str(out), "--allow-weak-isolation"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return out, done.stdout


@pytest.fixture(scope="module")
def prm(work: Workplace, labelled: tuple[Path, str]) -> Path:
    statements = {p.id: p.public.statement for p in PROBLEMS}
    records = [Record(t, statements[t.problem_id]) for t in read_traces(labelled[0])]
    layout = LayoutConfig(views=("thoughts", "program", "feedback"), max_tokens=512)
    tokenizer = tokenizer_for(records, TINY.vocab_size)
    return save_random_model(work.folder / "prm", tokenizer, layout=layout)


@pytest.fixture(scope="module")
def whole(work: Workplace, prm: Path) -> Path:
    """A search that nothing disturbed."""
    assert cli.run(work.search("whole", prm)) == 0
    return work.folder / "whole"


def test_a_collection_outlives_its_server(
    work: Workplace, collected: tuple[str, str], labelled: tuple[Path, str]
) -> None:
    said, errors = collected
    assert "trying again for up to 90 s" in errors and "answers again" in errors
    traces, failed = counts(said)
    assert failed > 0 and "rollouts failed: no code" in said
    assert len(list(read_traces(work.folder / "traces.jsonl"))) == traces
    # What collection ran is not run again.
    assert f"{traces} traces labelled" in labelled[1]
    assert ": 0 programs run in this run" in labelled[1]
    asked = [e["key"] for e in events(work.folder / "traces.jsonl.collection")]
    assert len(asked) == len(set(asked))


def test_labels_become_a_dataset(
    work: Workplace, labelled: tuple[Path, str], capfd: pytest.CaptureFixture[str]
) -> None:
    data = work.folder / "data"
    split = ("--split.test-seen", "0.5", "--split.min-trials", "1")
    options = ("--problems", f"file:{work.problems}", "--data-dir", str(data), *split)
    assert cli.run(["build", str(labelled[0]), *options]) == 0, capfd.readouterr().err
    found = read_json(data / "statistics.json")
    kept = sum(split["traces"] for split in found["splits"].values())
    assert kept + sum(found["left_out"].values()) == len(list(read_traces(labelled[0])))


def test_uniform_collection_with_several_requests_at_once(
    work: Workplace, capfd: pytest.CaptureFixture[str]
) -> None:
    small = ("--uniform.rollouts", "2", "--uniform.min-trials", "2")
    arguments = work.collect("uniform.jsonl", *small, *work.policy(concurrency=4))
    assert cli.run(arguments) == 0
    traces, failed = counts(capfd.readouterr().out)
    assert len(list(read_traces(work.folder / "uniform.jsonl"))) == traces
    assert traces + failed >= 6


def test_a_search_killed_with_its_server_goes_on_to_the_same_results(
    work: Workplace, prm: Path, whole: Path
) -> None:
    (undisturbed,) = read_json(whole / STAGES)
    requests = undisturbed["policy"]["requests"]
    assert requests == len(questions(whole / EVENTS))
    asked = {"propose", "implement", "refine", "revise", "locate", "value", "execute", "score"}
    assert asked == {e["kind"] for e in events(whole / EVENTS)}

    out = work.folder / "killed"
    process = start(*work.search("killed", prm))
    wait_for_answers(out / EVENTS, len(events(whole / EVENTS)) // 2, process)
    process.kill()
    work.server.kill()
    process.wait(30)
    assert not (out / SUMMARY).exists()
    before = {p: p.read_bytes().rpartition(b"\n")[0] for p in (out / EVENTS).iterdir()}
    known = len(questions(out / EVENTS))
    work.server.start()
    assert cli.run(work.search("killed", prm)) == 0

    for one, other in zip(read_jsonl(out / RESULTS), read_jsonl(whole / RESULTS), strict=True):
        assert alike(one, other), (one, other)
    assert all(p.read_bytes().startswith(content) for p, content in before.items())
    keys = Counter(e["key"] for e in events(out / EVENTS))
    assert set(keys.values()) == {1}, "a question was asked twice"
    (resumed,) = read_json(out / STAGES)  # the start that was killed left no word
    assert resumed["policy"]["requests"] == requests - known < requests


def test_useless_answers_are_counted_by_kind_and_reported(
    whole: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    records = list(read_jsonl(whole / RESULTS))
    (group,) = read_json(whole / SUMMARY)["groups"].values()
    for arm, values in group["arms"].items():
        of_arm = [Counter(r["failures"]) for r in records if r["arm"] == arm]
        assert values["failures"] == dict(sum(of_arm, Counter()))
        assert values["most_spent"] <= 2
    met = sum((Counter(r["failures"]) for r in records), Counter())
    assert {"no code", "no step", "no value"} <= set(met)
    (start,) = read_json(whole / STAGES)
    assert {"implement: no code", "value: no value"} <= set(start["policy"]["failures"])
    capfd.readouterr()
    assert cli.run(["report", str(whole)]) == 0
    assert str(whole / "report.html") in capfd.readouterr().out
    page = (whole / "report.html").read_text()
    assert all(f"{kind} " in page for kind in met) and "class=simulated" not in page


def test_a_search_gives_up_where_every_answer_is_nonsense(
    work: Workplace, capfd: pytest.CaptureFixture[str]
) -> None:
    out = work.folder / "gave-up"
    arms = ("chain of thought", "best-of-N by tests", "self-refine", "GVR judged", "RethinkMCTS")
    code = cli.run(
        [
            *("search", str(work.preset), "--out", str(out), "--arms", *arms),
            *("--problems", f"file:{work.problems}?limit=1", *work.policy(work.nonsense)),
        ]
    )
    said = capfd.readouterr()
    assert code == 0, said.err
    assert "no thoughts" in said.out and "4 of 5 searches gave up" in said.out
    ended = {r["arm"]: (r["ended"], r["answer"]) for r in read_jsonl(out / RESULTS)}
    assert ended == dict.fromkeys(arms, ("gave up", None)) | {arms[0]: ("done", None)}
    assert cli.run(["report", str(out)]) == 0
    page = (out / "report.html").read_text()
    assert "gave up 1" in page and "ended: gave up" in page
    assert "Nothing was run: the policy gave no program" in page
    assert "budget did not suffice" not in page


def start(*arguments: str) -> subprocess.Popen[str]:
    """codeprm in a process of its own, with as many devices as this one: they round alike."""
    return subprocess.Popen(
        [sys.executable, "-m", "codeprm_jax.cli", *arguments],
        cwd=ROOT,
        env=os.environ | {"JAX_NUM_CPU_DEVICES": str(jax.device_count())},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def end(process: subprocess.Popen[str]) -> tuple[str, str]:
    """What a command said on stdout and stderr; it ends well."""
    out, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    assert "Traceback" not in errors and "never retrieved" not in errors, errors
    return out, errors


def wait_for_answers(logs: Path, lines: int, process: subprocess.Popen[str]) -> None:
    """Until so many are in a folder of logs, and the process is not done yet."""
    deadline = time.monotonic() + 100
    while sum(p.read_bytes().count(b"\n") for p in logs.glob("lists*.jsonl")) < lines:
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.01)


def events(logs: Path) -> list[dict[str, str]]:
    return [e for path in logs.glob("lists*.jsonl") for e in read_valid_prefix(path, cut=False)]


def questions(logs: Path) -> list[str]:
    """What was asked of the policy."""
    return [e["key"] for e in events(logs) if e["kind"] not in ("execute", "score")]


def alike(one: Any, other: Any) -> bool:
    """Equal, but for a unit in the last decimal of a PRM's score.

    What was not scored before a kill is batched otherwise after it; float32 differs by 1e-6 then,
    and a score that lies between two decimals is rounded to either. No other number in a record
    can differ by so little.
    """
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(alike(one[k], other[k]) for k in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(alike, one, other))
    if isinstance(one, float) and isinstance(other, float):
        return abs(one - other) <= 1.5 * 10**-DECIMALS
    return one == other


def counts(said: str) -> tuple[int, int]:
    """Traces, and failed rollouts, of a collection's line; all rollouts are either."""
    found = re.match(r"(\d+) traces of 3 problems from (\d+) rollouts, [\d,]+ tokens", said)
    assert found, said
    failed = sum(int(n) for n in re.findall(r"(\d+) rollouts failed: ", said))
    assert int(found[1]) + failed == int(found[2])
    return int(found[1]), failed
