"""Drawing traces for training: many problems at once, every rollout kept, nothing paid twice.

OUT is a function of the problems, the policy and the settings: problems stand in their order, and
what one of them gets depends on no other. Beside OUT stands the folder OUT.collection:

  settings.json    what OUT is made of; a run with others (but for the budget) is refused.
  finished.jsonl   a line for every problem that is whole in OUT, and how long OUT was then.
  ID.jsonl         the event log of a problem: every answer of the policy, every outcome.

A restart cuts OUT behind its last whole problem and goes on; what a problem had drawn before a kill
is answered from its log. With another budget it makes all of OUT again, from the logs as far as
they go.
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import urllib.parse
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from codeprm_jax.files import (
    InputError,
    append_jsonl,
    check_output,
    iterate_valid_prefix,
    read_json,
    write_json,
    write_jsonl,
)
from codeprm_jax.policies.policy import Policy
from codeprm_jax.problems.problem import PublicProblem
from codeprm_jax.search import event_loop
from codeprm_jax.search.events import EventLog, digest
from codeprm_jax.search.generation import Generation
from codeprm_jax.search.rollouts import BudgetSpentError, CollectBudget, Oracle, Rollouts
from codeprm_jax.search.tree import TreeConfig, tree
from codeprm_jax.search.uniform import UniformConfig, uniform
from sandbox_runner.store import AppendFile, StoreError

logger = logging.getLogger(__name__)

SETTINGS = "settings.json"
FINISHED = "finished.jsonl"
AHEAD = 4  # problems begun beyond the first unwritten one, for each that runs at once


@dataclass(frozen=True)
class CollectConfig:
    """How traces are drawn.

    Attributes:
      method: one of the two, with its settings.
      seed: of all draws.
      budget: never exceeded.
      problems_at_once: which changes nothing but the time.
    """

    method: UniformConfig | TreeConfig = UniformConfig()
    seed: int = 0
    budget: CollectBudget = CollectBudget()
    problems_at_once: int = 8

    def __post_init__(self) -> None:
        if self.problems_at_once < 1:
            raise InputError(f"problems_at_once must be at least 1, not {self.problems_at_once}")

    @property
    def method_name(self) -> Literal["uniform", "tree"]:
        """In provenance and settings."""
        return "tree" if isinstance(self.method, TreeConfig) else "uniform"


@dataclass
class CollectSummary:
    """What stands in OUT, all runs together.

    Attributes:
      problems, traces: in it.
      rollouts: asked for; those without a trace failed.
      generated_tokens, prompt_tokens: of all rollouts.
      failures: rollouts that gave no program, by kind.
      out_of_budget: problems that their budget ended.
    """

    problems: int = 0
    traces: int = 0
    rollouts: int = 0
    generated_tokens: int = 0
    prompt_tokens: int = 0
    failures: Counter[str] = field(default_factory=Counter)
    out_of_budget: int = 0

    def add(self, line: dict[str, Any]) -> None:
        """Counts a problem, from its line of finished.jsonl."""
        self.problems += 1
        for name in ("traces", "rollouts", "generated_tokens", "prompt_tokens"):
            setattr(self, name, getattr(self, name) + line[name])
        self.failures.update(line["failures"])
        self.out_of_budget += line["out_of_budget"]


def collect(
    problems: Sequence[PublicProblem],
    policy: Policy,
    out: Path,
    config: CollectConfig = CollectConfig(),
    progress: Callable[[int], None] = lambda n: None,
    *,
    oracle: Oracle | None = None,
    tests: str = "",
    on_drawn: Callable[[], None] = lambda: None,
) -> CollectSummary:
    """`collect_all` in an event loop of its own, which SIGTERM ends as Ctrl-C does."""
    return event_loop.run(
        collect_all(
            problems, policy, out, config, progress, oracle=oracle, tests=tests, on_drawn=on_drawn
        )
    )


async def collect_all(
    problems: Sequence[PublicProblem],
    policy: Policy,
    out: Path,
    config: CollectConfig = CollectConfig(),
    progress: Callable[[int], None] = lambda n: None,
    *,
    oracle: Oracle | None = None,
    tests: str = "",
    on_drawn: Callable[[], None] = lambda: None,
) -> CollectSummary:
    """Brings `out` to hold the traces of all problems, going on where an earlier run stopped.

    Args:
      progress: called with the number of problems that were finished.
      oracle: says how a program does on all tests. The tree needs one; without one, uniform
        collection runs nothing, and leaves all programs to the labeller.
      tests: a digest of what the oracle judges by: with another one, outcomes in the logs are no
        longer true.
      on_drawn: called after every rollout.

    Raises:
      InputError: `out` is not ours, holds a collection with other settings, or is being written by
        another run; or the budget does not cover a rollout a problem.
    """
    if isinstance(config.method, TreeConfig) and oracle is None:
        raise InputError("the tree method needs an oracle: it goes by outcomes")
    if len({p.id for p in problems}) < len(problems):
        raise InputError("two problems have the same id; name each once")
    check_output(out)
    run = _Run(problems, policy, config, oracle, on_drawn, _folder(out))
    for index in range(len(problems)):
        run.rollouts(index, EventLog())  # a budget that is too small is said before anything runs
    out.parent.mkdir(parents=True, exist_ok=True)
    try:
        with AppendFile(out, lambda r: {"problem_id", "thoughts"} <= r.keys()) as file:
            summary = _resume(file, run, tests)
            progress(summary.problems)
            async with run.generation:
                await run.go(file, summary, progress)
            return summary
    except StoreError as error:
        raise InputError(str(error)) from error


def _folder(out: Path) -> Path:
    return out.with_name(out.name + ".collection")


def _resume(file: AppendFile, run: _Run, tests: str) -> CollectSummary:
    """Brings OUT to the end of its last whole problem and counts what is there."""
    path = run.folder / SETTINGS
    wanted = _settings(run, tests)
    if path.exists():
        found = read_json(path)
        if not isinstance(found, dict):
            raise InputError(f"{path} is no settings file of ours; name another --out")
        other = [k for k in wanted if found.get(k) != wanted[k]]
        if other == ["budget"]:
            logger.info("the budget is another one: making %s again from its logs", file.path)
            (run.folder / FINISHED).unlink(missing_ok=True)
            write_json(path, wanted)
        elif other:
            raise InputError(
                f"{file.path} was begun with "
                + "; ".join(f"{k} {found.get(k)}, not {wanted[k]}" for k in other)
                + f"; name another --out, or remove that file and {run.folder}"
            )
    elif file.path.stat().st_size:
        raise InputError(
            f"{file.path} is there and {path} is not, so it cannot be gone on with; "
            "name another --out or remove the file"
        )
    else:
        run.folder.mkdir(parents=True, exist_ok=True)
        write_json(path, wanted)
    lines = list(iterate_valid_prefix(run.folder / FINISHED))
    order = [p.id for p in run.problems]
    kept = [
        line
        for line, problem in zip(lines, order, strict=False)
        if line["problem"] == problem and line["end"] <= file.end
    ]
    if len(kept) < len(lines):  # somebody shortened OUT
        write_jsonl(run.folder / FINISHED, kept)
    file.truncate(kept[-1]["end"] if kept else 0)
    summary = CollectSummary()
    for line in kept:
        summary.add(line)
    return summary


def _settings(run: _Run, tests: str) -> dict[str, Any]:
    config = run.config
    public = [
        [p.id, p.statement, p.kind, p.entry_point, p.starter_code, [t.to_json() for t in p.tests]]
        for p in run.problems
    ]
    return {
        "policy": run.policy.name,
        "method": config.method_name,
        "constants": dataclasses.asdict(config.method),
        "seed": config.seed,
        "budget": dataclasses.asdict(config.budget),
        "problems": f"{len(public)} problems ({digest('problems', public)})",
        "tests": tests,
    }


@dataclass
class _Run:
    problems: Sequence[PublicProblem]
    policy: Policy
    config: CollectConfig
    oracle: Oracle | None
    on_drawn: Callable[[], None]
    folder: Path

    def __post_init__(self) -> None:
        self.generation = Generation(self.policy)
        self.room = asyncio.Semaphore(self.config.problems_at_once)

    async def go(
        self, file: AppendFile, summary: CollectSummary, progress: Callable[[int], None]
    ) -> None:
        """Draws the problems that are not in the file yet, and appends them in their order."""
        left = deque(range(summary.problems, len(self.problems)))
        tasks: deque[asyncio.Task[tuple[Rollouts, bool]]] = deque()
        try:
            while left or tasks:
                while left and len(tasks) < AHEAD * self.config.problems_at_once:
                    tasks.append(asyncio.create_task(self._problem(left.popleft())))
                line = self._write(file, await tasks[0])
                tasks.popleft()
                summary.add(line)
                progress(1)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def rollouts(self, index: int, log: EventLog) -> Rollouts:
        """What draws for one problem. Raises InputError on a budget that is too small."""
        return Rollouts(
            self.problems[index],
            self.policy.name,
            self.generation,
            log,
            self.config.seed,
            self.config.budget.share(index, len(self.problems)),
            self.oracle,
            {"method": self.config.method_name},
            self.on_drawn,
        )

    async def _problem(self, index: int) -> tuple[Rollouts, bool]:
        async with self.room:
            name = urllib.parse.quote(self.problems[index].id, safe="")
            rollouts = self.rollouts(index, EventLog(self.folder / f"{name}.jsonl"))
            try:
                method = self.config.method
                if isinstance(method, TreeConfig):
                    await tree(rollouts, method)
                else:
                    await uniform(rollouts, method)
            except BudgetSpentError:
                return rollouts, True
            return rollouts, False

    def _write(self, file: AppendFile, done: tuple[Rollouts, bool]) -> dict[str, Any]:
        rollouts, out_of_budget = done
        if rollouts.traces:
            file.append([t.to_json() for t in rollouts.traces])
        line = {
            "problem": rollouts.problem.id,
            "end": file.end,
            "traces": len(rollouts.traces),
            "rollouts": rollouts.drawn,
            "generated_tokens": rollouts.generated_tokens,
            "prompt_tokens": rollouts.prompt_tokens,
            "failures": dict(sorted(rollouts.failures.items())),
            "out_of_budget": out_of_budget,
        }
        append_jsonl(self.folder / FINISHED, [line])
        return line
