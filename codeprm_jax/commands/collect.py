"""`codeprm collect`: draws thought traces."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Annotated, Literal

import tyro

from codeprm_jax.commands.judging import open_pool
from codeprm_jax.commands.oracle import digest_of_tests, open_oracle
from codeprm_jax.commands.output import progress_bar, say
from codeprm_jax.commands.policies import PolicyOptions, open_policy
from codeprm_jax.files import check_output
from codeprm_jax.problems.loading import load_problems, source_path
from codeprm_jax.search.collect import CollectConfig, CollectSummary, collect
from codeprm_jax.search.rollouts import CollectBudget
from codeprm_jax.search.tree import TreeConfig
from codeprm_jax.search.uniform import UniformConfig

POLICY, UNIFORM, TREE, NO_BOUND = PolicyOptions(), UniformConfig(), TreeConfig(), CollectBudget()


def main(
    out: Path,
    problems: str = "bank",
    method: Literal["uniform", "tree"] = "uniform",
    policy: Annotated[PolicyOptions, tyro.conf.arg(name="")] = POLICY,
    uniform: UniformConfig = UNIFORM,
    tree: TreeConfig = TREE,
    budget: CollectBudget = NO_BOUND,
    seed: int = 0,
    problems_at_once: int = 8,
    workers: int | None = None,
    allow_weak_isolation: bool = False,
) -> int:
    """Draws traces and appends them to OUT, problem by problem; run it again to go on.

    Beside OUT it keeps the folder OUT.collection, with every answer that was paid for, and (for the
    tree) OUT.results, with every program that was run. See docs/collection.md.

    Args:
      out: traces.jsonl to write.
      problems: bank, or SOURCE:PATH of humaneval, humanevalplus, mbpp, mbppplus, apps,
        code_contests, codeforces, livecodebench, or file; after it may stand which ones, as in
        apps:PATH?difficulty=interview&limit=100; docs/problems.md has all.
      method: uniform draws from the start and tops every prefix up, and runs nothing; tree runs
        every program and draws where the first wrong thought is in doubt.
      policy: who writes thoughts and programs.
      uniform: settings of that method.
      tree: settings of that method.
      budget: bounds that are never exceeded.
      seed: of all draws.
      problems_at_once: which changes nothing but the time.
      workers: of the tree: processes that judge; default all cores.
      allow_weak_isolation: of the tree: run on a machine without user namespaces. The bank may
        always: its programs are this project's own.
    """
    loaded = load_problems(problems)
    check_output(out, source_path(problems))
    writer = open_policy(policy, problems, loaded)
    config = CollectConfig(tree if method == "tree" else uniform, seed, budget, problems_at_once)
    with contextlib.ExitStack() as stack:
        oracle, tests = None, ""
        if method == "tree":
            pool = stack.enter_context(
                open_pool(workers, allow_weak_isolation or problems == "bank")
            )
            oracle = stack.enter_context(open_oracle(loaded, pool, out))
            tests = digest_of_tests(loaded)
        bar = stack.enter_context(progress_bar(len(loaded), "problem", "collect"))
        drawn = 0

        def count() -> None:
            nonlocal drawn
            drawn += 1
            bar.set_postfix(rollouts=drawn)

        summary = collect(
            [p.public for p in loaded],
            writer,
            out,
            config,
            bar.update,
            oracle=oracle,
            tests=tests,
            on_drawn=count,
        )
    say(describe(summary))
    say(f"traces in {out}")
    return 0


def describe(summary: CollectSummary) -> str:
    """What was drawn, as a sentence."""
    parts = [
        f"{summary.traces} traces of {summary.problems} problems "
        f"from {summary.rollouts} rollouts, {summary.generated_tokens:,} tokens generated"
    ]
    parts += [
        f"{count} rollouts failed: {kind}" for kind, count in sorted(summary.failures.items())
    ]
    if summary.out_of_budget:
        parts.append(f"{summary.out_of_budget} problems ended by their budget")
    return "; ".join(parts)
