"""launch/local.py: processes that find each other, share devices and signals, and end together."""

from __future__ import annotations

import importlib.util
import signal
import sys
from pathlib import Path

import pytest

from tests.launch.running import COUNTING, ROOT, Process, environment, started

LOCAL = ROOT / "launch" / "local.py"


def launched(folder: Path, *arguments: str, **variables: str) -> Process:
    return Process(
        [sys.executable, str(LOCAL), *arguments], folder / "log", environment(**variables)
    )


def test_two_processes_with_two_devices_each_stop_and_go_on(tmp_path: Path) -> None:
    split = ["-n", "2", "--devices-per-process", "2", "--"]
    with started(launched(tmp_path, *split, *COUNTING, "run", "3000")) as [process]:
        process.wait_for(r"\[0\] stepping")
        process.wait_for(r"\[1\] stepping")
        process.popen.send_signal(signal.SIGTERM)
        assert process.wait() == 0 and process.ended_after < 10
        saved = int(process.wait_for(r"\[0\] step (\d+): total").group(1))
        assert f"[1] step {saved}: total {4 * saved}" in process.output
    # Another number of processes goes on from what these have saved.
    with started(
        launched(
            tmp_path,
            "-n",
            "1",
            "--devices-per-process",
            "4",
            "--",
            *COUNTING,
            "run",
            str(saved + 3),
        )
    ) as [process]:
        assert process.wait() == 0
        assert f"from step {saved} on 4 devices" in process.output
        assert f"step {saved + 3}: total {4 * (saved + 3)}" in process.output


def test_the_first_failure_is_the_exit_code_and_ends_the_others(tmp_path: Path) -> None:
    wrong = ["--wrong", "1:2:exit"]
    with started(launched(tmp_path, "-n", "2", "--", *COUNTING, "run", "3000", *wrong)) as [
        process
    ]:
        assert process.wait() == 9
        assert "[0] counting.py: process 1 on" in process.output


def test_others_that_do_not_end_are_ended(tmp_path: Path) -> None:
    stubborn = "trap '' TERM; [ $JAX_PROCESS_ID = 1 ] && kill -KILL $$; while :; do sleep 0.1; done"
    command = ["-n", "2", "--patience", "0.3", "--grace", "0.3", "--", "bash", "-c", stubborn]
    with started(launched(tmp_path, *command)) as [process]:
        assert process.wait() == 128 + signal.SIGKILL and process.ended_after < 10


def test_gpus_are_shared_out(tmp_path: Path) -> None:
    show = ["bash", "-c", "echo $CUDA_VISIBLE_DEVICES of $JAX_NUM_PROCESSES"]
    variables = {"JAX_PLATFORMS": "cuda", "CUDA_VISIBLE_DEVICES": "0,1,2,GPU-3,4"}
    with started(launched(tmp_path, "-n", "2", "--", *show, **variables)) as [process]:
        assert process.wait() == 0
        assert sorted(process.output.splitlines()) == ["[0] 0,1 of 2", "[1] 2,GPU-3 of 2"]
    six = ["-n", "2", "--devices-per-process", "3", "--", *show]
    with started(launched(tmp_path, *six, **variables)) as [process]:
        assert process.wait() == 2 and "cannot share 5 GPUs" in process.output


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["-n", "0", "--", "true"], "at least one"),
        (["-n", "1", "--", "no-such-program"], "no program"),
    ],
)
def test_wrong_usage(
    arguments: list[str],
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    spec = importlib.util.spec_from_file_location("launch_local", LOCAL)
    assert spec is not None and spec.loader is not None
    local = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(local)
    monkeypatch.setattr(sys, "argv", ["local.py", *arguments])
    with pytest.raises(SystemExit, match="2"):
        local.main()
    assert said in capsys.readouterr().err
