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

A round is the n-th attempt of every search that has one. Searches run side by side and their
scorer makes batches of what is at hand; here, what it was asked is put in an order that does not
depend on the machine. `traces` are the round's attempts as they were drawn: what a search that
prunes would score, thoughts alone, before a program is written. `scored` numbers those that failed
and were scored: what GVR scores, with feedback.
"""

from __future__ import annotations

import argparse
import asyncio
import gzip
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from codeprm_jax.data.layout import StepInput, View
from codeprm_jax.files import stable_seed
from codeprm_jax.policies.mutation import MutationPolicy
from codeprm_jax.policies.policy import Policy
from codeprm_jax.problems.loading import load_chains, load_problems
from codeprm_jax.problems.problem import PublicProblem
from codeprm_jax.scoring.engine import StepScorer
from codeprm_jax.scoring.scorer import Scorer
from codeprm_jax.search.arms import GVR_PRM, run_arm
from codeprm_jax.search.events import EventLog
from codeprm_jax.search.execution import Execution
from codeprm_jax.search.generation import Generation
from codeprm_jax.search.ledger import Budget
from codeprm_jax.search.scoring import open_scoring
from codeprm_jax.search.search import Search
from codeprm_jax.traces.trace import Feedback
from sandbox_runner.pool import Pool

FORMAT = 1
REPEATS = 8  # as the quickstart on the bank
SEED = 1
BUDGET = Budget(8)


@dataclass(frozen=True)
class Workload:
    """A recorded file: `rounds[i]` are the attempts of a round, `scored[i]` which were scored.

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
        return [call for _, call in self._calls(view, problems) if call]

    def searches(self, view: View, problems: int | None = None) -> list[list[StepInput]]:
        """The same traces by the search that asks for them, one after the other."""
        found: dict[tuple[int, str], list[StepInput]] = {}
        for repeat, call in self._calls(view, problems):
            for item in call:
                found.setdefault((repeat, item.statement), []).append(item)
        return list(found.values())

    def _calls(self, view: View, problems: int | None) -> Iterator[tuple[int, list[StepInput]]]:
        count = len(self.statements)
        chosen = min(problems or count, count)
        some = {self.statements[i * count // chosen] for i in range(chosen)}
        for repeat, traces, scored in zip(self.repeats, self.rounds, self.scored, strict=True):
            given = traces if view == "thoughts" else [traces[i] for i in scored]
            yield repeat, [item for item in given if item.statement in some]


def record(
    source: str, scorer: Scorer, repeats: int = REPEATS, seed: int = SEED, workers: int = 2
) -> Iterator[dict[str, Any]]:
    """The lines of a workload, each as soon as its search has ended."""
    problems = load_problems(source)
    policy = MutationPolicy(load_chains(source, problems))
    public = [p.public for p in problems]
    yield {
        "format": FORMAT,
        "source": source.partition(":")[0],
        "policy": policy.name,
        "scorer": f"{scorer.fingerprint}, reads {scorer.view}",
        "search": {"arm": asdict(GVR_PRM), "budget": asdict(BUDGET)},
        "seed": seed,
        "statements": {p.id: p.statement for p in public},
    }
    # The bank's programs are this project's own.
    with Pool(workers, allow_weak_isolation=source == "bank") as pool:
        for repeat in range(repeats):
            searches = asyncio.run(_search(public, policy, pool, scorer, seed, repeat))
            for number in range(max(len(s.attempts) for s in searches)):
                left = [s for s in searches if len(s.attempts) > number]
                attempts = [(s.problem.id, s.attempts[number]) for s in left]
                yield {
                    "repeat": repeat,
                    "round": number,
                    "traces": [
                        {
                            "problem": problem_id,
                            "thoughts": list(a.thoughts),
                            "program": a.program,
                            "feedback": a.feedback.to_json(),
                        }
                        for problem_id, a in attempts
                    ],
                    "scored": [i for i, (_, a) in enumerate(attempts) if a.scores is not None],
                }


async def _search(
    problems: Sequence[PublicProblem],
    policy: Policy,
    pool: Pool,
    scorer: Scorer,
    seed: int,
    repeat: int,
) -> list[Search]:
    """A search on each problem, seeded as the benchmark of `codeprm search` seeds it."""
    with Execution(pool) as execution:
        async with open_scoring(scorer) as scoring:
            searches = [
                Search(
                    p,
                    stable_seed("search", seed, repeat, p.id),
                    BUDGET,
                    Generation(policy),
                    execution,
                    EventLog(),
                    scoring,
                )
                for p in problems
            ]
            await asyncio.gather(*(run_arm(GVR_PRM, s) for s in searches))
    return searches


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
