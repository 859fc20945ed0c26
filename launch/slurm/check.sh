#!/usr/bin/env bash
# Runs train.sbatch on a real SLURM, of this one machine, and checks what it promises, in two minutes.
#
#   sudo PATH="$PATH" launch/slurm/check.sh          from an environment with codeprm-jax in it
#
# The processes are those of tests/launch/counting.py, which start, stop and fail as `codeprm train`
# does. What one_machine_cluster.sh needs, this needs.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
python=$(type -P python)
work=$(mktemp -d)
finish() {
  "$here/one_machine_cluster.sh" stop "$work/slurm"
  rm -rf "$work"
}
trap finish EXIT

wait_for() { # FILE TEXT SECONDS
  local end=$((SECONDS + $3))
  until grep -q -- "$2" "$1" 2>/dev/null; do
    if ((SECONDS > end)); then
      echo "FAILED: no '$2' in $3 s" >&2
      cat "$1" "$work"/slurm/log/*.log >&2
      exit 1
    fi
    sleep 0.2
  done
}
wait_for_state() { # JOB STATE SECONDS
  local end=$((SECONDS + $3))
  until scontrol show job "$1" | grep -q "JobState=$2 "; do
    if ((SECONDS > end)); then
      echo "FAILED: job $1 is not $2 after $3 s" >&2
      scontrol show job "$1" >&2
      exit 1
    fi
    sleep 0.2
  done
}
submit() { # NAME STEPS [options of sbatch]: a job of two processes, its log in $work/NAME.log
  sbatch --parsable --ntasks-per-node 2 --chdir "$work" --output "$work/$1.log" "${@:3}" \
    "$here/train.sbatch" "$work/$1" "$2"
}

mkdir "$work/bin"
printf '#!/bin/sh\nexec "%s" "%s/tests/launch/counting.py" "$@"\n' "$python" "$root" \
  >"$work/bin/codeprm"
chmod +x "$work/bin/codeprm"
export CODEPRM=$work/bin/codeprm JAX_PLATFORMS=cpu PYTHONPATH=$root
"$here/one_machine_cluster.sh" start "$work/slurm"
export SLURM_CONF=$work/slurm/slurm.conf

job=$(submit whole 20)
wait_for_state "$job" COMPLETED 60
grep -q "0: step 20: total 40" "$work/whole.log" && grep -q "1: step 20" "$work/whole.log"
echo "ok: two processes find each other by SLURM's variables, and the job ends when they are done"

job=$(submit lost 100000)
wait_for "$work/lost.log" "1: stepping" 60
kill -KILL "$(sed -n 's/^1: pid \([0-9]*\):.*/\1/p' "$work/lost.log")"
began=$(date +%s%N)
wait_for "$work/lost.log" "0: counting.py: process 1 on .* is gone" 60
echo "ok: a killed process is named after $((($(date +%s%N) - began) / 1000000)) ms"
wait_for_state "$job" FAILED 60
echo "ok: and the job has failed after $((($(date +%s%N) - began) / 1000000)) ms"

job=$(submit cancelled 100000)
wait_for "$work/cancelled.log" "1: stepping" 60
scancel "$job"
wait_for "$work/cancelled.log" "0: step .*: total" 30
wait_for_state "$job" CANCELLED 60
echo "ok: a job that is cancelled saves, and stays away"

# SLURM may send the signal up to a minute early.
job=$(submit resumed 2500 --time 1 --signal B:TERM@25)
wait_for "$work/resumed.log" "goes back to the queue" 90
wait_for_state "$job" PENDING 30
saved=$(sed -n 's/^0: step \([0-9]*\): total.*/\1/p' "$work/resumed.log")
scontrol update JobId="$job" TimeLimit=5
wait_for "$work/resumed.log" "0: step 2500: total 5000" 180
wait_for_state "$job" COMPLETED 60
grep -q "0: pid .*: from step $saved on 2 devices" "$work/resumed.log"
echo "ok: before its time is over a job saves (at step $saved), is queued again and goes on"
