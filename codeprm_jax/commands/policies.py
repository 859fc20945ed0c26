"""The policies that commands offer, by name, with the settings of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from codeprm_jax.policies.mutation import MutationPolicy
from codeprm_jax.policies.policy import Policy
from codeprm_jax.problems.loading import load_chains
from codeprm_jax.problems.problem import Problem

PolicyName = Literal["mutation"]


@dataclass(frozen=True)
class MutationConfig:
    """The simulated generator, see `policies.mutation.MutationPolicy`.

    Attributes:
      right_probability: that a drawn step is right.
      slip_probability: that a program departs from its thoughts.
      judge_accuracy: that an opinion about a step or a prefix is the truth.
    """

    right_probability: float = 0.7
    slip_probability: float = 0.05
    judge_accuracy: float = 0.6


DEFAULT_MUTATION = MutationConfig()


def open_policy(
    name: PolicyName,
    spec: str,
    problems: Sequence[Problem],
    mutation: MutationConfig = DEFAULT_MUTATION,
) -> Policy:
    """The named policy for `problems`, which were loaded from `spec`.

    Raises InputError on a setting out of range, or where a problem has no chain of steps.
    """
    del name  # there is one so far
    return MutationPolicy(
        load_chains(spec, problems),
        mutation.right_probability,
        mutation.slip_probability,
        mutation.judge_accuracy,
    )
