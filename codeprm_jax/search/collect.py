"""Drawing traces for training: rollouts from the start and from prefixes, with provenance.

First `rollouts` complete traces a problem; then every prefix that occurs in them is topped up with
continuations until `min_trials` rollouts run through it. Nothing is executed here: the labeller
turns all rollouts through a prefix into that step's counts.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from codeprm_jax.files import (
    InputError,
    append_jsonl,
    read_valid_prefix,
    stable_seed,
    write_jsonl,
)
from codeprm_jax.policies.policy import ImplementRequest, Policy, ProposeRequest
from codeprm_jax.problems.problem import PublicProblem
from codeprm_jax.traces.trace import Trace

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class CollectConfig:
    """How many rollouts to draw.

    Attributes:
      rollouts: complete traces from the start of each problem.
      min_trials: rollouts through every prefix that these traces contain.
      seed: of all draws.
    """

    rollouts: int = 48
    min_trials: int = 4
    seed: int = 0

    def __post_init__(self) -> None:
        if self.rollouts < 1 or self.min_trials < 1:
            raise InputError("rollouts and min_trials must be at least 1")


def collect(
    problems: Sequence[PublicProblem],
    policy: Policy,
    out: Path,
    config: CollectConfig = CollectConfig(),
    progress: Callable[[int], None] = lambda n: None,
) -> int:
    """Appends the traces of each problem to `out`; problems that are there already are kept.

    Returns the number of traces in `out`. Raises InputError if `out` holds other problems' traces
    or was drawn with other settings.
    """
    done = _finished(problems, policy, out, config)
    total = sum(done.values())
    progress(len(done))
    for problem in problems:
        if problem.id in done:
            continue
        traces = collect_problem(problem, policy, config)
        append_jsonl(out, [trace.to_json() for trace in traces])
        total += len(traces)
        progress(1)
    return total


def collect_problem(problem: PublicProblem, policy: Policy, config: CollectConfig) -> list[Trace]:
    """All rollouts of one problem; the same for the same problem, policy and config."""
    roots = _rollouts(problem, policy, config, [()] * config.rollouts, [None] * config.rollouts)
    through = Counter(t.thoughts[:d] for t in roots for d in range(1, len(t.thoughts)))
    prefixes: list[tuple[str, ...]] = []
    parents: list[tuple[str, int] | None] = []
    for depth in range(1, max(len(t.thoughts) for t in roots)):
        for trace in roots:
            prefix = trace.thoughts[:depth]
            if len(prefix) == len(trace.thoughts):
                continue
            while through[prefix] < config.min_trials:
                prefixes.append(prefix)
                parents.append((trace.id, depth))
                through[prefix] += 1
    return roots + _rollouts(problem, policy, config, prefixes, parents, offset=len(roots))


def _rollouts(
    problem: PublicProblem,
    policy: Policy,
    config: CollectConfig,
    prefixes: Sequence[tuple[str, ...]],
    parents: Sequence[tuple[str, int] | None],
    offset: int = 0,
) -> list[Trace]:
    seeds = [stable_seed(config.seed, problem.id, offset + i) for i in range(len(prefixes))]
    pairs = list(zip(prefixes, seeds, strict=True))
    proposed = policy.propose([ProposeRequest(problem, p, s) for p, s in pairs])
    complete = [p + t.thoughts for p, t in zip(prefixes, proposed, strict=True)]
    requests = [ImplementRequest(problem, t, s) for t, s in zip(complete, seeds, strict=True)]
    programs = policy.implement(requests)
    return [
        Trace(
            id=f"{problem.id}#{offset + i}",
            problem_id=problem.id,
            thoughts=complete[i],
            program=programs[i].text,
            provenance={
                "policy": policy.name,
                "run_seed": config.seed,
                "seed": seeds[i],
                "sample": offset + i,
                "parent": parents[i],
                "tokens": proposed[i].tokens + programs[i].tokens,
                "rollouts": config.rollouts,
                "min_trials": config.min_trials,
            },
        )
        for i in range(len(prefixes))
    ]


def _finished(
    problems: Sequence[PublicProblem], policy: Policy, out: Path, config: CollectConfig
) -> Counter[str]:
    """Traces a problem in `out`. A problem cut off by a kill is drawn again from its start."""
    records = read_valid_prefix(out)
    wanted = {"policy": policy.name, "run_seed": config.seed, "rollouts": config.rollouts}
    wanted["min_trials"] = config.min_trials
    known = {p.id for p in problems}
    for record in records:
        found = {k: record.get("provenance", {}).get(k) for k in wanted}
        if found != wanted or record.get("problem_id") not in known:
            raise InputError(
                f"{out} holds traces of problem {record.get('problem_id')!r} drawn with {found}, "
                f"not with {wanted}; name another --out or remove the file"
            )
    counts = Counter(r["problem_id"] for r in records)
    if records:
        # One write a problem can still be torn inside: only the last problem can be incomplete.
        last = records[-1]["problem_id"]
        by_id = {p.id: p for p in problems}
        if counts[last] < len(collect_problem(by_id[last], policy, config)):
            logger.info("drawing the unfinished problem %s again", last)
            keep = [r for r in records if r["problem_id"] != last]
            write_jsonl(out, keep)
            del counts[last]
    return counts
