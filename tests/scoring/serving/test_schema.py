"""The server does what its own description says, whatever is sent to it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode

from codeprm_jax.scoring.engine import StepScorer
from codeprm_jax.scoring.serving.service import ServerConfig
from tests.scoring.serving.conftest import LiveServer

OPERATIONS = {
    ("POST", "/v1/score"),
    ("POST", "/pooling"),
    ("POST", "/get_reward"),
    ("GET", "/health"),
    ("GET", "/ready"),
    ("GET", "/v1/models"),
    ("GET", "/metrics"),
}


@pytest.fixture(scope="module")
def described(scorer: StepScorer) -> Iterator[Any]:
    """What is too long for its field is mostly so for that reason, not for the size of the body.

    Several such fields make a body that is too large all the same. 413 is then right, and the
    description names it, but schemathesis knows it as a refusal only when told.
    """
    config = ServerConfig(warm_up=False, max_body_bytes=2**26)
    with LiveServer(scorer, config) as running:
        schema = schemathesis.openapi.from_url(f"{running.url}/openapi.json")
        refusals = schema.config.checks.negative_data_rejection
        refusals.expected_statuses = [*refusals.expected_statuses, "413"]
        yield schema


def test_the_description_names_every_operation(described: Any) -> None:
    found = {(o.ok().method.upper(), o.ok().path) for o in described.get_all_operations()}
    assert found == OPERATIONS


@pytest.mark.slow
@pytest.mark.parametrize(("method", "path"), sorted(OPERATIONS))
def test_every_answer_is_as_described(described: Any, method: str, path: str) -> None:
    """Status, content type and form of every answer, and never a 5xx, by all of its checks."""
    operation = described[path][method]
    seen: Counter[int] = Counter()
    modes = list(GenerationMode) if method == "POST" else [GenerationMode.POSITIVE]
    for mode in modes:

        @given(case=operation.as_strategy(generation_mode=mode))
        @settings(
            max_examples=25 if method == "POST" else 3,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        )
        def conforms(case: schemathesis.Case) -> None:
            seen[case.call_and_validate().status_code] += 1

        conforms()
    if method == "POST":
        assert seen[200] and seen[422], seen
