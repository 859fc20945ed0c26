#!/usr/bin/env bash
# A SLURM cluster of this one machine, for trying the scripts here; its files are all in DIR.
#
#   one_machine_cluster.sh start DIR     then: export SLURM_CONF=DIR/slurm.conf
#   one_machine_cluster.sh stop DIR
#
# Needs root, and munged, slurmctld and slurmd: apt-get install slurm-wlm munge. It uses no system
# service and no cgroup; what it starts, it ends by process id.
set -euo pipefail

usage() {
  echo "usage: $0 start|stop DIR" >&2
  exit 2
}

stop() {
  local name pid
  for name in slurmd slurmctld munged; do
    [[ -s $dir/$name.pid ]] || continue
    pid=$(<"$dir/$name.pid")
    kill -TERM "$pid" 2>/dev/null || continue
    for _ in $(seq 100); do
      kill -0 "$pid" 2>/dev/null || break
      sleep 0.1
    done
    kill -KILL "$pid" 2>/dev/null || true
  done
}

free_port() {
  python3 -c 'import socket; s = socket.create_server(("", 0)); print(s.getsockname()[1])'
}

start() {
  local program host
  for program in munged slurmctld slurmd sinfo; do
    [[ -n $(PATH=$PATH:/usr/sbin type -P "$program") ]] || {
      echo "$program is missing: apt-get install slurm-wlm munge" >&2
      exit 1
    }
  done
  [[ $(id -u) == 0 ]] || {
    echo "only root can start slurmd" >&2
    exit 1
  }
  host=$(hostname -s)
  mkdir -p "$dir"/{munge,state,spool,log}
  chmod 700 "$dir/munge"
  (umask 077 && head -c 1024 /dev/urandom >"$dir/munge/key")
  cat >"$dir/slurm.conf" <<CONF
ClusterName=one
SlurmctldHost=$host(127.0.0.1)
SlurmUser=root
SlurmdUser=root
SlurmctldPort=$(free_port)
SlurmdPort=$(free_port)
AuthType=auth/munge
# A requeued job waits until its first credential has expired: two minutes, were it not for this.
AuthInfo=socket=$dir/munge/socket,cred_expire=10
CredType=cred/munge
StateSaveLocation=$dir/state
SlurmdSpoolDir=$dir/spool
SlurmctldPidFile=$dir/slurmctld.pid
SlurmdPidFile=$dir/slurmd.pid
SlurmctldLogFile=$dir/log/slurmctld.log
SlurmdLogFile=$dir/log/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=1,sched_interval=5
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
JobRequeue=1
KillWait=20
ReturnToService=2
SlurmctldTimeout=30
SlurmdTimeout=30
NodeName=$host NodeAddr=127.0.0.1 CPUs=$(nproc) State=UNKNOWN
PartitionName=all Nodes=$host Default=YES MaxTime=INFINITE State=UP OverSubscribe=NO
CONF
  munged --force --socket "$dir/munge/socket" --key-file "$dir/munge/key" \
    --pid-file "$dir/munged.pid" --log-file "$dir/log/munged.log" \
    --seed-file "$dir/munge/seed"
  export SLURM_CONF=$dir/slurm.conf
  slurmctld -f "$SLURM_CONF" -c
  slurmd -f "$SLURM_CONF" -c
  for _ in $(seq 300); do
    [[ $(sinfo --noheader --format %T 2>/dev/null) == idle ]] && return
    sleep 0.1
  done
  echo "the node is not idle after 30 s; see $dir/log" >&2
  exit 1
}

[[ $# == 2 && ($1 == start || $1 == stop) ]] || usage
PATH=$PATH:/usr/sbin
mkdir -p "$2"
dir=$(cd "$2" && pwd)
if [[ $1 == start ]]; then
  trap '[[ $? == 0 ]] || stop' EXIT
fi
"$1"
