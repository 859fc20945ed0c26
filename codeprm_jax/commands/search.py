"""`codeprm search [configs/NAME.py]`: the GVR benchmark."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from codeprm_jax.commands.judging import open_pool
from codeprm_jax.commands.output import progress_bar, say, table
from codeprm_jax.commands.policies import PolicyOptions, open_policy
from codeprm_jax.commands.presets import read_preset
from codeprm_jax.data.layout import View
from codeprm_jax.evaluation.benchmark import BenchmarkConfig, SearchPreset, run_benchmark
from codeprm_jax.files import InputError
from codeprm_jax.problems.loading import load_problems
from codeprm_jax.scoring.serving.client import open_scorer
from codeprm_jax.search.arms import ALL_ARMS, CORE_ARMS, GVR_PRM, TESTS_ONLY, Arm
from codeprm_jax.search.search import MAX_FAILED_DRAWS
from codeprm_jax.traces.dataset import read_statistics


@dataclass(frozen=True)
class SearchCommand:
    """Runs every arm with the same budget; run it again to go on.

    Attributes:
      out: folder of the run: event logs, results.jsonl, results.parquet, summary.json.
      model: run directory of a training (RUN@best: its best checkpoint), model directory, or the
        address of a server, such as http://127.0.0.1:8000. Not needed if no arm asks a PRM.
      view: what the model reads of complete traces; default the fullest that it was trained for.
      problems: bank, or SOURCE:PATH of humaneval, humanevalplus, mbpp, mbppplus, apps,
        code_contests, codeforces, livecodebench, or file; after it may stand which ones, as in
        apps:PATH?difficulty=interview&limit=100; docs/problems.md has all.
      data: dataset the model was trained on; separates seen from unseen problems in the summary.
      arms: names of arms, "core" for the comparison of the paper, or "all".
      benchmark: budget, repeats and seed.
      policy: who writes thoughts and programs.
      workers: processes that judge; default all cores.
      allow_weak_isolation: run on a machine without user namespaces.
    """

    out: Path
    model: str | None = None
    view: View | None = None
    problems: str = "bank"
    data: Path | None = None
    arms: tuple[str, ...] = ("core",)
    benchmark: BenchmarkConfig = BenchmarkConfig()
    policy: Annotated[PolicyOptions, tyro.conf.arg(name="")] = PolicyOptions()
    workers: int | None = None
    allow_weak_isolation: bool = False


def prepare(arguments: list[str], prog: str) -> int:
    """Reads the preset, if the first argument names one, lets options override it, and searches."""
    preset = SearchPreset(ALL_ARMS)
    chosen: tuple[str, ...] = ("core",)
    if arguments and not arguments[0].startswith("-"):
        preset = read_preset(Path(arguments[0]), SearchPreset)
        arguments, chosen = arguments[1:], ("all",)
    command = tyro.cli(
        SearchCommand,
        args=arguments,
        prog=f"{prog} [CONFIG.py]",
        default=SearchCommand(tyro.MISSING, arms=chosen, benchmark=preset.benchmark),
    )
    return search(command, choose_arms(command.arms, preset.arms))


def search(command: SearchCommand, arms: Sequence[Arm]) -> int:
    """Runs the benchmark and tells what came of it. Raises InputError for a view of no model."""
    if command.view is not None and command.model is None:
        raise InputError("--view says what a model reads; name one by --model, or leave it out")
    loaded = load_problems(command.problems)
    groups = group_problems([p.id for p in loaded], command.data)
    policy = open_policy(command.policy, command.problems, loaded)  # at once, unlike a model
    scorer = None
    if command.model is not None:
        scorer = open_scorer(command.model, command.view)
    searches = command.benchmark.repeats * len(arms) * len(loaded)
    with (
        open_pool(command.workers, command.allow_weak_isolation) as pool,
        progress_bar(searches, "search", "search") as bar,
    ):
        summary = run_benchmark(
            loaded,
            groups,
            policy,
            pool,
            scorer,
            command.out,
            arms,
            command.benchmark,
            bar.update,
        )
    say(describe(summary))
    say(f"results in {command.out}; codeprm report {command.out} writes a page about them")
    return 0


def choose_arms(names: Sequence[str], known: Sequence[Arm]) -> tuple[Arm, ...]:
    """The arms of these names, in order; "core" and "all" are sets of them.

    Raises InputError naming an unknown one and those that it may have meant, or a name that two
    known arms share.
    """
    by_name = {arm.name: arm for arm in known}
    if shared := [name for name, n in Counter(a.name for a in known).items() if n > 1]:
        raise InputError(f"two arms are named {shared[0]!r}; give each a name of its own")
    sets = {"all": list(by_name), "core": [a.name for a in CORE_ARMS if a.name in by_name]}
    chosen: dict[str, Arm] = {}
    for name in names:
        for each in sets.get(name, [name]):
            if each not in by_name:
                near = difflib.get_close_matches(each, by_name, 3, 0.3) or list(by_name)
                raise InputError(f"there is no arm {each!r}; did you mean one of {near}?")
            chosen[each] = by_name[each]
    return tuple(chosen.values())


def group_problems(problem_ids: list[str], data: Path | None) -> dict[str, str]:
    """Problem id -> "seen problems" (trained on) or "unseen problems"."""
    if data is None:
        return dict.fromkeys(problem_ids, "all problems")
    trained = set(read_statistics(data)["splits"]["train"]["problem_ids"])
    return {i: "seen problems" if i in trained else "unseen problems" for i in problem_ids}


def describe(summary: Mapping[str, Any]) -> str:
    """The arms of each group as text, and each beside best-of-N by tests."""
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
            for pair, values in comparisons(group["versus"]).items()
        ]
        parts += [f"  {line}" for line in troubles(group)]
        parts.append("")
    return "\n".join(parts)


def troubles(group: Mapping[str, Any]) -> list[str]:
    """What the policy failed in, over all arms of a group; nothing where it never failed."""
    arms = group["arms"].values()
    failures = sum((Counter(v["failures"]) for v in arms), Counter[str]())
    gave_up = sum(v["ended"].get("gave up", 0) for v in arms)
    lines = []
    if failures:
        counts = ", ".join(f"{kind} {n:,}" for kind, n in failures.most_common())
        lines.append(f"policy failures, each in every arm that met it: {counts}")
    if gave_up:
        lines.append(
            f"{gave_up:,} of {sum(v['searches'] for v in arms):,} searches gave up: "
            f"{MAX_FAILED_DRAWS} draws in a row gave nothing that could be used"
        )
    return lines


def comparisons(versus: Mapping[str, Any]) -> dict[str, Any]:
    """The differences that answer a question: GVR PRM against the other ways to choose a step,
    and every arm against best-of-N by tests.
    """
    wanted = [k for k in versus if k.startswith(f"{GVR_PRM.name} - GVR")]
    wanted += [k for k in versus if k.endswith(f" - {TESTS_ONLY.name}")]
    return {k: versus[k] for k in wanted}
