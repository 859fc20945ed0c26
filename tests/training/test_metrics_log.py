from __future__ import annotations

import sys
from pathlib import Path

import pytest

from codeprm_jax.files import read_jsonl
from codeprm_jax.training.metrics_log import MetricsLog


def test_figures_go_to_weights_and_biases_where_it_is_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Offline without a login, and under one id, so that a resumed run goes on in its curves."""
    (tmp_path / "wandb.py").write_text(
        "class api:\n    api_key = None\n"
        "calls = []\n"
        "class Run:\n"
        "    def log(self, values, step): calls.append((step, values))\n"
        "    def finish(self): calls.append('finished')\n"
        "def init(**settings):\n    calls.append(settings)\n    return Run()\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delenv("WANDB_MODE", raising=False)
    run = tmp_path / "run"
    run.mkdir()
    for start in (0, 1):
        log = MetricsLog(run, start, {"seed": 1}, writes=True)
        log.write(start + 1, "train", {"loss": 0.5})
        log.close()
    calls = sys.modules.pop("wandb").calls
    assert calls[0]["mode"] == "offline" and calls[0]["config"] == {"seed": 1}
    assert calls[0]["id"] == calls[3]["id"] and calls[0]["resume"] == "allow"
    assert calls[1:3] == [(1, {"train/loss": 0.5}), "finished"]
    assert calls[4] == (2, {"train/loss": 0.5})
    assert [r["step"] for r in read_jsonl(run / "metrics.jsonl")] == [1, 2]
