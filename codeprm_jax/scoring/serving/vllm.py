"""`POST /pooling` in vLLM's form, as its STEP pooler answers for a token classifier of two classes.

The answer to each input is one row [p_bad, p_good] for each step tag in it. Clients send text or
token ids that are laid out already, so here, and only here, tags are searched among the ids: text
that spells the tag out is a step.
"""

from __future__ import annotations

import base64
import time
import uuid
from collections.abc import Sequence
from typing import Annotated, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from codeprm_jax.data.layout import Example, ExampleTooLongError, Layout
from codeprm_jax.files import InputError
from codeprm_jax.scoring.scorer import StepScores
from codeprm_jax.scoring.serving.wire import MAX_CHARACTERS, MAX_TRACES, Strict, Text

Ids = Annotated[
    list[Annotated[int, Field(ge=0, le=2**31 - 1)]],
    Field(min_length=1, max_length=MAX_CHARACTERS),
]


class PoolingRequest(Strict):
    """The body of POST /pooling. What would change the answer in a way not offered is refused."""

    model_config = ConfigDict(json_schema_extra={"example": {"input": "Add two numbers."}})

    input: (
        Text
        | Annotated[list[Text], Field(min_length=1, max_length=MAX_TRACES)]
        | Ids
        | Annotated[list[Ids], Field(min_length=1, max_length=MAX_TRACES)]
    )
    model: Text | None = None
    encoding_format: Literal["float", "base64"] = "float"
    task: Literal["token_classify", "encode"] | None = None
    add_special_tokens: bool = True
    use_activation: Literal[True] | None = None
    truncate_prompt_tokens: Literal[-1] | None = None
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

    Raises:
      InputError: an id that is none of the vocabulary's.
      ExampleTooLongError: an input that exceeds the model's limit.
    """
    given = request.input
    texts = [given] if isinstance(given, str) else [t for t in given if isinstance(t, str)]
    if texts:
        encode = layout.tokenizer.backend.encode_batch
        found = encode(texts, add_special_tokens=request.add_special_tokens)
        sequences: Sequence[Sequence[int]] = [e.ids for e in found]
    else:
        lists = [ids for ids in given if isinstance(ids, list)]
        sequences = lists or [[i for i in given if isinstance(i, int)]]
    limit, vocabulary = layout.config.max_tokens, layout.tokenizer.vocab_size
    examples = []
    for number, ids in enumerate(sequences):
        if len(ids) > limit:
            message = f"input {number} has {len(ids)} tokens, the limit is {limit}"
            raise ExampleTooLongError(message, len(ids), limit)
        if ids and max(ids) >= vocabulary:
            raise InputError(
                f"input {number} holds the token id {max(ids)}, the vocabulary has {vocabulary}"
            )
        tokens = np.array(ids, np.int32)
        examples.append(Example(tokens, np.flatnonzero(tokens == layout.tag).astype(np.int32)))
    return examples


def pooling_response(
    request: PoolingRequest,
    model: str,
    examples: Sequence[Example],
    results: Sequence[StepScores],
) -> PoolingResponse:
    """The answer, from the scores of each example."""
    data = []
    for index, result in enumerate(results):
        good = result.scores.astype(np.float32)
        rows = np.stack([1 - good, good], axis=1)
        if request.encoding_format == "base64":
            text = base64.b64encode(rows.astype("<f4").tobytes()).decode()
            data.append(PoolingData(index=index, data=text))
        else:
            data.append(PoolingData(index=index, data=rows.tolist()))
    tokens = sum(example.length for example in examples)
    return PoolingResponse(
        id=f"pool-{request.request_id or uuid.uuid4().hex}",
        created=int(time.time()),
        model=model,
        data=data,
        usage=Usage(prompt_tokens=tokens, total_tokens=tokens),
    )
