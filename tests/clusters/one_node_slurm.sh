#!/usr/bin/env bash
# A real Slurm cluster of one node on this machine, for tests. Debian: apt-get install slurm-wlm munge; run as root.
#
#     tests/clusters/one_node_slurm.sh start DIR    then: export SLURM_CONF=DIR/slurm.conf
#     tests/clusters/one_node_slurm.sh stop DIR
#
# Everything it writes lies in DIR (a short path: sockets); it uses a munge daemon and ports of its own.
set -euo pipefail
action=${1:?start or stop}
dir=$(realpath -m "${2:?folder of the cluster}")

start() {
  for tool in munged slurmctld slurmd; do
    command -v "$tool" > /dev/null || { echo "$tool is missing: apt-get install slurm-wlm munge" >&2; exit 2; }
  done
  mkdir -p "$dir"/{munge,state,spool,log}
  chmod 711 "$dir"
  chmod 755 "$dir/munge"
  (umask 077; head -c 1024 /dev/urandom > "$dir/munge/key")
  local node cpus memory
  node=$(hostname -s)
  cpus=${IMBALANCE_BENCH_TEST_CPUS:-$(nproc)}
  memory=$(awk '/MemTotal/ {print int($2 / 1024 * 0.9)}' /proc/meminfo)
  # a requeued job waits for twice cred_expire (two minutes by default) before it may start again
  cat > "$dir/slurm.conf" << CONF
ClusterName=one-node
SlurmctldHost=$node(127.0.0.1)
SlurmctldPort=${IMBALANCE_BENCH_TEST_PORT:-26817}
SlurmdPort=$((${IMBALANCE_BENCH_TEST_PORT:-26817} + 1))
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket=$dir/munge/socket,cred_expire=5
CryptoType=crypto/munge
StateSaveLocation=$dir/state
SlurmdSpoolDir=$dir/spool
SlurmctldPidFile=$dir/slurmctld.pid
SlurmdPidFile=$dir/slurmd.pid
SlurmctldLogFile=$dir/log/slurmctld.log
SlurmdLogFile=$dir/log/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=2,bf_interval=2
MpiDefault=none
ReturnToService=2
SlurmctldTimeout=30
SlurmdTimeout=30
KillWait=20
JobRequeue=1
SlurmdParameters=config_overrides
NodeName=$node NodeAddr=127.0.0.1 CPUs=$cpus RealMemory=$memory State=UNKNOWN
PartitionName=test Nodes=$node Default=YES MaxTime=INFINITE State=UP
CONF
  export SLURM_CONF="$dir/slurm.conf"
  munged --force --key-file="$dir/munge/key" --socket="$dir/munge/socket" --pid-file="$dir/munge/pid" \
    --log-file="$dir/munge/log" --seed-file="$dir/munge/seed"
  slurmctld -c
  slurmd
  for _ in $(seq 100); do
    [ "$(sinfo --noheader --format=%T 2> /dev/null)" = idle ] && { echo "export SLURM_CONF=$SLURM_CONF"; return; }
    sleep 0.2
  done
  echo "the node does not become idle; see $dir/log" >&2
  tail -n 5 "$dir"/log/*.log >&2
  stop
  exit 1
}

stop() {
  export SLURM_CONF="$dir/slurm.conf"
  scancel --user="$(id -un)" 2> /dev/null || true
  for file in "$dir/slurmd.pid" "$dir/slurmctld.pid" "$dir/munge/pid"; do
    if [ -s "$file" ]; then kill "$(cat "$file")" 2> /dev/null || true; fi
  done
}

case "$action" in
  start) start ;;
  stop) stop ;;
  *) echo "start or stop. Got: $action" >&2; exit 2 ;;
esac
