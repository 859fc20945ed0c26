"""`codeprm search`: the GVR benchmark."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from codeprm_jax.commands.judging import open_pool
from codeprm_jax.commands.output import progress_bar, say, table
from codeprm_jax.evaluation.benchmark import ARMS, BenchmarkConfig, run_benchmark
from codeprm_jax.policies.mutation import MutationPolicy
from codeprm_jax.problems.loading import load_chains, load_problems
from codeprm_jax.scoring.serving.client import open_scorer
from codeprm_jax.traces.dataset import read_statistics

DEFAULT_BENCHMARK = BenchmarkConfig()


def main(
    model: str,
    out: Path,
    problems: str = "bank",
    data: Path | None = None,
    benchmark: BenchmarkConfig = DEFAULT_BENCHMARK,
    right_probability: float = 0.7,
    slip_probability: float = 0.05,
    workers: int | None = None,
    allow_weak_isolation: bool = False,
) -> int:
    """Runs every arm at the same execution budget; run it again to go on.

    Args:
      model: run directory of a training (RUN@best: its best checkpoint), model directory, or the
        address of a server, such as http://127.0.0.1:8000.
      out: folder for results.jsonl and summary.json.
      problems: bank, or SOURCE:PATH of humaneval, humanevalplus, mbpp, mbppplus, apps,
        code_contests, codeforces, livecodebench, or file; after it may stand which ones, as in
        apps:PATH?difficulty=interview&limit=100; docs/problems.md has all.
      data: dataset the model was trained on; separates seen from unseen problems in the summary.
      benchmark: budget, repeats and seed.
      right_probability: of the mutation policy: that a drawn step is right.
      slip_probability: of the mutation policy: that a program departs from its thoughts.
      workers: processes that judge; default all cores.
      allow_weak_isolation: run on a machine without user namespaces.
    """
    loaded = load_problems(problems)
    policy = MutationPolicy(load_chains(problems, loaded), right_probability, slip_probability)
    groups = group_problems([p.id for p in loaded], data)
    scorer = open_scorer(model)
    with (
        open_pool(workers, allow_weak_isolation) as pool,
        progress_bar(benchmark.repeats * len(ARMS), "arm", "search") as bar,
    ):
        fingerprint = scorer.fingerprint
        summary = run_benchmark(
            loaded, groups, policy, pool, scorer, fingerprint, out, benchmark, bar.update
        )
    say(describe(summary))
    say(f"results in {out}")
    return 0


def group_problems(problem_ids: list[str], data: Path | None) -> dict[str, str]:
    """Problem id -> "seen problems" (trained on) or "unseen problems"."""
    if data is None:
        return dict.fromkeys(problem_ids, "all problems")
    trained = set(read_statistics(data)["splits"]["train"]["problem_ids"])
    return {i: "seen problems" if i in trained else "unseen problems" for i in problem_ids}


def describe(summary: dict[str, Any]) -> str:
    """The arms of each group as text."""
    parts = []
    for name, group in summary["groups"].items():
        rows = [
            (
                arm,
                "{:.3f} [{:.3f}, {:.3f}]".format(*values["pass_at_1"]),
                f"{values['pass_rate'][0]:.3f}",
                f"{values['spent']['executions']:.2f}",
                f"{values['spent']['generated_tokens']:,.0f}",
                f"{values['spent']['scored_tokens']:,.0f}",
            )
            for arm, values in group["arms"].items()
        ]
        head = (
            f"{name} ({group['problems']})",
            "pass@1 [95 %]",
            "pass rate",
            "executions",
            "generated",
            "scored",
        )
        parts.append(table(head, rows))
        parts += [
            "  {}: {:+.3f} [{:+.3f}, {:+.3f}]".format(pair, *values)
            for pair, values in group["versus"].items()
        ]
        parts.append("")
    return "\n".join(parts)
