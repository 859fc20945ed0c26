"""From the bytes of a request to what is scored: parsed, checked, laid out. It needs no JAX.

Whoever calls this is not the event loop; see `body_readers`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from pydantic import ValidationError

from codeprm_jax.data.layout import Example, ExampleTooLongError, Layout, StepInput, View
from codeprm_jax.files import InputError
from codeprm_jax.scoring.batcher import lay_out_safely, slices
from codeprm_jax.scoring.serving.openrlhf import RewardRequest, read_query
from codeprm_jax.scoring.serving.vllm import PoolingRequest, read_inputs
from codeprm_jax.scoring.serving.wire import (
    MAX_STEPS,
    RequestError,
    ScoreRequest,
    error_detail,
    parse_json,
    too_many,
)

REPORTED = 10  # what is wrong with a body, the first of it


@dataclass(frozen=True)
class Reading:
    """The example of each input of a request, or why it has none, and the form's options."""

    examples: list[Example | InputError]
    options: dict[str, Any]

    def encode(self) -> bytes:
        """For another process."""
        rows: list[Any] = []
        arrays: list[np.ndarray] = []
        for found in self.examples:
            if isinstance(found, InputError):
                rows.append(error_detail(found).model_dump())
                continue
            parts = [np.asarray(p, "<i4") for p in (found.tokens, found.tag_positions, found.cuts)]
            rows.append([len(part) for part in parts])
            arrays += parts
        head = json.dumps({"examples": rows, "options": self.options}).encode()
        return b"\n".join([head, b"".join(array.tobytes() for array in arrays)])

    @classmethod
    def decode(cls, data: bytes) -> Reading:
        """What another process has encoded. Raises its RequestError."""
        head, _, blob = data.partition(b"\n")
        said = json.loads(head)
        if (refused := said.get("refused")) is not None:
            details = refused.pop("details")
            raise RequestError(**refused, **details)
        values, at = np.frombuffer(blob, "<i4"), 0
        examples: list[Example | InputError] = []
        for row in said["examples"]:
            if isinstance(row, dict):
                examples.append(_error(row))
                continue
            tokens, tags, cuts = np.split(values[at : at + sum(row)], np.cumsum(row)[:-1])
            examples.append(Example(tokens.copy(), tags.copy(), tuple(cuts.tolist())))
            at += sum(row)
        return cls(examples, said["options"])


def encode_refusal(error: RequestError) -> bytes:
    """For another process, whose `Reading.decode` raises it."""
    said = {"status": error.status, "kind": error.kind, "message": str(error)}
    return json.dumps({"refused": said | {"details": error.details}}).encode() + b"\n"


class RequestReader:
    """Reads the bodies of all three forms.

    Args:
      view: of the traces in a request that names none.
      names: of the model, by which vLLM's form may ask for it.
    """

    def __init__(self, layout: Layout, view: View, names: Sequence[str]) -> None:
        self.layout, self.view, self.names = layout, view, tuple(names)
        self._forms: dict[str, Callable[[Any], Reading]] = {
            "/v1/score": self._score,
            "/pooling": self._pooling,
            "/get_reward": self._reward,
        }
        layout.tokenizer.fewest_tokens("")  # looks through the vocabulary, once

    def read(self, path: str, body: bytes) -> Reading:
        """What a request for `path` wants. Raises RequestError."""
        if not body:
            raise RequestError(422, "invalid_request", "body: required")
        try:
            data = parse_json(body)
        except RequestError:
            raise
        except InputError as error:
            raise RequestError(400, "invalid_json", str(error)) from error
        del body  # not needed beside what it says
        try:
            found = self._forms[path](data)
        except ValidationError as error:
            raise _invalid(error) from error
        except RequestError:
            raise
        except InputError as error:
            detail = error_detail(error).model_dump(exclude_none=True)
            raise RequestError(409, detail.pop("type"), **detail) from error
        _check_steps(sum(len(e.tag_positions) for e in found.examples if isinstance(e, Example)))
        return found

    def _score(self, data: Any) -> Reading:
        traces = data.get("traces") if isinstance(data, dict) else None
        thoughts = [t.get("thoughts") for t in traces or () if isinstance(t, dict)]
        _check_steps(sum(len(t) for t in thoughts if isinstance(t, list)))
        request = ScoreRequest.model_validate(data)
        view = request.view or self.view
        examples = self._lay_out([trace.step_input() for trace in request.traces], view)
        return Reading(examples, {"view": view, "aggregate": request.aggregate})

    def _pooling(self, data: Any) -> Reading:
        request = PoolingRequest.model_validate(data)
        if request.model is not None and request.model not in self.names:
            message = f"this server has the model {self.names[0]!r} only"
            raise RequestError(404, "not_found", message)
        options = {"encoding_format": request.encoding_format, "request_id": request.request_id}
        return Reading(list(read_inputs(request, self.layout)), options)

    def _reward(self, data: Any) -> Reading:
        request = RewardRequest.model_validate(data)
        tag = self.layout.config.step_tag
        traces = [
            read_query(q, p, tag) for q, p in zip(request.query, request.prompts, strict=True)
        ]
        inputs = [trace for trace in traces if not isinstance(trace, InputError)]
        _check_steps(sum(len(trace.thoughts) for trace in inputs))
        left = iter(self._lay_out(inputs, self.view))
        return Reading([t if isinstance(t, InputError) else next(left) for t in traces], {})

    def _lay_out(self, inputs: Sequence[StepInput], view: View) -> list[Example | InputError]:
        def lay_out_each(
            part: Sequence[StepInput], view: View | None
        ) -> list[Example | ExampleTooLongError]:
            found = self.layout.lay_out_each(part, (view or self.view,))
            return [f if isinstance(f, ExampleTooLongError) else f[0] for f in found]

        parts = (lay_out_safely(lay_out_each, part, view) for part in slices(inputs))
        return [found for part in parts for found in part]


def _check_steps(steps: int) -> None:
    if steps > MAX_STEPS:
        raise too_many(f"{steps} steps", MAX_STEPS)


def _invalid(error: ValidationError) -> RequestError:
    errors = error.errors(include_url=False, include_context=False, include_input=False)
    found = [
        ".".join(str(part)[:100] for part in ("body", *e["loc"])) + ": " + e["msg"][:200]
        for e in errors[:REPORTED]
    ]
    # What the description cannot say: that lists have one length, how long all texts may be.
    beyond = all(e["type"] == "value_error" for e in errors)
    return RequestError(409 if beyond else 422, "invalid_request", "; ".join(found))


def _error(detail: dict[str, Any]) -> InputError:
    if detail["type"] == "too_long":
        return ExampleTooLongError(detail["message"], detail["tokens"], detail["limit"])
    return InputError(detail["message"])
