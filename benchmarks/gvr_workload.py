"""What a GVR search gives its scorer, recorded: the workload of `score.py`.

    python benchmarks/gvr_workload.py bank RUN benchmarks/data/gvr_bank.jsonl.gz
    python benchmarks/gvr_workload.py humaneval:PATH RUN runs/gvr_humaneval.jsonl.gz --repeats 2

RUN is a trained PRM, such as runs/quickstart-bank/train. Its lowest scores choose the steps, the
mutation policy writes, and the sandbox runs the public tests: best-of-N with verify-refine, as the
benchmark of `codeprm search` does it. The same arguments write the same bytes.

The file is JSON Lines, gzipped. The first line says how it was made and holds the statements by
problem; every other line is a round of a search over all problems, in order:

    {"repeat": 0, "round": 2, "traces": [{"problem", "thoughts", "program", "feedback"}, …],
     "scored": [4, 7, …]}

`traces` are the round's attempts as they were drawn, one a problem that is still unsolved: what a
search that prunes would score, thoughts alone, before a program is written. `scored` numbers those
that failed and went to the scorer in one call, in its order: what GVR scores, with feedback. The
call is made at the beginning of the next round.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from codeprm_jax.data.layout import StepInput, View
from codeprm_jax.policies.mutation import MutationPolicy
from codeprm_jax.policies.policy import (
    ImplementRequest,
    Policy,
    ProposeRequest,
    RefineRequest,
    Text,
    Thoughts,
)
from codeprm_jax.problems.loading import load_chains, load_problems
from codeprm_jax.problems.problem import PublicProblem
from codeprm_jax.scoring.engine import StepScorer
from codeprm_jax.scoring.scorer import Scorer
from codeprm_jax.search.best_of_n import SearchConfig, best_of_n
from codeprm_jax.search.execution import PublicExecutor
from codeprm_jax.search.refine import LowestScore
from codeprm_jax.traces.trace import Feedback
from sandbox_runner.pool import Pool

FORMAT = 1
REPEATS = 8  # as the quickstart on the bank
SEED = 1


@dataclass(frozen=True)
class Workload:
    """A recorded file: `rounds[i]` are the attempts of a round, `scored[i]` which of them failed.

    Attributes:
      facts: the header without the statements.
      statements: of the problems, in their order.
      repeats: number of the search of each round.
    """

    facts: dict[str, Any]
    statements: list[str]
    rounds: list[list[StepInput]]
    scored: list[list[int]]
    repeats: list[int]

    def calls(self, view: View, problems: int | None = None) -> list[list[StepInput]]:
        """What the scorer is given, call by call, by the searches on so many of the problems.

        "thoughts": every attempt, as it is drawn. Other views: the attempts that failed. Problems
        are taken at equal distances.
        """
        count = len(self.statements)
        chosen = min(problems or count, count)
        some = {self.statements[i * count // chosen] for i in range(chosen)}
        calls = self.rounds
        if view != "thoughts":
            calls = [[r[i] for i in s] for r, s in zip(self.rounds, self.scored, strict=True)]
        calls = [[item for item in call if item.statement in some] for call in calls]
        return [call for call in calls if call]


class Recorder:
    """Policy, executor and scorer of a search, each passed on to the real one and written down."""

    def __init__(self, policy: Policy, executor: PublicExecutor, scorer: Scorer) -> None:
        self._policy, self._executor, self._scorer = policy, executor, scorer
        self.name, self.view, self.fingerprint = policy.name, scorer.view, scorer.fingerprint
        self.rounds: list[dict[str, Any]] = []
        self._drawn: list[tuple[str, tuple[str, ...], str]] = []

    def propose(self, requests: Sequence[ProposeRequest]) -> list[Thoughts]:
        return self._policy.propose(requests)

    def refine(self, requests: Sequence[RefineRequest]) -> list[Text]:
        return self._policy.refine(requests)

    def implement(self, requests: Sequence[ImplementRequest]) -> list[Text]:
        programs = self._policy.implement(requests)
        pairs = list(zip(requests, programs, strict=True))
        self._drawn = [(r.problem.statement, r.thoughts, p.text) for r, p in pairs]
        traces = [
            {"problem": r.problem.id, "thoughts": list(r.thoughts), "program": p.text}
            for r, p in pairs
        ]
        self.rounds.append({"round": len(self.rounds), "traces": traces, "scored": []})
        return programs

    def run(self, programs: Sequence[tuple[PublicProblem, str]]) -> list[Feedback]:
        found = self._executor.run(programs)
        for trace, feedback in zip(self.rounds[-1]["traces"], found, strict=True):
            trace["feedback"] = feedback.to_json()
        return found

    def score_each(self, inputs: Sequence[StepInput], view: View | None = None) -> Any:
        drawn = [self._drawn.index((i.statement, i.thoughts, i.program)) for i in inputs]
        self.rounds[-1]["scored"] = drawn
        return self._scorer.score_each(inputs, view)


def record(
    source: str, scorer: Scorer, repeats: int = REPEATS, seed: int = SEED, workers: int = 2
) -> Iterator[dict[str, Any]]:
    """The lines of a workload, each as soon as its search has ended."""
    problems = load_problems(source)
    policy = MutationPolicy(load_chains(source, problems))
    public = [p.public for p in problems]
    config = SearchConfig()
    yield {
        "format": FORMAT,
        "source": source.partition(":")[0],
        "policy": policy.name,
        "scorer": f"{scorer.fingerprint}, reads {scorer.view}",
        "search": asdict(config),
        "seed": seed,
        "statements": {p.id: p.statement for p in public},
    }
    # The bank's programs are this project's own.
    with Pool(workers, allow_weak_isolation=source == "bank") as pool:
        executor = PublicExecutor(pool)
        for repeat in range(repeats):
            recorder = Recorder(policy, executor, scorer)
            chooser = LowestScore(recorder)
            best_of_n(public, recorder, recorder, chooser, config, seed * 1_000_003 + repeat)
            for line in recorder.rounds:
                yield {"repeat": repeat, **line}


def write(path: Path, lines: Iterator[dict[str, Any]]) -> None:
    """Equal lines give equal bytes: the time is not stored."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
    path.write_bytes(gzip.compress(text.encode(), mtime=0))


