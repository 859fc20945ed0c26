"""`POST /get_reward` in OpenRLHF's remote-reward form, and how a response becomes a trace.

OpenRLHF sends each query whole (the prompt and what the policy wrote) beside its prompt, and wants
one number for each. A response is free text; `split_response` says what of it is thought, and what
is program.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from codeprm_jax.data.layout import StepInput
from codeprm_jax.files import InputError
from codeprm_jax.scoring.aggregate import Aggregate, aggregate
from codeprm_jax.scoring.scorer import StepScores
from codeprm_jax.scoring.serving.wire import MAX_THOUGHTS, MAX_TRACES, Strict, Text

REFUSED_REWARD = 0.0  # the lowest that there is: what cannot be scored must not be worth writing

_Texts = Annotated[list[Text], Field(min_length=1, max_length=MAX_TRACES, fail_fast=True)]
_FENCE = re.compile(r"^```[^\n`]*\n(.*?)(?:^```[ \t]*$|\Z)", re.DOTALL | re.MULTILINE)
_STEP = re.compile(
    r"^[ \t]*(?:#+[ \t]*|\*\*)?Step[ \t]+\d+[ \t]*[:.)]", re.IGNORECASE | re.MULTILINE
)
_BLANK = re.compile(r"\n[ \t]*\n")
_END = re.compile(r"(?:<\|[^|<>\s]{1,40}\|>|</s>)\Z")


class RewardRequest(Strict):
    """The body of POST /get_reward; `labels` are not read."""

    model_config = ConfigDict(
        json_schema_extra={"example": {"query": ["Add.\n\nRead both."], "prompts": ["Add."]}}
    )

    query: _Texts
    prompts: _Texts
    labels: Annotated[list[Any], Field(max_length=MAX_TRACES)] | None = None

    @model_validator(mode="after")
    def _is_aligned(self) -> RewardRequest:
        lengths = {len(self.query), len(self.prompts), len(self.labels or self.query)}
        if len(lengths) > 1:
            raise ValueError("query, prompts and labels must have the same length")
        return self


class RewardLogs(BaseModel):
    """One number for each query: 1 if it was refused, its steps, its tokens."""

    refused: list[float]
    steps: list[float]
    tokens: list[float]


class RewardResponse(BaseModel):
    """The answer of POST /get_reward: `scores` are the rewards again, all in [0, 1]."""

    rewards: list[float]
    scores: list[float]
    extra_logs: RewardLogs


def read_query(query: str, prompt: str, step_tag: str) -> StepInput | InputError:
    """The trace in a query, or why there is none: the prompt is not in it, or nothing follows."""
    at = query.find(prompt)
    if at < 0:
        return InputError("the query does not contain its prompt")
    response = query[at + len(prompt) :]
    thoughts, program = split_response(response, step_tag)
    if not thoughts:
        return InputError("the query holds no thought after its prompt")
    if len(thoughts) > MAX_THOUGHTS:
        return InputError(f"the query holds {len(thoughts)} thoughts, the limit is {MAX_THOUGHTS}")
    return StepInput(prompt, thoughts, program)


def split_response(response: str, step_tag: str) -> tuple[tuple[str, ...], str]:
    """The thoughts and the program of a response.

    The program is the last block fenced by lines of three backticks (one that is not closed goes to
    the end); all fenced blocks are taken out of the thoughts. What is left is cut at the step tag
    if it contains that, otherwise before each line that begins "Step 3:", otherwise at blank lines.
    Thoughts are stripped, empty ones dropped. Special tokens such as <|im_end|> at the end are no
    part of it.
    """
    end = _end_of_text(response, len(response))
    while special := _END.search(response, max(0, end - 44), end):
        end = _end_of_text(response, special.start())
    response = response[:end]
    program = ""
    for block in _FENCE.finditer(response):
        program = block.group(1)
    text = _FENCE.sub("\n", response)
    if step_tag and step_tag in text:
        pieces = text.split(step_tag)
    elif starts := [match.start() for match in _STEP.finditer(text)]:
        edges = [0, *starts, len(text)]
        pieces = [text[a:b] for a, b in itertools.pairwise(edges)]
    else:
        pieces = _BLANK.split(text)
    return tuple(stripped for piece in pieces if (stripped := piece.strip())), program


def _end_of_text(text: str, end: int) -> int:
    """Where text[:end] ends without the space behind it."""
    while end and text[end - 1].isspace():
        end -= 1
    return end


def reward_response(results: Sequence[StepScores | InputError], how: Aggregate) -> RewardResponse:
    """The answer, from each query's scores. A query without scores gets REFUSED_REWARD."""
    rewards: list[float] = []
    logs = RewardLogs(refused=[], steps=[], tokens=[])
    for result in results:
        if isinstance(result, InputError):
            reward, steps, tokens = REFUSED_REWARD, 0, 0
        else:
            reward, steps, tokens = (
                aggregate(result.scores, how),
                len(result.scores),
                result.tokens,
            )
        rewards.append(reward)
        logs.refused.append(float(isinstance(result, InputError)))
        logs.steps.append(float(steps))
        logs.tokens.append(float(tokens))
    return RewardResponse(rewards=rewards, scores=rewards, extra_logs=logs)
