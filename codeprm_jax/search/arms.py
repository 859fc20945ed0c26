"""Arms: the ways to spend a budget that are compared with each other, by name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from codeprm_jax.files import InputError
from codeprm_jax.scoring.aggregate import Aggregate
from codeprm_jax.search.beam import BeamConfig, beam
from codeprm_jax.search.best_of_n import best_of_n, self_refine
from codeprm_jax.search.mcts import MctsConfig, mcts
from codeprm_jax.search.prefixes import Evaluate
from codeprm_jax.search.refine import Choose, Refinement, Suffix
from codeprm_jax.search.search import Search, SearchEndedError

Algorithm = Literal["best_of_n", "self_refine", "beam", "dvts", "mcts"]


@dataclass(frozen=True)
class Arm:
    """One way to spend a budget.

    Attributes:
      name: in results and reports.
      algorithm: see the modules of `codeprm_jax.search`; "dvts" is the diverse beam.
      refine: how the step to rewrite in a failed attempt is chosen; None: failures stay as they
        are.
      suffix: what becomes of the thoughts behind a rewritten one.
      max_think_times: rewrites in a row.
      threshold: of refine "prm_threshold".
      evaluate: who values prefixes; "beam" and "dvts" need somebody.
      aggregate: how the PRM's scores of a trace become one.
      rank: let the PRM choose among attempts with equal public pass rates.
      stop_at_pass: end at the first program that passes the public tests.
      max_samples: of "best_of_n"; None: as many as the budget allows.
      width: of beams, and of the children in MCTS.
      branching: draws for each next thought of a beam.
      rollouts: of MCTS, at most.
    """

    name: str
    algorithm: Algorithm = "best_of_n"
    refine: Choose | None = None
    suffix: Suffix = "keep"
    max_think_times: int = 2
    threshold: float = 0.5
    evaluate: Evaluate | None = None
    aggregate: Aggregate = "last"
    rank: bool = False
    stop_at_pass: bool = True
    max_samples: int | None = None
    width: int = 3
    branching: int = 3
    rollouts: int = 16

    def __post_init__(self) -> None:
        counts = {"width": self.width, "branching": self.branching, "rollouts": self.rollouts}
        if self.max_samples is not None:
            counts["max_samples"] = self.max_samples
        for name, value in counts.items():
            if value < 1:
                raise InputError(f"arm {self.name!r}: {name} must be at least 1, not {value}")
        if self.max_think_times < 0 or not 0 <= self.threshold <= 1:
            raise InputError(
                f"arm {self.name!r}: max_think_times >= 0 and a threshold in [0, 1] are needed"
            )
        if self.algorithm in ("beam", "dvts") and self.evaluate is None:
            raise InputError(f"arm {self.name!r}: {self.algorithm} needs evaluate: prm or judged")
        if self.algorithm == "self_refine" and self.refine is not None:
            raise InputError(f"arm {self.name!r}: self_refine chooses no step; leave out refine")
        if self.evaluate is not None and self.algorithm in ("best_of_n", "self_refine"):
            raise InputError(f"arm {self.name!r}: {self.algorithm} values no prefixes")

    @property
    def asks_prm(self) -> bool:
        """Whether it needs a PRM at all."""
        chooses = self.refine in ("prm", "prm_threshold")
        return chooses or self.rank or self.evaluate == "prm"

    @property
    def refinement(self) -> Refinement | None:
        """How it refines."""
        if self.refine is None:
            return None
        return Refinement(self.refine, self.suffix, self.max_think_times, self.threshold)


async def run_arm(arm: Arm, search: Search) -> None:
    """Runs a search to its end."""
    try:
        match arm.algorithm:
            case "best_of_n":
                await best_of_n(search, arm.refinement, arm.max_samples)
            case "self_refine":
                await self_refine(search)
            case "beam" | "dvts":
                diverse = arm.algorithm == "dvts"
                assert arm.evaluate is not None
                shape = BeamConfig(arm.width, arm.branching, arm.evaluate, arm.aggregate, diverse)
                await beam(search, shape, arm.refinement)
            case "mcts":
                tree = MctsConfig(
                    arm.width, arm.rollouts, evaluate=arm.evaluate, aggregate=arm.aggregate
                )
                await mcts(search, tree, arm.refinement)
    except SearchEndedError:
        pass


CHAIN_OF_THOUGHT = Arm("chain of thought", max_samples=1)
SAMPLING = Arm("sampling", stop_at_pass=False)
TESTS_ONLY = Arm("best-of-N by tests")
PRM_RANKED = Arm("best-of-N by tests and PRM", rank=True, stop_at_pass=False)
SELF_REFINE = Arm("self-refine", "self_refine")
TREE_OF_THOUGHTS = Arm("tree of thoughts", "beam", evaluate="judged")
RETHINK_MCTS = Arm("RethinkMCTS", "mcts", refine="judged", evaluate="judged")
GVR_RANDOM = Arm("GVR random", refine="random")
GVR_LAST = Arm("GVR last", refine="last")
GVR_JUDGED = Arm("GVR judged", refine="judged")
GVR_PRM = Arm("GVR PRM", refine="prm")
GVR_PRM_SUFFIX = Arm("GVR PRM, suffix anew", refine="prm", suffix="regenerate")
GVR_PRM_THRESHOLD = Arm("GVR PRM threshold", refine="prm_threshold")
BEAM_PRM = Arm("beam PRM", "beam", evaluate="prm")
BEAM_PRM_REFINE = Arm("beam PRM + GVR", "beam", evaluate="prm", refine="prm")
DVTS_PRM = Arm("DVTS PRM", "dvts", evaluate="prm")
MCTS_PRM = Arm("MCTS PRM", "mcts", evaluate="prm")
MCTS_PRM_REFINE = Arm("MCTS PRM + GVR", "mcts", evaluate="prm", refine="prm")

# The comparison of the paper; all others are for those who ask.
CORE_ARMS = (CHAIN_OF_THOUGHT, TESTS_ONLY, GVR_RANDOM, GVR_LAST, GVR_PRM)
ALL_ARMS = (
    CHAIN_OF_THOUGHT,
    SAMPLING,
    TESTS_ONLY,
    PRM_RANKED,
    SELF_REFINE,
    TREE_OF_THOUGHTS,
    RETHINK_MCTS,
    GVR_RANDOM,
    GVR_LAST,
    GVR_JUDGED,
    GVR_PRM,
    GVR_PRM_SUFFIX,
    GVR_PRM_THRESHOLD,
    BEAM_PRM,
    BEAM_PRM_REFINE,
    DVTS_PRM,
    MCTS_PRM,
    MCTS_PRM_REFINE,
)
