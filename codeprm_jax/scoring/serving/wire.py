"""What goes over the wire: `/v1/score`, errors, and JSON read strictly.

The limits are part of the server's description of itself, so they are constants.
"""

from __future__ import annotations

import json
import re
from typing import Annotated, Any, Literal, NoReturn

from pydantic import BaseModel, ConfigDict, Field, model_validator

from codeprm_jax.data.layout import ExampleTooLongError, StepInput, View
from codeprm_jax.files import InputError
from codeprm_jax.scoring.aggregate import Aggregate, aggregate
from codeprm_jax.scoring.scorer import StepScores
from codeprm_jax.traces.trace import MAX_FAILURES, Failure, Feedback

TOKEN_VARIABLE = "CODEPRM_SERVER_TOKEN"  # of the environment, for server and client
MAX_TRACES = 1024  # of a request
MAX_THOUGHTS = 1024  # of a trace
MAX_CHARACTERS = 262_144  # of a trace, all its texts together
MAX_TESTS = 1_000_000  # counted in feedback
MAX_STEPS = 32_768  # of a request, all traces together; each has a score in the answer
MAX_VALUES = 524_288  # in a body: numbers, texts, lists and objects
MAX_NAMES = 64  # of an object; none of ours has ten

Text = Annotated[str, Field(max_length=MAX_CHARACTERS)]
Count = Annotated[int, Field(ge=0, le=MAX_TESTS)]


class Strict(BaseModel):
    """Of a request: no unknown fields, no conversions."""

    model_config = ConfigDict(extra="forbid", strict=True)


class FailureForm(Strict):
    """A failing public test."""

    id: Text = ""
    verdict: Text = ""
    input: Text = ""
    expected: Text = ""
    actual: Text = ""
    stderr: Text = ""


class FeedbackForm(Strict):
    """What running the program on the public tests said."""

    passed: Count
    total: Count
    failures: Annotated[list[FailureForm], Field(max_length=MAX_FAILURES, fail_fast=True)] = []

    @model_validator(mode="after")
    def _adds_up(self) -> FeedbackForm:
        if self.passed + len(self.failures) > self.total:
            raise ValueError(
                f"{self.passed} tests passed and {len(self.failures)} failures are more than the "
                f"total of {self.total}"
            )
        return self


class TraceForm(Strict):
    """A trace; program and feedback are read only in the views that show them."""

    statement: Text
    thoughts: Annotated[list[Text], Field(min_length=1, max_length=MAX_THOUGHTS, fail_fast=True)]
    program: Text = ""
    feedback: FeedbackForm | None = None

    @model_validator(mode="after")
    def _is_small(self) -> TraceForm:
        characters = len(self.statement) + len(self.program) + sum(map(len, self.thoughts))
        for failure in self.feedback.failures if self.feedback else ():
            characters += sum(map(len, failure.model_dump().values()))
        if characters > MAX_CHARACTERS:
            raise ValueError(
                f"a trace may have {MAX_CHARACTERS} characters, this one has {characters}"
            )
        return self

    def step_input(self) -> StepInput:
        """As the scorer takes it."""
        feedback = None
        if self.feedback is not None:
            failures = tuple(Failure(**f.model_dump()) for f in self.feedback.failures)
            feedback = Feedback(self.feedback.passed, self.feedback.total, failures)
        return StepInput(self.statement, tuple(self.thoughts), self.program, feedback)

    @classmethod
    def of(cls, item: StepInput) -> dict[str, Any]:
        """The JSON form of an input, for a client to send."""
        form: dict[str, Any] = {"statement": item.statement, "thoughts": list(item.thoughts)}
        if item.program:
            form["program"] = item.program
        if item.feedback is not None:
            feedback = item.feedback.to_json()
            form["feedback"] = feedback | {"failures": list(feedback["failures"])}
        return form


