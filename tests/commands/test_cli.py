"""Wrong usage and unusable input: a clear message, exit code 2, no traceback."""

from __future__ import annotations

import gc
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from codeprm_jax import cli
from codeprm_jax.commands import report, search
from codeprm_jax.files import InputError
from codeprm_jax.search.arms import Arm


@dataclass(frozen=True)
class Result:
    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def codeprm(capfd: pytest.CaptureFixture[str]) -> Callable[..., Result]:
    """Runs a command in this process, as `main` does, and catches what it writes."""

    def run(*arguments: str) -> Result:
        capfd.readouterr()
        try:
            code = cli.run(arguments)
        except SystemExit as stop:  # tyro's way out after --help and wrong options
            code = stop.code if isinstance(stop.code, int) else 1
        return Result(code, *capfd.readouterr())

    return run


def test_help_is_fast_and_names_every_command() -> None:
    """In a process of its own: the time of a person who asks what there is."""
    seconds = []
    for _ in range(3):
        began = time.perf_counter()
        result = subprocess.run(
            [sys.executable, "-m", "codeprm_jax.cli", "--help"],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        seconds.append(time.perf_counter() - began)
    assert result.returncode == 0 and all(name in result.stdout for name in cli.COMMANDS)
    assert min(seconds) < 0.5


@pytest.mark.parametrize("name", sorted(cli.COMMANDS))
def test_every_command_has_help(name: str, codeprm: Callable[..., Result]) -> None:
    result = codeprm(name, "--help")
    assert result.returncode == 0, result.stderr
    assert "usage: codeprm " + name in result.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "usage"),
        (["fly"], "unknown command 'fly'"),
        (["collect", "--out", "x", "--unknown-option"], "unknown-option"),
        (["collect"], "--out"),
        (["search", "--out", "x", "--arms", "sampling", "--view", "thoughts"], "--view says what"),
        (["collect", "--out", "x", "--problems", "nowhere"], "valid forms"),
        (["collect", "--out", "x", "--problems", "humaneval:/nowhere.jsonl"], "does not exist"),
        (["collect", "--out", "x", "--mutation.right-probability", "2"], "[0, 1]"),
        (["problems", "show"], "show needs"),
        (["problems", "show", "bank/none"], "no problem"),
        (["collect", "--out", "x", "--policy", "openai"], "(openai.model)"),
        (["search", "--out", "x", "--policy", "openai"], "(openai.model)"),
        (["search", "--out", "x", "--policy", "openai", "--openai.top-p", "3"], "top_p must be"),
        (
            ["search", "--out", "x", "--policy", "openai", "--openai.base-url", "localhost"],
            "must begin with http",
        ),
        (["search", "--out", "x", "--policy", "openai", "--openai.model", "m"], "ask a PRM"),
        (["build", "/nowhere.jsonl"], "does not exist"),
        (["train", "/nowhere.py"], "does not exist"),
        (["train"], "name a preset"),
        (["train", "--data.row-tokens", "3"], "the preset comes first"),
        (["quickstart", "--out", "x", "--rollouts", "-5"], "at least 1"),
        (["train", "configs/quickstart.py", "--data.nonsense", "3"], "nonsense"),
        (["evaluate", "--model", "/nowhere", "--data", "/nowhere"], "does not exist"),
        (["report", "/nowhere"], "no folder"),
    ],
)
def test_wrong_usage_exits_with_2_and_says_what_to_do(
    arguments: list[str], message: str, tmp_path: Path, codeprm: Callable[..., Result]
) -> None:
    arguments = [str(tmp_path / "x") if a == "x" else a for a in arguments]
    result = codeprm(*arguments)
    assert result.returncode == 2, result.stderr
    assert message in result.stdout + result.stderr
    assert "Traceback" not in result.stderr
    assert not list(tmp_path.iterdir())


def test_a_preset_whose_arms_share_a_name_is_refused() -> None:
    """The first of them would be left out, without a word."""
    arms = (Arm("mine"), Arm("mine", refine="random"))
    with pytest.raises(InputError, match="two arms are named 'mine'"):
        search.choose_arms(("all",), arms)


