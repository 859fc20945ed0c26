"""What README.md shows of scoring runs as it stands there."""

from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path

import pytest

from codeprm_jax.data.layout import Layout, LayoutConfig
from codeprm_jax.scoring.serving.wire import ScoreRequest, parse_json
from tests.scoring.models import save_random_model

README = Path(__file__).resolve().parents[2] / "README.md"


def found(pattern: str) -> str:
    section = README.read_text().partition("\n## Scoring\n")[2].partition("\n## ")[0]
    [text] = re.findall(pattern, section, re.DOTALL)
    return str(text)


def test_python(layout: Layout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a small model in the quickstart's place: other numbers in the same form."""
    code = found(r"```python\n(.*?)```")
    run = tmp_path / "runs" / "quickstart-bank" / "train"
    save_random_model(run, layout.tokenizer, layout=LayoutConfig(max_tokens=512))
    monkeypatch.chdir(tmp_path)
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        exec(code, {})
    shown = code.strip().rpartition("# ")[2]
    for printed in (shown, said.getvalue().strip()):
        assert re.fullmatch(r"\[\d\.\d* +\d\.\d* *\] \d+", printed), printed


def test_curl() -> None:
    body = found(r"-d \\\n +'(.*?)'")
    assert len(ScoreRequest.model_validate(parse_json(body.encode())).traces) == 1