class ScoreRequest(Strict):
    """The body of POST /v1/score."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "traces": [
                    {"statement": "Add two numbers.", "thoughts": ["Read both.", "Print the sum."]}
                ]
            }
        }
    )

    traces: Annotated[list[TraceForm], Field(min_length=1, max_length=MAX_TRACES, fail_fast=True)]
    view: View | None = None
    aggregate: Aggregate = "min"


class ErrorDetail(BaseModel):
    """Why something has no answer; `tokens` and `limit` of a trace that is too long."""

    type: str
    message: str
    tokens: int | None = None
    limit: int | None = None


class ErrorResponse(BaseModel):
    """Every answer that is not 2xx."""

    error: ErrorDetail


class ScoredTrace(BaseModel):
    """Scores in [0, 1] of the steps, their aggregate, and the tokens that were read."""

    scores: list[float]
    aggregate: float
    tokens: int


class RefusedTrace(BaseModel):
    """Why this trace has no scores; the others have theirs."""

    error: ErrorDetail


class ScoreResponse(BaseModel):
    """The answer of POST /v1/score: one result for each trace, in order."""

    model: str
    view: View
    aggregate: Aggregate
    results: list[ScoredTrace | RefusedTrace]


class Status(BaseModel):
    """The answer of GET /health and /ready."""

    status: Literal["ok", "ready"]


class ModelCard(BaseModel):
    """A served model, in the form of OpenAI's and vLLM's lists."""

    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: str = "codeprm"
    max_model_len: int
    fingerprint: str
    views: list[View]
    view: View


class ModelList(BaseModel):
    """The answer of GET /v1/models."""

    object: Literal["list"] = "list"
    data: list[ModelCard]


def error_detail(error: InputError) -> ErrorDetail:
    """The JSON form of why a trace cannot be scored."""
    if isinstance(error, ExampleTooLongError):
        return ErrorDetail(
            type="too_long", message=str(error), tokens=error.tokens, limit=error.limit
        )
    return ErrorDetail(type="unscorable", message=str(error))


def scored_trace(found: StepScores | InputError, how: Aggregate) -> ScoredTrace | RefusedTrace:
    """The JSON form of a result."""
    if isinstance(found, InputError):
        return RefusedTrace(error=error_detail(found))
    return ScoredTrace(
        scores=found.scores.tolist(), aggregate=aggregate(found.scores, how), tokens=found.tokens
    )


class RequestError(InputError):
    """A request that is refused whole.

    Attributes:
      status, kind: of the answer.
      details: further members of the error, such as `limit`.
    """

    def __init__(self, status: int, kind: str, message: str, **details: int) -> None:
        super().__init__(message)
        self.status, self.kind, self.details = status, kind, details


def too_many(what: str, limit: int) -> RequestError:
    """413, which tells a client to send the same in several requests."""
    return RequestError(
        413,
        "too_large",
        f"the request holds {what}, the limit is {limit}; send fewer traces at once",
    )


def parse_json(body: bytes) -> Any:
    """What a body says; raises InputError where it says it in more ways than one, or in none.

    Stricter than `json.loads`: UTF-8 only, no NaN or Infinity, no repeated name in an object. A
    body of more than MAX_VALUES is not parsed, an object of more than MAX_NAMES not kept.
    """
    if (values := count_values(body)) > MAX_VALUES:
        raise too_many(f"about {values} values", MAX_VALUES)
    try:
        return json.loads(
            body.decode("utf-8"), parse_constant=_no_constant, object_pairs_hook=_unique
        )
    except UnicodeDecodeError as error:
        raise InputError(f"the body is not UTF-8 text: byte {error.start}") from error
    except RecursionError:
        raise InputError("the body is nested too deeply") from None
    except json.JSONDecodeError as error:
        raise InputError(f"the body is not valid JSON: {error}") from error
    except InputError:
        raise
    except ValueError as error:  # a number of thousands of digits
        raise InputError(f"the body is not valid JSON: {error}") from error


def count_values(body: bytes) -> int:
    """At least as many as a body of JSON holds; it is not parsed.

    Each value but the first, with its name if it has one, follows a comma, a bracket or a brace.
    Those within texts are left out only where that can matter.
    """
    values = count_separators(body)
    if values > MAX_VALUES:
        values = count_separators(_STRING.sub(b"", body))
    return values


def count_separators(body: bytes) -> int:
    """Commas, brackets and braces, those in texts too."""
    return 1 + body.count(b",") + body.count(b"[") + body.count(b"{")


# One that is not closed goes to the end, or else each quote in it would be tried.
_STRING = re.compile(rb'"(?:[^"\\]|\\.)*+"?', re.DOTALL)


def _no_constant(name: str) -> NoReturn:
    raise InputError(f"the body is not valid JSON: {name} is no number")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(pairs) > MAX_NAMES:
        text = f"an object of the body has {len(pairs)} names, the limit is {MAX_NAMES}"
        raise RequestError(422, "invalid_request", text)
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise InputError(f"the body names {name[:100]!r} twice in one object")
        found[name] = value
    return found
