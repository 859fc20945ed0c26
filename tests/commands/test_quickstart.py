"""The front door: the whole pipeline, interrupted and resumed, and the page at its end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from html.parser import HTMLParser
from pathlib import Path

import jax
import pytest

from codeprm_jax.commands import quickstart
from codeprm_jax.commands.train import load_preset
from codeprm_jax.evaluation.report import write_report
from codeprm_jax.files import InputError, write_json

ROOT = Path(__file__).resolve().parents[2]
SMALL = ["--rollouts", "4", "--epochs", "1", "--repeats", "1", "--workers", "2"]


def start(out: Path, *options: str) -> subprocess.Popen[str]:
    environment = os.environ | {"JAX_PLATFORMS": "cpu"}
    return subprocess.Popen(
        [
            sys.executable,
            "-m",
            "codeprm_jax.cli",
            "quickstart",
            "--out",
            str(out),
            *SMALL,
            *options,
        ],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.fixture(scope="module")
def interrupted_run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str], str]:
    """A quickstart that gets Ctrl-C in every long stage, and goes on until it is done."""
    out = tmp_path_factory.mktemp("quickstart") / "run"
    marks = {
        "label": out / "labelled.jsonl.results",
        "train": out / "train" / "checkpoints",
        "search": out / "search" / "results.jsonl",
    }
    said = []
    for mark in marks.values():
        if mark.exists():
            continue  # an earlier signal was lost, and the run went on beyond this stage
        process = start(out)
        deadline = time.monotonic() + 240
        while not mark.exists() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=120)
        assert process.returncode in (0, 1), errors
        assert "Traceback" not in errors, errors
        if process.returncode:
            said.append(errors)
    process = start(out)
    output, errors = process.communicate(timeout=280)
    assert process.returncode == 0, errors
    return out, said, output


def test_every_device_gets_a_row(tmp_path: Path) -> None:
    config = quickstart.training_config(tmp_path, tmp_path, 1, 0)
    assert config.training.batch_rows == 4  # what the figures of the README are made with
    assert quickstart.on_all_devices(config).training.batch_rows == jax.device_count() == 8


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_interrupted_in_every_stage_it_goes_on_to_the_report(
    interrupted_run: tuple[Path, list[str], str],
) -> None:
    out, said, output = interrupted_run
    assert said and all("run the same command again to go on" in text for text in said)
    assert f"report: {out / 'report.html'}" in output
    assert "GVR PRM" in output and "unseen traces of seen problems" in output
    leftovers = [p.name for p in out.iterdir() if p.name.startswith(".")]
    assert not leftovers
    results = [json.loads(s) for s in (out / "labelled.jsonl.results").read_text().splitlines()]
    keys = [r["key"] for r in results if "key" in r]
    assert len(keys) == len(set(keys)), "a program was run twice"


class Page(HTMLParser):
    """Collects tags and whatever is loaded from elsewhere."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.outside: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.outside += [v for k, v in attrs if k in ("src", "href") and v and v[0] != "#"]


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_the_report_is_one_page_with_everything(
    interrupted_run: tuple[Path, list[str], str],
) -> None:
    out, _, _ = interrupted_run
    text = (out / "report.html").read_text()
    page = Page()
    page.feed(text)
    assert not page.outside and "script" not in page.tags
    assert "svg" in page.tags
    for part in ("simulated", "pass@1", "95 %", "AUROC", "training mean", "copy full outcome"):
        assert part in text
    summary = json.loads((out / "search" / "summary.json").read_text())
    for group in summary["groups"].values():
        for values in group["arms"].values():
            assert f"{values['pass_at_1'][0]:.3f}" in text


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_other_settings_in_the_same_folder_are_refused(
    interrupted_run: tuple[Path, list[str], str],
) -> None:
    out, _, _ = interrupted_run
    process = start(out, "--seed", "9")
    _, errors = process.communicate(timeout=100)
    assert process.returncode == 2 and "name another --out" in errors


def test_the_preset_is_the_quickstarts(monkeypatch: pytest.MonkeyPatch) -> None:
    preset = load_preset(ROOT / "configs" / "quickstart.py")
    ours = quickstart.training_config(
        preset.data.data_dir, preset.training.out, quickstart.BANK.epochs, seed=0
    )
    assert ours == preset


def test_stages_count_the_time_of_interrupted_tries(tmp_path: Path) -> None:
    stages = quickstart.Stages(tmp_path, "bank", {"seed": 0})

    def interrupted() -> str:
        time.sleep(0.05)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stages.run("train", interrupted)
    again = quickstart.Stages(tmp_path, "bank", {"seed": 0})
    again.run("train", lambda: "done")
    assert again.finished["train"]["seconds"] >= 0.05
    again.run("train", interrupted)  # finished: not run again


def test_a_report_names_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no folder"):
        write_report(tmp_path / "nowhere")
    write_json(tmp_path / "quickstart.json", {})
    with pytest.raises(InputError, match=r"run\.json does not exist"):
        write_report(tmp_path)
