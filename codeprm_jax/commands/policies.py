"""Who writes thoughts and programs, as command-line options."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from codeprm_jax.policies.mutation import MutationPolicy
from codeprm_jax.policies.openai_config import OpenAIConfig
from codeprm_jax.policies.policy import Policy
from codeprm_jax.problems.loading import load_chains
from codeprm_jax.problems.problem import Problem


@dataclass(frozen=True)
class MutationConfig:
    """The simulated generator.

    Attributes:
      right_probability: that a drawn step is right.
      slip_probability: that a program departs from its thoughts.
      judge_accuracy: that its opinion of a thought is the truth.
    """

    right_probability: float = 0.7
    slip_probability: float = 0.05
    judge_accuracy: float = 0.6


@dataclass(frozen=True)
class PolicyOptions:
    """Which policy, and the settings of each.

    Attributes:
      policy: "mutation" simulates a generator from known solutions; "openai" asks a model server.
      mutation, openai: their settings.
    """

    policy: Literal["mutation", "openai"] = "mutation"
    mutation: MutationConfig = MutationConfig()
    openai: OpenAIConfig = OpenAIConfig()


def open_policy(options: PolicyOptions, spec: str, problems: Sequence[Problem]) -> Policy:
    """The policy for the problems that `spec` names.

    Raises InputError if it cannot work on them, or a setting is out of its range.
    """
    if options.policy == "openai":
        from codeprm_jax.policies.openai import OpenAIPolicy

        return OpenAIPolicy(options.openai)
    given = options.mutation
    return MutationPolicy(
        load_chains(spec, problems),
        given.right_probability,
        given.slip_probability,
        given.judge_accuracy,
    )
