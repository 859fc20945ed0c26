"""`POST /pooling` in vLLM's form, as its STEP pooler answers for a token classifier of two classes.

The answer to each input is one row [p_bad, p_good] for each step tag in it. Clients send text or
token ids that are laid out already, so here, and only here, tags are searched among the ids: text
that spells the tag out is a step.
"""

from __future__ import annotations

import base64
import time
import uuid
from collections.abc import Iterator, Sequence
from typing import Annotated, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from codeprm_jax.data.layout import Example, ExampleTooLongError, Layout
from codeprm_jax.files import InputError
from codeprm_jax.scoring.scorer import StepScores
from codeprm_jax.scoring.serving.wire import MAX_CHARACTERS, MAX_TRACES, Strict, Text

Ids = Annotated[
    list[Annotated[int, Field(ge=0, le=2**31 - 1)]],
    Field(min_length=1, max_length=MAX_CHARACTERS, fail_fast=True),
]


class PoolingRequest(Strict):
    """The body of POST /pooling. What would change the answer in a way not offered is refused."""

    model_config = ConfigDict(json_schema_extra={"example": {"input": "Add two numbers."}})

    input: (
        Text
        | Annotated[list[Text], Field(min_length=1, max_length=MAX_TRACES, fail_fast=True)]
        | Ids
        | Annotated[list[Ids], Field(min_length=1, max_length=MAX_TRACES, fail_fast=True)]
    )
    model: Text | None = None
    encoding_format: Literal["float", "base64"] = "float"
    task: Literal["token_classify", "encode"] | None = None
    add_special_tokens: bool = True
    use_activation: Literal[True] | None = None
    truncate_prompt_tokens: Annotated[int, Field(ge=-1, le=-1)] | None = None
    user: Text | None = None
    request_id: Annotated[str, Field(max_length=256)] | None = None


class PoolingData(BaseModel):
    """Rows [p_bad, p_good], or their float32 values, little-endian, in base64."""

    index: int
    object: Literal["pooling"] = "pooling"
    data: list[list[float]] | str


class Usage(BaseModel):
    """Tokens read."""

    prompt_tokens: int
    total_tokens: int
    completion_tokens: int = 0


class PoolingResponse(BaseModel):
    """The answer of POST /pooling."""

    id: str
    object: Literal["list"] = "list"
    created: int
    model: str
    data: list[PoolingData]
    usage: Usage


def read_inputs(request: PoolingRequest, layout: Layout) -> list[Example]:
    """The example of each input: its ids, and where the step tag stands among them.

    A text that has too many bytes for the limit is not tokenised, and nothing after the first input
    that is too long.

    Raises:
      InputError: an id that is none of the vocabulary's.
      ExampleTooLongError: an input that exceeds the model's limit.
    """
    tokenizer, limit = layout.tokenizer, layout.config.max_tokens
    examples = []
    for number, given in enumerate(_inputs(request)):
        ids: Sequence[int] = []
        if not isinstance(given, str):
            ids, tokens = given, len(given)
        elif (tokens := tokenizer.fewest_tokens(given)) <= limit:
            ids = tokenizer.encode_marked(given, request.add_special_tokens)
            tokens = len(ids)
        if tokens > limit:
            message = f"input {number} has {tokens} tokens or more, the limit is {limit}"
            raise ExampleTooLongError(message, tokens, limit)
        if ids and max(ids) >= tokenizer.vocab_size:
            raise InputError(
                f"input {number} holds the token id {max(ids)}, the vocabulary has "
                f"{tokenizer.vocab_size}"
            )
        array = np.array(ids, np.int32)
        examples.append(Example(array, np.flatnonzero(array == layout.tag).astype(np.int32)))
    return examples


def _inputs(request: PoolingRequest) -> Iterator[str | list[int]]:
    """Each input: a text or token ids."""
    given = request.input
    if isinstance(given, str):
        yield given
    elif isinstance(given[0], int):
        yield [i for i in given if isinstance(i, int)]
    else:
        yield from (i for i in given if not isinstance(i, int))


def pooling_response(
    results: Sequence[StepScores], model: str, encoding_format: str, request_id: str | None
) -> PoolingResponse:
    """The answer, from the scores of each example."""
    data = []
    for index, result in enumerate(results):
        good = result.scores.astype(np.float32)
        rows = np.stack([1 - good, good], axis=1)
        if encoding_format == "base64":
            text = base64.b64encode(rows.astype("<f4").tobytes()).decode()
            data.append(PoolingData(index=index, data=text))
        else:
            data.append(PoolingData(index=index, data=rows.tolist()))
    tokens = sum(result.tokens for result in results)
    return PoolingResponse(
        id=f"pool-{request_id or uuid.uuid4().hex}",
        created=int(time.time()),
        model=model,
        data=data,
        usage=Usage(prompt_tokens=tokens, total_tokens=tokens),
    )
