"""launch/slurm/train.sbatch with a stand-in for SLURM that starts the processes and signals them.

The real thing is run by launch/slurm/check.sh.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.launch.running import COUNTING, ROOT, Process, environment, started

SBATCH = ROOT / "launch" / "slurm" / "train.sbatch"

# Each is asked for by train.sbatch as SLURM 22.05 offers it. srun: two tasks, their numbers before
# their lines, and SIGTERM to itself ends them at once, as the real one does.
STANDINS = {
    "srun": """
        [[ $1 == --label && $2 == --wait=* ]] || exit 64
        shift 2
        for task in 0 1; do
          (
            trap - TERM
            export SLURM_PROCID=$task SLURM_LOCALID=$task SLURM_STEP_NODELIST=localhost
            export SLURM_NTASKS=2 SLURM_STEP_NUM_TASKS=2 SLURM_STEP_TASKS_PER_NODE=2
            exec "$@"
          ) > >(sed -u "s/^/$task: /") 2>&1 &
          tasks+=($!)
        done
        echo "${tasks[*]}" >"$FOLDER/tasks"
        trap 'kill -KILL "${tasks[@]}"; exit 143' TERM
        worst=0
        for task in "${tasks[@]}"; do wait "$task"; code=$?; ((code > worst)) && worst=$code; done
        exit $worst""",
    "scancel": """
        [[ $* == "--signal=TERM $SLURM_JOB_ID.0" ]] || exit 64
        kill -TERM $(cat "$FOLDER/tasks")""",
    "squeue": """echo "$STATE" """,
    "scontrol": """echo "$*" >>"$FOLDER/scontrol" """,
}


def submitted(folder: Path, *arguments: str, state: str = "RUNNING") -> Process:
    """The batch script as SLURM starts it, on the one node of job 7."""
    programs = folder / "bin"
    programs.mkdir(exist_ok=True)
    codeprm = f'exec {" ".join(COUNTING[:2])} "$@"'
    for name, script in (STANDINS | {"codeprm": codeprm}).items():
        (programs / name).write_text(f"#!/usr/bin/env bash\n{script}\n")
        (programs / name).chmod(0o755)
    job = {"SLURM_JOB_ID": "7", "STATE": state, "FOLDER": str(folder)}
    variables = environment(PATH=f"{programs}:{os.environ['PATH']}", **job)
    return Process(["bash", str(SBATCH), *arguments], folder / "log", variables)


def test_stopped_before_its_end_it_is_queued_again_and_goes_on_until_it_is_done(
    tmp_path: Path,
) -> None:
    with started(submitted(tmp_path, "run", "3000")) as [job]:
        job.wait_for("1: stepping")
        job.popen.send_signal(signal.SIGTERM)
        assert job.wait() == 0
        saved = job.wait_for(r"0: step (\d+): total").group(1)
        assert "goes back to the queue" in job.output
    assert (tmp_path / "scontrol").read_text() == "requeue 7\n"
    with started(submitted(tmp_path, "run", str(int(saved) + 2))) as [job]:
        assert job.wait() == 0 and f"from step {saved} on 2 devices" in job.output
        assert "process 1 of 2 (by slurm), coordinator localhost:61447" in job.output
    assert (tmp_path / "scontrol").read_text() == "requeue 7\n"


@pytest.mark.parametrize(
    ("state", "wrong", "code"), [("CANCELLED", [], 75), ("RUNNING", ["--wrong", "1:2:input"], 2)]
)
def test_cancelled_or_failed_it_stays_away(
    state: str, wrong: list[str], code: int, tmp_path: Path
) -> None:
    with started(submitted(tmp_path, "run", "3000", *wrong, state=state)) as [job]:
        if not wrong:
            job.wait_for("1: stepping")
            job.popen.send_signal(signal.SIGTERM)
        assert job.wait() == code
    assert not (tmp_path / "scontrol").exists()


def test_its_options_are_those_that_the_documents_promise() -> None:
    lines = [line[8:] for line in SBATCH.read_text().splitlines() if line.startswith("#SBATCH ")]
    options: Mapping[str, str] = dict(line.partition("=")[::2] for line in lines)
    assert options["--signal"] == "B:TERM@180" and options["--ntasks-per-node"] == "1"
    assert {"--requeue", "--open-mode"} <= options.keys()


@pytest.mark.parametrize(
    "script", [*sorted((ROOT / "launch").rglob("*.sh")), SBATCH], ids=lambda p: p.name
)
def test_scripts_are_valid_bash(script: Path) -> None:
    subprocess.run(["bash", "-n", script], check=True, timeout=10)
    assert script.read_text().startswith("#!/usr/bin/env bash\n")
