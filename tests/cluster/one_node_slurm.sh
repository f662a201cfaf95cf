#!/usr/bin/env bash
# one_node_slurm.sh up|down|status DIR [--purge]  -- a private one-node SLURM (munge+mariadb+slurmdbd+slurmctld+slurmd)
# Needs root and: apt-get install -y --no-install-recommends slurm-wlm slurmdbd munge mariadb-server   (Debian 12)
# Everything lives in DIR (configs, sockets, data, logs, pid files). Use it with:  . DIR/env.sh
# If /etc/slurm holds no foreign slurm.conf it is symlinked to DIR/etc too, so no environment is needed.
# Knobs (environment): GPUS=2 CPUS=nproc MEM_MB=90% of RAM (all may exceed the hardware: config_overrides),
#   BASE_PORT=16800 (below the ephemeral range), NO_MKNOD=0 (1: /dev/null etc. as fake GPUs), ENFORCE_MEM=1 (jobacct polling kills jobs above --mem), CGROUP=0 (1: cgroup limits, real OOM kills)
set -u
CMD=${1:-}; D=${2:-}; PURGE=${3:-}
case "$CMD" in up|down|status) ;; *) sed -n 2,7p "$0"; exit 2;; esac
[ -n "$D" ] || { echo "no directory given" >&2; exit 2; }
mkdir -p "$D" || exit 1; D=$(cd "$D" && pwd -P)
[ "$(id -u)" = 0 ] || { echo "must be root" >&2; exit 1; }
export PATH=$PATH:/usr/sbin:/sbin
T0=$(date +%s.%N); H=$(hostname -s); B=${BASE_PORT:-16800}
CTLP=$((B+17)) SDP=$((B+18)) DBDP=$((B+19)) SQLP=$((B+6))
GPUS=${GPUS:-2}; CPUS=${CPUS:-$(nproc)}; ENFORCE_MEM=${ENFORCE_MEM:-1}; CGROUP=${CGROUP:-0}
MEM_MB=${MEM_MB:-$(awk '/MemTotal/{print int($2/1024*0.9)}' /proc/meminfo)}
export SLURM_CONF=$D/etc/slurm.conf
SQL="mariadb --no-defaults -uroot -S $D/run/my.sock"

