"""`codeprm collect`: draws thought traces."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from codeprm_jax.commands.output import progress_bar, say
from codeprm_jax.policies.mutation import MutationPolicy
from codeprm_jax.problems.loading import load_chains, load_problems
from codeprm_jax.search.collect import CollectConfig, collect


def main(
    out: Path,
    problems: str = "bank",
    policy: Literal["mutation"] = "mutation",
    rollouts: int = 48,
    min_trials: int = 4,
    right_probability: float = 0.7,
    slip_probability: float = 0.05,
    seed: int = 0,
) -> int:
    """Draws traces and appends them to OUT, problem by problem; run it again to go on.

    Args:
      out: traces.jsonl to write.
      problems: bank, or SOURCE:PATH of humaneval, humanevalplus, mbpp, mbppplus, apps,
        code_contests, codeforces, livecodebench, or file; after it may stand which ones, as in
        apps:PATH?difficulty=interview&limit=100; docs/problems.md has all.
      policy: who writes thoughts and programs. mutation: the simulated generator.
      rollouts: complete traces a problem.
      min_trials: rollouts through every prefix of those traces.
      right_probability: of the mutation policy: that a drawn step is right.
      slip_probability: of the mutation policy: that a program departs from its thoughts.
      seed: of all draws.
    """
    loaded = load_problems(problems)
    writer = MutationPolicy(load_chains(problems, loaded), right_probability, slip_probability)
    config = CollectConfig(rollouts, min_trials, seed)
    with progress_bar(len(loaded), "problem", "collect") as bar:
        count = collect([p.public for p in loaded], writer, out, config, bar.update)
    say(f"{count} traces of {len(loaded)} problems in {out}")
    return 0
