from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import shared_file


@pytest.fixture(scope="session")
def humaneval_path() -> Path:
    return shared_file("humaneval/HumanEval.jsonl.gz")


@pytest.fixture(scope="session")
def mbpp_path() -> Path:
    return shared_file("mbpp/mbpp_train_validation.jsonl.gz")
