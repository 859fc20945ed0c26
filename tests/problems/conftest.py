from __future__ import annotations

from pathlib import Path

import pytest

SHARED = Path(__file__).parents[3] / "shared" / "data"


def _shared(name: str) -> Path:
    path = SHARED / name
    if not path.exists():
        pytest.skip(f"{path} is absent: this checkout has no public data beside it")
    return path


@pytest.fixture(scope="session")
def humaneval_path() -> Path:
    return _shared("humaneval/HumanEval.jsonl.gz")


@pytest.fixture(scope="session")
def mbpp_path() -> Path:
    return _shared("mbpp/mbpp_train_validation.jsonl.gz")