def read(path: Path) -> Workload:
    """A recorded file. Raises ValueError on one of another format."""
    with gzip.open(path, "rt", encoding="utf-8") as file:
        header, *lines = map(json.loads, file)
    if header.pop("format") != FORMAT:
        raise ValueError(f"{path} is of another format; record it again")
    statements = header.pop("statements")

    def step_input(trace: dict[str, Any]) -> StepInput:
        return StepInput(
            statements[trace["problem"]],
            tuple(trace["thoughts"]),
            trace["program"],
            Feedback.from_json(trace["feedback"]),
        )

    return Workload(
        header,
        list(statements.values()),
        [[step_input(t) for t in line["traces"]] for line in lines],
        [line["scored"] for line in lines],
        [line["repeat"] for line in lines],
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", help="problems, as codeprm takes them: bank or SOURCE:PATH")
    parser.add_argument("model", type=Path, help="run or model directory of the PRM that chooses")
    parser.add_argument("out", type=Path)
    parser.add_argument("--repeats", type=int, default=REPEATS)
    parser.add_argument("--seed", type=int, default=SEED)
    given = parser.parse_args()
    scorer = StepScorer(given.model)
    workers = os.cpu_count() or 1
    write(given.out, record(given.source, scorer, given.repeats, given.seed, workers))
    workload = read(given.out)
    sizes = {v: [len(c) for c in workload.calls(v)] for v in ("thoughts", "feedback")}
    said = {v: f"{len(n)} calls, {sum(n)} traces" for v, n in sizes.items()}
    print(json.dumps({"file": given.out.name, "bytes": given.out.stat().st_size, **said}))


if __name__ == "__main__":
    main()
