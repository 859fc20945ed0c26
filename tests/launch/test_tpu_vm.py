"""launch/tpu_vm/run.sh with a stand-in for gcloud, whose two hosts are two home directories."""

from __future__ import annotations

import os
from pathlib import Path

from tests.launch.running import COUNTING, ROOT, Process, environment, free_port, started

SCRIPT = ROOT / "launch" / "tpu_vm" / "run.sh"

GCLOUD = """#!/usr/bin/env bash
[[ "$1 $2 $3" == "compute tpus tpu-vm" ]] && shift 3 || exit 64
verb=$1 && shift
while (($#)); do
  case $1 in
    --zone | --project | --worker) [[ $2 =~ ^(us-west4-a|mine|all)$ ]] || exit 64; shift ;;
    --command) command=$2; shift ;;
    *) names+=("$1") ;;
  esac
  shift
done
for worker in 0 1; do
  export HOME=$HOSTS/$worker JAX_PROCESS_ID=$worker
  if [[ $verb == scp ]]; then
    [[ ${names[1]} == slice:* ]] && cp "${names[0]}" "$HOME/${names[1]#slice:}"
  else
    [[ ${names[0]} == slice ]] && (cd "$HOME" && exec bash -c "$command") &
  fi
  jobs+=($!)
done
worst=0
for job in "${jobs[@]}"; do wait "$job"; code=$?; ((code > worst)) && worst=$code; done
exit $worst
"""


def prepared(folder: Path) -> dict[str, str]:
    """Two hosts with the program installed, and the environment of the script."""
    for worker in ("0", "1"):
        programs = folder / "hosts" / worker / "codeprm-venv" / "bin"
        programs.mkdir(parents=True)
        (folder / "hosts" / worker / "codeprm").mkdir()
        (programs / "codeprm").write_text(f'#!/bin/sh\nexec {" ".join(COUNTING[:2])} "$@"\n')
        (programs / "codeprm").chmod(0o755)
    (folder / "gcloud").write_text(GCLOUD)
    (folder / "gcloud").chmod(0o755)
    return environment(
        PATH=f"{folder}:{os.environ['PATH']}",
        TPU="slice",
        ZONE="us-west4-a",
        PROJECT="mine",
        HOSTS=str(folder / "hosts"),
        JAX_COORDINATOR_ADDRESS=f"127.0.0.1:{free_port()}",
        JAX_NUM_PROCESSES="2",
    )


def test_a_run_is_started_followed_stopped_and_resumed(tmp_path: Path) -> None:
    variables = prepared(tmp_path)
    run = str(tmp_path / "a run, 'quoted'")  # what the host's shell must not take apart

    def script(name: str, *arguments: str) -> Process:
        return Process(["bash", str(SCRIPT), *arguments], tmp_path / name, variables)

    with started(script("first", "train", run, "3000")) as [first]:
        first.wait_for("stepping", count=2)
        with started(script("second", "train", run, "5")) as [second]:
            assert second.wait() == 1 and "stop it first" in second.output
        with started(script("stop", "stop")) as [stop]:
            assert stop.wait() == 0
        assert first.wait() == 0
        saved = int(first.wait_for(r"step (\d+): total").group(1))
    with started(script("again", "train", run, str(saved + 2))) as [again]:
        assert again.wait() == 0 and f"from step {saved} on 2 devices" in again.output


def test_wrong_usage_shows_how(tmp_path: Path) -> None:
    for arguments in ([], ["train"], ["fly"]):
        with started(
            Process(
                ["bash", str(SCRIPT), *arguments],
                tmp_path / "log",
                prepared(tmp_path / "-".join(["x", *arguments])),
            )
        ) as [process]:
            assert process.wait() == 2 and "launch/tpu_vm/run.sh train" in process.output
