#!/usr/bin/env bash
# Training on the hosts of a Cloud TPU VM slice: the same command on all of them.
#
#   export TPU=NAME ZONE=us-west4-a            and PROJECT, where gcloud has no default
#   launch/tpu_vm/run.sh install               this checkout and its dependencies, on every host
#   launch/tpu_vm/run.sh train configs/NAME.py --training.out /shared/runs/x
#   launch/tpu_vm/run.sh follow                the output of all hosts, until the run ends
#   launch/tpu_vm/run.sh stop                  all of them save and end; `train` then goes on
#
# `train` starts the run apart from the connection, then follows it: Ctrl-C ends the following only.
# shellcheck disable=SC2016 # what is in single quotes is read by the hosts
set -euo pipefail

usage() {
  sed -n '2,/^# shellcheck/s/^# \{0,1\}//p' "$0" | sed '$d' >&2
  exit 2
}

everywhere() { # SCRIPT: runs it in bash on every host
  gcloud compute tpus tpu-vm ssh "$TPU" --zone "$ZONE" ${PROJECT:+--project "$PROJECT"} \
    --worker all --command "$1"
}

install() {
  local root archive
  root=$(git -C "$(dirname "$0")" rev-parse --show-toplevel)
  archive=$(mktemp --suffix .tar.gz)
  # shellcheck disable=SC2064 # the name is known now
  trap "rm -f '$archive'" EXIT
  git -C "$root" archive --format tar.gz --output "$archive" HEAD
  gcloud compute tpus tpu-vm scp "$archive" "$TPU:codeprm.tar.gz" --zone "$ZONE" \
    ${PROJECT:+--project "$PROJECT"} --worker all
  everywhere 'set -e
    mkdir -p ~/codeprm && tar -xzf ~/codeprm.tar.gz -C ~/codeprm && cd ~/codeprm
    PYTHON=$(command -v python3.12 || command -v python3.11 || command -v python3)
    "$PYTHON" -m venv ~/codeprm-venv
    ~/codeprm-venv/bin/pip install --quiet -c constraints.txt ".[tpu]"
    ~/codeprm-venv/bin/codeprm --version'
}

train() {
  local arguments
  printf -v arguments ' %q' "$@"
  # Bash on the host reads the arguments once more, so they are quoted for it.
  everywhere "cd ~/codeprm || exit 1
    if [ -s run.pid ] && kill -0 \$(cat run.pid) 2>/dev/null; then
      echo 'a run is going on here: stop it first' >&2; exit 1
    fi
    rm -f run.exit run.pid
    setsid bash -c '~/codeprm-venv/bin/codeprm train \"\$@\" & echo \$! >run.pid
      wait \$!; echo \$? >run.exit' codeprm$arguments >run.log 2>&1 </dev/null &
    sleep 1"
  follow
}

follow() {
  everywhere 'cd ~/codeprm || exit 1
    while [ ! -s run.pid ]; do sleep 0.1; done
    tail --pid "$(cat run.pid)" -n +1 -f run.log
    for _ in $(seq 50); do [ -s run.exit ] && break; sleep 0.1; done
    exit "$(cat run.exit)"'
}

stop() {
  everywhere 'kill -TERM "$(cat ~/codeprm/run.pid)"'
}

[[ $# -ge 1 && $1 =~ ^(install|train|follow|stop)$ ]] || usage
: "${TPU:?set it to the name of the TPU VM}" "${ZONE:?set it to the zone of the TPU VM}"
[[ $1 != train || $# -ge 2 ]] || usage
"$@"
