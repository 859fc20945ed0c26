"""Tree and uniform collection at an equal number of rollouts a problem: what labels come of them.

    python benchmarks/collection.py [--seeds 0 1 2]

The tree runs with its defaults until its searches are done; each uniform arm then gets as many
rollouts of every problem as the tree drew. All programs are run. Prints one JSON line an arm.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from codeprm_jax.commands.judging import open_pool
from codeprm_jax.commands.oracle import open_oracle
from codeprm_jax.policies.mutation import MutationPolicy
from codeprm_jax.problems.loading import load_chains, load_problems
from codeprm_jax.problems.problem import PublicProblem
from codeprm_jax.search.events import EventLog
from codeprm_jax.search.generation import Generation
from codeprm_jax.search.rollouts import BudgetSpentError, CollectBudget, Oracle, Rollouts
from codeprm_jax.search.tree import TreeConfig, tree
from codeprm_jax.search.uniform import UniformConfig, uniform

ENOUGH = 4  # trials: what the quickstart's dataset asks of a step


@dataclass
class Drawing:
    """What draws from one problem."""

    policy: MutationPolicy
    problem: PublicProblem
    oracle: Oracle | None
    seed: int

    async def draw(self, method: TreeConfig | UniformConfig, most: int | None = None) -> Rollouts:
        """By a method, at most so many rollouts."""
        rollouts = Rollouts(
            self.problem,
            self.policy.name,
            Generation(self.policy),
            EventLog(),
            self.seed,
            CollectBudget(most),
            self.oracle,
        )
        try:
            if isinstance(method, TreeConfig):
                await tree(rollouts, method)
            else:
                await uniform(rollouts, method)
        except BudgetSpentError:
            pass
        return rollouts

    async def roots(self, most: int, min_trials: int) -> int:
        """From how many roots a topped-up collection comes to at most so many rollouts."""
        quiet, low, high = Drawing(self.policy, self.problem, None, self.seed), 1, most
        while low < high:
            middle = (low + high + 1) // 2
            drawn = (await quiet.draw(UniformConfig(middle, min_trials))).drawn
            low, high = (middle, high) if drawn <= most else (low, middle - 1)
        return low


def measure(drawn: list[Rollouts]) -> dict[str, float]:
    """Figures over the steps of all collections: a step is a prefix of a problem."""
    steps: dict[tuple[int, tuple[str, ...]], list[int]] = defaultdict(lambda: [0, 0])
    programs = {(r.problem.id, t.program) for r in drawn for t in r.traces}
    for number, rollouts in enumerate(drawn):
        for trace in rollouts.traces:
            for depth in range(1, len(trace.thoughts) + 1):
                count = steps[number, trace.thoughts[:depth]]
                count[0] += trace.solved
                count[1] += 1
    counts = list(steps.values())
    mixed = [(p, n) for p, n in counts if 0 < p < n]
    enough = [(p, n) for p, n in counts if n >= ENOUGH]

    def boundary(key: tuple[int, tuple[str, ...]]) -> bool:
        """Whether the step is where a trace goes wrong, as far as these counts can tell."""
        number, prefix = key
        passes, trials = steps[key]
        parent = steps.get((number, prefix[:-1]))
        return trials >= ENOUGH and not passes and (parent is None or parent[0] > 0)

    return {
        "rollouts": sum(r.drawn for r in drawn),
        "generated_tokens": sum(r.generated_tokens for r in drawn),
        "programs": len(programs),
        "steps": len(counts),
        "mean_trials": sum(n for _, n in counts) / len(counts),
        "enough_trials": len(enough),
        "enough_trials_share": len(enough) / len(counts),
        "mixed_share": len(mixed) / len(counts),
        "mixed": len(mixed),
        "mixed_trials": sum(n for _, n in mixed) / len(mixed),
        "first_wrong_steps": sum(map(boundary, steps)),
    }


async def compare(policy: MutationPolicy, problems: list[PublicProblem], oracle: Oracle, seed: int):
    arms: dict[str, list[Rollouts]] = defaultdict(list)
    for problem in problems:
        drawing = Drawing(policy, problem, oracle, seed)
        grown = await drawing.draw(TreeConfig())
        arms["tree"].append(grown)
        arms["uniform, roots only"].append(
            await drawing.draw(UniformConfig(grown.drawn, 1), grown.drawn)
        )
        for trials in (4, 9):
            roots = await drawing.roots(grown.drawn, trials)
            arms[f"uniform, min_trials={trials}"].append(
                await drawing.draw(UniformConfig(roots, trials), grown.drawn)
            )
    return {name: measure(drawn) for name, drawn in arms.items()}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--right-probability", type=float, default=0.7)
    options = parser.parse_args()
    seeds = options.seeds
    loaded = load_problems("bank")
    policy = MutationPolicy(load_chains("bank", loaded), options.right_probability)
    found = defaultdict(list)
    with (
        tempfile.TemporaryDirectory() as folder,
        open_pool(None, True) as pool,
        open_oracle(loaded, pool, Path(folder) / "traces.jsonl") as oracle,
    ):
        for seed in seeds:
            arms = asyncio.run(compare(policy, [p.public for p in loaded], oracle, seed))
            for name, figures in arms.items():
                found[name].append(figures)
    mean = {
        name: {k: round(sum(f[k] for f in each) / len(seeds), 4) for k in each[0]}
        for name, each in found.items()
    }
    for name, figures in mean.items():
        peer = mean["uniform, min_trials=4"]
        ratio = figures["mixed_trials"] / peer["mixed_trials"]
        print(json.dumps({"arm": name, "seeds": seeds, **figures, "ratio": round(ratio, 3)}))


if __name__ == "__main__":
    main()