el()   { awk -v a="$T0" -v b="$(date +%s.%N)" 'BEGIN{printf "%.1f", b-a}'; }
say()  { echo "[$(el)s] $*"; }
die()  { say "FAILED: $*" >&2; tail -n 5 "$D"/log/*.log >&2; exit 1; }
wait_for() { # wait_for SECONDS WHAT CMD...   (polls every 0.1 s)
  local end=$(( $(date +%s) + $1 )) what=$2; shift 2
  until "$@" >"$D/log/wait.out" 2>&1; do
    [ "$(date +%s)" -lt $end ] || { echo "no '$what' after the wait; last answer of: $*" >&2; cat "$D/log/wait.out" >&2; return 1; }
    sleep 0.1; done; say "$what ready"; }
pid_of() { # pid_of NAME -> pid, only if it really is that daemon AND it belongs to DIR
  local p; p=$(cat "$D/run/$1.pid" 2>/dev/null) && [ -n "$p" ] || return 1
  [ "$(cat /proc/$p/comm 2>/dev/null)" = "$1" ] || return 1
  { tr '\0' '\n' < /proc/$p/environ | grep -qx "ONE_NODE_SLURM=$D"; } 2>/dev/null || return 1
  echo $p; }
launch() { # daemons inherit the marker by which pid_of() knows them again
  env ONE_NODE_SLURM="$D" SLURM_CONF="$SLURM_CONF" setsid "$@" </dev/null >>"$D/log/launch.log" 2>&1 9>&- & }
stop() { # TERM, wait, KILL
  local p i; p=$(pid_of $1) || { say "$1 not running"; rm -f "$D/run/$1.pid"; return 0; }
  kill $p; for i in $(seq 200); do [ -e /proc/$p ] || break; sleep 0.1; done
  [ -e /proc/$p ] && { say "$1 $p ignores TERM; KILL"; kill -9 $p; sleep 0.5; }
  rm -f "$D/run/$1.pid"; say "$1 ($p) stopped"; }

status() { local d rc=0; for d in munged mariadbd slurmdbd slurmctld slurmd; do
    if pid_of $d >/dev/null; then echo "$d $(pid_of $d)"; else echo "$d -"; rc=1; fi; done; return $rc; }

node_state() { timeout 5 sinfo -h -N -n "$H" -o %t | head -1; }
node_ok() { case "$(node_state)" in idle|mix|alloc) return 0;; esac
            timeout 5 scontrol update nodename="$H" state=resume; return 1; }
acct_row() { [ -n "$(timeout 5 sacctmgr -nP show assoc cluster=test account=acc user=root format=user)" ]; }
acct_seen() { timeout 10 sacct -n -j "$1" -X -o state | grep -q COMPLETED; }

up() {
  exec 9>"$D/.lock"; flock -w 180 9 || die "another up/down is running on $D"
  local b; for b in munged mariadbd mariadb-install-db slurmdbd slurmctld slurmd sacctmgr; do
    command -v $b >/dev/null || die "$b is not installed (apt-get install -y --no-install-recommends slurm-wlm slurmdbd munge mariadb-server)"; done
  if status >/dev/null && node_ok >/dev/null 2>&1; then say "already up (new knobs need: down, then up)"; return 0; fi
  mkdir -p "$D"/{etc,state,spool,log,run,munge,dev}; chmod 755 "$D" "$D"/{etc,log,dev}; chown root:root "$D/run"; chmod 1777 "$D/run"; touch "$D/log/launch.log"
  # SLURM (srun, slurmd) must be able to resolve the host's own name
  getent hosts "$H" >/dev/null || { echo "127.0.0.1 $H" >> /etc/hosts; say "added '127.0.0.1 $H' to /etc/hosts"; }
  # all our TCP ports must be free, unless our own daemon holds them
  local x; for x in slurmctld:$CTLP slurmd:$SDP slurmdbd:$DBDP mariadbd:$SQLP; do
    pid_of ${x%:*} >/dev/null || ! (exec 3<>/dev/tcp/127.0.0.1/${x#*:}) 2>/dev/null || die "port ${x#*:} is taken; set BASE_PORT"; done
  # --- fake GPUs: gres wants existing character devices (else the node goes INVAL)
  local g f; : > "$D/etc/gres.conf"
  if [ $GPUS -gt 0 ]; then
    local spare=(null zero full random urandom tty)   # stand-ins where mknod is forbidden (never opened: no device cgroup)
    for g in $(seq 0 $((GPUS-1))); do
      if [ -c "$D/dev/gpu$g" ] || { [ "${NO_MKNOD:-0}" = 0 ] && mknod "$D/dev/gpu$g" c 240 $g 2>/dev/null; }; then f=$D/dev/gpu$g
      else f=/dev/${spare[$g]:-}; [ -c "$f" ] || die "mknod is forbidden and no stand-in device is left: at most ${#spare[@]} GPUS"; fi
      echo "NodeName=$H Name=gpu File=$f"; done > "$D/etc/gres.conf"; fi
  # --- configs
  local proc=linuxproc task=none acct=linux selp= gres=
  if [ $CGROUP = 1 ]; then proc=cgroup task=cgroup acct=cgroup; cat > "$D/etc/cgroup.conf" <<C
CgroupPlugin=$([ -d /sys/fs/cgroup/memory ] && echo cgroup/v1 || echo cgroup/v2)
CgroupAutomount=yes
ConstrainCores=yes
ConstrainRAMSpace=yes
C
  else rm -f "$D/etc/cgroup.conf"; fi
  [ $GPUS -gt 0 ] && gres="Gres=gpu:$GPUS"
  cat > "$D/etc/slurm.conf" <<C
ClusterName=test
SlurmctldHost=$H(127.0.0.1)
SlurmctldPort=$CTLP
SlurmdPort=$SDP
AuthType=auth/munge
AuthInfo=socket=$D/run/munge.socket,cred_expire=5
CredType=cred/munge
SlurmUser=root
SlurmdUser=root
StateSaveLocation=$D/state
SlurmdSpoolDir=$D/spool
SlurmctldPidFile=$D/run/slurmctld.pid
SlurmdPidFile=$D/run/slurmd.pid
SlurmctldLogFile=$D/log/slurmctld.log
SlurmdLogFile=$D/log/slurmd.log
SlurmdParameters=config_overrides
ProctrackType=proctrack/$proc
TaskPlugin=task/$task
JobAcctGatherType=jobacct_gather/$acct
JobAcctGatherFrequency=task=2
$([ $ENFORCE_MEM = 1 ] && [ $CGROUP = 0 ] && echo JobAcctGatherParams=OverMemoryKill)
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerParameters=batch_sched_delay=0,sched_interval=5,bf_interval=5
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=localhost
AccountingStoragePort=$DBDP
AccountingStoragePass=$D/run/munge.socket
AccountingStorageTRES=gres/gpu
AccountingStorageEnforce=associations
AccountingStoreFlags=job_comment
GresTypes=gpu
ReturnToService=2
MpiDefault=none
KillWait=5
MinJobAge=300
JobRequeue=1
DefMemPerCPU=500
NodeName=$H NodeHostname=$H NodeAddr=127.0.0.1 CPUs=$CPUS RealMemory=$MEM_MB $gres State=UNKNOWN
PartitionName=cpu Nodes=$H Default=YES DefaultTime=60 MaxTime=INFINITE State=UP
PartitionName=gpu Nodes=$H Default=NO DefaultTime=60 MaxTime=INFINITE State=UP
C
  cat > "$D/etc/slurmdbd.conf" <<C
AuthType=auth/munge
AuthInfo=socket=$D/run/munge.socket
DbdHost=localhost
DbdPort=$DBDP
SlurmUser=root
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort=$SQLP
StorageUser=slurm
StoragePass=x
StorageLoc=slurm_acct_db
LogFile=$D/log/slurmdbd.log
PidFile=$D/run/slurmdbd.pid
C
  chmod 600 "$D/etc/slurmdbd.conf"
  echo "export SLURM_CONF=$D/etc/slurm.conf" > "$D/env.sh"
  # --- /etc/slurm: link, unless it holds somebody else's slurm.conf
  mkdir -p /etc/slurm
  if [ -e /etc/slurm/slurm.conf ] && [ "$(readlink -f /etc/slurm/slurm.conf)" != "$D/etc/slurm.conf" ]; then
    say "/etc/slurm/slurm.conf is not ours, left alone: use '. $D/env.sh'"
  else for f in slurm gres slurmdbd cgroup; do [ -e "$D/etc/$f.conf" ] && ln -sfn "$D/etc/$f.conf" /etc/slurm/$f.conf; done; fi
  # --- munge (own key, own socket; a system munged is not touched)
  if ! pid_of munged >/dev/null; then
    [ -s "$D/munge/munge.key" ] || head -c 1024 /dev/urandom > "$D/munge/munge.key"
    chown -R munge:munge "$D/munge"; chmod 700 "$D/munge"; chmod 400 "$D/munge/munge.key"; rm -f "$D"/run/munge.socket* "$D/run/munged.pid"
    launch setpriv --reuid=munge --regid=munge --clear-groups munged --foreground --force --socket="$D/run/munge.socket" --key-file="$D/munge/munge.key" \
      --pid-file="$D/run/munged.pid" --log-file="$D/munge/munged.log" --seed-file="$D/munge/seed" --num-threads=2
  fi
  wait_for 20 munged sh -c "munge -S '$D/run/munge.socket' -n | unmunge -S '$D/run/munge.socket'" || die munged
  # --- mariadb
  if ! pid_of mariadbd >/dev/null; then
    mkdir -p "$D/mysql"; chown -R mysql:mysql "$D/mysql"; rm -f "$D"/run/mariadbd.pid "$D"/run/my.sock*
    [ -f "$D/mysql/.installed" ] || { rm -rf "$D/mysql"/*; mariadb-install-db --no-defaults --user=mysql --datadir="$D/mysql" --skip-test-db \
        --innodb-log-file-size=16M >"$D/log/install-db.log" 2>&1 || die mariadb-install-db; touch "$D/mysql/.installed"; }
    launch mariadbd --no-defaults --user=mysql --datadir="$D/mysql" --socket="$D/run/my.sock" --port=$SQLP --bind-address=127.0.0.1 \
      --pid-file="$D/run/mariadbd.pid" --log-error="$D/log/mariadbd.log" --innodb-log-file-size=16M --innodb-buffer-pool-size=128M \
      --innodb-lock-wait-timeout=900 --innodb-flush-log-at-trx-commit=2 --skip-name-resolve
  fi
  wait_for 60 mariadbd $SQL -e 'select 1' || die mariadbd
  $SQL -e "create database if not exists slurm_acct_db;
    create user if not exists slurm@'127.0.0.1' identified by 'x'; grant all on slurm_acct_db.* to slurm@'127.0.0.1';" || die "database set-up"
  # --- slurmdbd first, and answering, before slurmctld (else slurmctld starts without associations/TRES)
  pid_of slurmdbd >/dev/null || { rm -f "$D/run/slurmdbd.pid"; launch slurmdbd; }
  wait_for 60 slurmdbd timeout 5 sacctmgr -n list cluster || die slurmdbd
  [ -n "$(sacctmgr -nP list cluster test format=cluster)" ] || sacctmgr -i -Q add cluster test >/dev/null || die "add cluster"
  if ! acct_row; then
    sacctmgr -i -Q add account acc cluster=test Description=acc Organization=acc >/dev/null
    sacctmgr -i -Q add user root account=acc defaultaccount=acc >/dev/null; fi
  wait_for 20 account acct_row || die "account"
  pid_of slurmctld >/dev/null || { rm -f "$D/run/slurmctld.pid"; launch slurmctld; }
  wait_for 60 slurmctld sh -c 'timeout 5 scontrol ping | grep -q UP' || die slurmctld
  pid_of slurmd >/dev/null || { rm -f "$D/run/slurmd.pid"; launch slurmd; }
  wait_for 60 slurmd node_ok || { scontrol show node "$H" >&2; die slurmd; }
  # --- proof
  local o j; o=$(timeout 60 srun -Q -A acc -p cpu -t 1 hostname) || die "srun"
  [ $GPUS -gt 0 ] && { o="$o, gpu:1 -> CUDA_VISIBLE_DEVICES=$(timeout 60 srun -Q -A acc -p gpu -t 1 --gres=gpu:1 sh -c 'echo $CUDA_VISIBLE_DEVICES')" || die "srun --gres"; }
  j=$(cd / && sbatch --parsable -A acc -p cpu -t 1 -o /dev/null --wrap true) || die sbatch
  wait_for 60 "srun ($o), sbatch, sacct" acct_seen $j || die "job $j never appeared as COMPLETED in sacct"
  say "UP in $(el) s: node $H $(node_state), partitions cpu gpu, account acc, $CPUS CPUs, $MEM_MB MB, $GPUS GPUs. Use: . $D/env.sh"
}

down() {
  local i j; exec 9>"$D/.lock"; flock -w 180 9 || die "another up/down is running on $D"
  if pid_of slurmctld >/dev/null && pid_of slurmd >/dev/null; then
    j=$(timeout 10 squeue -h -o %A); [ -n "$j" ] && { timeout 20 scancel $j; for i in $(seq 150); do [ -z "$(timeout 10 squeue -h -o %A)" ] && break; sleep 0.2; done; }
  fi
  for i in slurmd slurmctld slurmdbd mariadbd munged; do stop $i; done
  for i in slurm gres slurmdbd cgroup; do
    [ -L /etc/slurm/$i.conf ] && case "$(readlink /etc/slurm/$i.conf)" in "$D"/etc/*) rm -f /etc/slurm/$i.conf;; esac; done
  [ "$PURGE" = --purge ] && rm -rf "$D"/{.lock,etc,state,spool,log,run,munge,dev,mysql,env.sh}
  say "DOWN in $(el) s"
}
$CMD