@pytest.mark.parametrize("arguments", [["collect"], ["search", "--arms", "best-of-N by tests"]])
def test_a_model_server_that_is_not_there_is_a_message(
    arguments: list[str], tmp_path: Path, codeprm: Callable[..., Result]
) -> None:
    nobody = ["--openai.base-url", "http://127.0.0.1:9/v1", "--openai.patience", "0"]
    result = codeprm(
        *(*arguments, "--out", str(tmp_path / "out"), "--allow-weak-isolation"),
        *("--policy", "openai", "--openai.model", "m", *nobody),
    )
    assert result.returncode == 1 and "Traceback" not in result.stderr
    said = ("127.0.0.1:9", "is the server running", "run it again to go on")
    assert all(part in result.stderr for part in said), result.stderr


def test_what_the_policy_failed_in_is_said_beside_the_results() -> None:
    def arm(failures: dict[str, int], **ended: int) -> dict[str, object]:
        return {"failures": failures, "searches": 3, "ended": ended}

    fine = {"arms": {"one": arm({}, solved=2, budget=1)}}
    assert search.troubles(fine) == []
    bad = {"arms": {**fine["arms"], "two": arm({"no code": 9, "empty": 1}, **{"gave up": 2})}}
    failures, gave_up = search.troubles(bad)
    assert "no code 9, empty 1" in failures and "2 of 6 searches gave up" in gave_up


def test_truncated_json_line_is_named(tmp_path: Path, codeprm: Callable[..., Result]) -> None:
    path = tmp_path / "labelled.jsonl"
    path.write_text('{"schema": 1, "id"')
    result = codeprm("build", str(path), "--data-dir", str(tmp_path / "data"))
    assert result.returncode == 2 and "labelled.jsonl, line 1" in result.stderr
    assert not (tmp_path / "data").exists()


def test_a_full_disk_is_a_message_and_costs_nothing_that_was_finished(
    tmp_path: Path, codeprm: Callable[..., Result]
) -> None:
    """A limit on the file's size stands for the disk's end: writes fail half-way as they would."""
    out, whole = tmp_path / "traces.jsonl", tmp_path / "whole.jsonl"
    size = 100_000
    code = (
        "import resource, sys; from codeprm_jax import cli\n"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({size}, {size}))\n"
        f"sys.exit(cli.run(['collect', '--out', {str(out)!r}, '--uniform.rollouts', '8']))"
    )
    full = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False
    )
    assert full.returncode == 1 and "File too large" in full.stderr
    assert "run the command again" in full.stderr and "Traceback" not in full.stderr
    kept = out.read_text()
    assert 0 < len(kept) <= size and kept.endswith("\n")
    assert codeprm("collect", "--out", str(out), "--uniform.rollouts", "8").returncode == 0
    assert codeprm("collect", "--out", str(whole), "--uniform.rollouts", "8").returncode == 0
    assert out.read_bytes() == whole.read_bytes() and whole.read_text().startswith(kept)


def test_list_and_show(codeprm: Callable[..., Result]) -> None:
    listed = codeprm("problems", "list")
    assert listed.returncode == 0 and "bank/best_trade" in listed.stdout
    shown = codeprm("problems", "show", "best_trade")
    assert "largest profit" in shown.stdout and "private tests, not shown" in shown.stdout


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_inside_a_callback_of_the_collector_is_not_lost(
    number: int, monkeypatch: pytest.MonkeyPatch, codeprm: Callable[..., Result]
) -> None:
    def interrupted(phase: str, info: object) -> None:
        gc.callbacks.remove(interrupted)
        signal.raise_signal(number)

    def command() -> int:
        gc.callbacks.append(interrupted)
        gc.collect()
        time.sleep(5)  # the second try arrives here
        return 0

    monkeypatch.setattr(report, "main", command)
    result = codeprm("report")
    assert result.returncode == 1 and "interrupted" in result.stderr
    assert "Traceback" not in result.stderr
