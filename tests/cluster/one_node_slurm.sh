#!/usr/bin/env bash
# A private SLURM of one node: munge, MariaDB, slurmdbd, slurmctld and slurmd, for tests.
#
#   one_node_slurm.sh up DIR             start it; then `. DIR/env.sh` and use it
#   one_node_slurm.sh down DIR [--purge] stop it, with its jobs; --purge removes DIR's content
#
# Needs root, and on Debian 12 the packages slurm-wlm slurmdbd munge mariadb-server. All of it lives in
# DIR; a munge, MariaDB or SLURM of the system is not touched. Knobs (environment): GPUS=2, CPUS and
# MEM_MB (may exceed the machine), BASE_PORT=16800 (below the ports that the kernel gives away).
set -u
command=${1:-}
folder=${2:-}
purge=${3:-}
case "$command" in
  up | down) ;;
  *) sed -n 2,9p "$0"; exit 2 ;;
esac
[ -n "$folder" ] || { echo "error: no directory given" >&2; exit 2; }
[ "$(id -u)" = 0 ] || { echo "error: must be root" >&2; exit 1; }
mkdir -p "$folder" && folder=$(cd "$folder" && pwd -P) || exit 1

export PATH=$PATH:/usr/sbin:/sbin
export SLURM_CONF=$folder/etc/slurm.conf
host=$(hostname -s)
base_port=${BASE_PORT:-16800}
sql_port=$((base_port + 6))
controller_port=$((base_port + 17))
node_port=$((base_port + 18))
accounting_port=$((base_port + 19))
gpus=${GPUS:-2}
cpus=${CPUS:-$(nproc)}
memory=${MEM_MB:-$(awk '/MemTotal/ {print int($2 / 1024 * 0.9)}' /proc/meminfo)}
sql="mariadb --no-defaults -uroot -S $folder/run/my.sock"

say() { echo "[${SECONDS}s] $*"; }

die() {
  say "FAILED: $*" >&2
  tail -n 5 "$folder"/log/*.log >&2
  exit 1
}

# wait_for SECONDS WHAT COMMAND...: until the command succeeds
wait_for() {
  local end=$((SECONDS + $1)) what=$2
  shift 2
  until "$@" > "$folder/log/wait.out" 2>&1; do
    if [ "$SECONDS" -ge "$end" ]; then
      echo "no $what; the last answer of: $*" >&2
      cat "$folder/log/wait.out" >&2
      return 1
    fi
    sleep 0.1
  done
  say "$what ready"
}

# pid_of NAME: the process id, only if it really is this daemon and was started for this folder
pid_of() {
  local pid
  pid=$(cat "$folder/run/$1.pid" 2> /dev/null) && [ -n "$pid" ] || return 1
  [ "$(cat "/proc/$pid/comm" 2> /dev/null)" = "$1" ] || return 1
  { tr '\0' '\n' < "/proc/$pid/environ" | grep -qx "ONE_NODE_SLURM=$folder"; } 2> /dev/null || return 1
  echo "$pid"
}

# Daemons inherit the mark by which pid_of knows them again, but not the lock (9).
launch() {
  env ONE_NODE_SLURM="$folder" SLURM_CONF="$SLURM_CONF" setsid "$@" \
    < /dev/null >> "$folder/log/launch.log" 2>&1 9>&- &
}

stop() {
  local pid
  pid=$(pid_of "$1") || { rm -f "$folder/run/$1.pid"; return 0; }
  kill "$pid"
  for _ in $(seq 200); do
    [ -e "/proc/$pid" ] || break
    sleep 0.1
  done
  if [ -e "/proc/$pid" ]; then
    say "$1 ignores SIGTERM"
    kill -9 "$pid"
    sleep 0.5
  fi
  rm -f "$folder/run/$1.pid"
  say "$1 stopped"
}

all_running() {
  local daemon
  for daemon in munged mariadbd slurmdbd slurmctld slurmd; do
    pid_of "$daemon" > /dev/null || return 1
  done
}

node_is_up() {
  case "$(timeout 5 sinfo -h -N -n "$host" -o %t | head -1)" in
    idle | mix | alloc) return 0 ;;
  esac
  timeout 5 scontrol update nodename="$host" state=resume
  return 1
}

account_exists() {
  [ -n "$(timeout 5 sacctmgr -nP show assoc cluster=test account=acc user=root format=user)" ]
}

completed() { timeout 10 sacct -n -j "$1" -X -o state | grep -q COMPLETED; }

# SLURM wants GPUs to be character devices; nothing opens them.
write_gpus() {
  local gpu device spare=(null zero full random urandom tty)
  : > "$folder/etc/gres.conf"
  for ((gpu = 0; gpu < gpus; gpu++)); do
    device=$folder/dev/gpu$gpu
    if [ ! -c "$device" ] && ! mknod "$device" c 240 "$gpu" 2> /dev/null; then
      device=/dev/${spare[$gpu]:?no stand-in device is left for a GPU}
    fi
    echo "NodeName=$host Name=gpu File=$device" >> "$folder/etc/gres.conf"
  done
}

write_configuration() {
  local gres=
  [ "$gpus" -gt 0 ] && gres="Gres=gpu:$gpus"
  # cred_expire: a job that is put back into the queue waits so long, and two minutes by default.
  # OverMemoryKill: jobs above their memory are killed, without control groups.
  # MinJobAge: squeue must know a finished job until Snakemake has looked.
  cat > "$folder/etc/slurm.conf" << END
ClusterName=test
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=$controller_port
SlurmdPort=$node_port
AuthType=auth/munge
AuthInfo=socket=$folder/run/munge.socket,cred_expire=5
CredType=cred/munge
SlurmUser=root
SlurmdUser=root
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool
SlurmctldPidFile=$folder/run/slurmctld.pid
SlurmdPidFile=$folder/run/slurmd.pid
SlurmctldLogFile=$folder/log/slurmctld.log
SlurmdLogFile=$folder/log/slurmd.log
SlurmdParameters=config_overrides
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=2
JobAcctGatherParams=OverMemoryKill
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerParameters=batch_sched_delay=0,sched_interval=5,bf_interval=5
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=localhost
AccountingStoragePort=$accounting_port
AccountingStoragePass=$folder/run/munge.socket
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
NodeName=$host NodeHostname=$host NodeAddr=127.0.0.1 CPUs=$cpus RealMemory=$memory $gres State=UNKNOWN
PartitionName=cpu Nodes=$host Default=YES DefaultTime=60 MaxTime=INFINITE State=UP
PartitionName=gpu Nodes=$host Default=NO DefaultTime=60 MaxTime=INFINITE State=UP
END
  cat > "$folder/etc/slurmdbd.conf" << END
AuthType=auth/munge
AuthInfo=socket=$folder/run/munge.socket
DbdHost=localhost
DbdPort=$accounting_port
SlurmUser=root
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort=$sql_port
StorageUser=slurm
StoragePass=x
StorageLoc=slurm_acct_db
LogFile=$folder/log/slurmdbd.log
PidFile=$folder/run/slurmdbd.pid
END
  chmod 600 "$folder/etc/slurmdbd.conf"
  echo "export SLURM_CONF=$folder/etc/slurm.conf" > "$folder/env.sh"
}

# Snakemake's jobs lose SLURM_CONF with the other variables of SLURM: the usual place must lead here.
link_configuration() {
  local name
  mkdir -p /etc/slurm
  if [ -e /etc/slurm/slurm.conf ] && [ ! -L /etc/slurm/slurm.conf ]; then
    die "/etc/slurm/slurm.conf is of another cluster on this machine; move it away for the test"
  fi
  for name in slurm gres; do ln -sfn "$folder/etc/$name.conf" "/etc/slurm/$name.conf"; done
}

unlink_configuration() {
  local name
  for name in slurm gres; do
    case "$(readlink "/etc/slurm/$name.conf")" in
      "$folder"/etc/*) rm -f "/etc/slurm/$name.conf" ;;
    esac
  done
}

start_munge() {
  if ! pid_of munged > /dev/null; then
    [ -s "$folder/munge/munge.key" ] || head -c 1024 /dev/urandom > "$folder/munge/munge.key"
    chown -R munge:munge "$folder/munge"
    chmod 700 "$folder/munge"
    chmod 400 "$folder/munge/munge.key"
    rm -f "$folder"/run/munge.socket* "$folder/run/munged.pid"
    launch setpriv --reuid=munge --regid=munge --clear-groups munged --foreground --force \
      --socket="$folder/run/munge.socket" --key-file="$folder/munge/munge.key" \
      --pid-file="$folder/run/munged.pid" --log-file="$folder/munge/munged.log" \
      --seed-file="$folder/munge/seed" --num-threads=2
  fi
  local socket=$folder/run/munge.socket
  wait_for 30 munged sh -c "munge -S '$socket' -n | unmunge -S '$socket'" || die munged
}

start_database() {
  if ! pid_of mariadbd > /dev/null; then
    mkdir -p "$folder/mysql"
    chown -R mysql:mysql "$folder/mysql"
    rm -f "$folder"/run/mariadbd.pid "$folder"/run/my.sock*
    if [ ! -f "$folder/mysql/.installed" ]; then
      rm -rf "$folder"/mysql/*
      mariadb-install-db --no-defaults --user=mysql --datadir="$folder/mysql" --skip-test-db \
        --innodb-log-file-size=16M > "$folder/log/install-db.log" 2>&1 || die mariadb-install-db
      touch "$folder/mysql/.installed"
    fi
    launch mariadbd --no-defaults --user=mysql --datadir="$folder/mysql" \
      --socket="$folder/run/my.sock" --port="$sql_port" --bind-address=127.0.0.1 \
      --pid-file="$folder/run/mariadbd.pid" --log-error="$folder/log/mariadbd.log" \
      --innodb-log-file-size=16M --innodb-buffer-pool-size=128M --innodb-lock-wait-timeout=900 \
      --innodb-flush-log-at-trx-commit=2 --skip-name-resolve
  fi
  wait_for 60 mariadbd $sql -e 'select 1' || die mariadbd
  $sql -e "create database if not exists slurm_acct_db;
    create user if not exists slurm@'127.0.0.1' identified by 'x';
    grant all on slurm_acct_db.* to slurm@'127.0.0.1';" || die "database set-up"
}

# Accounting must answer before the controller starts, or that starts without accounts and GPUs.
start_slurm() {
  pid_of slurmdbd > /dev/null || { rm -f "$folder/run/slurmdbd.pid"; launch slurmdbd; }
  wait_for 60 slurmdbd timeout 5 sacctmgr -n list cluster || die slurmdbd
  if [ -z "$(sacctmgr -nP list cluster test format=cluster)" ]; then
    sacctmgr -i -Q add cluster test > /dev/null || die "add cluster"
  fi
  if ! account_exists; then
    sacctmgr -i -Q add account acc cluster=test Description=acc Organization=acc > /dev/null
    sacctmgr -i -Q add user root account=acc defaultaccount=acc > /dev/null
  fi
  wait_for 30 account account_exists || die account
  pid_of slurmctld > /dev/null || { rm -f "$folder/run/slurmctld.pid"; launch slurmctld; }
  wait_for 60 slurmctld sh -c 'timeout 5 scontrol ping | grep -q UP' || die slurmctld
  pid_of slurmd > /dev/null || { rm -f "$folder/run/slurmd.pid"; launch slurmd; }
  wait_for 60 slurmd node_is_up || die slurmd
}

# A step, a GPU and the accounting of a batch job.
prove() {
  local gpu job
  timeout 60 srun -Q -A acc -p cpu -t 1 true || die srun
  if [ "$gpus" -gt 0 ]; then
    gpu=$(timeout 60 srun -Q -A acc -p gpu -t 1 --gres=gpu:1 sh -c 'echo $CUDA_VISIBLE_DEVICES')
    [ -n "$gpu" ] || die "srun --gres"
  fi
  job=$(cd / && sbatch --parsable -A acc -p cpu -t 1 -o /dev/null --wrap true) || die sbatch
  wait_for 60 "accounting of jobs" completed "$job" || die "job $job is not in sacct"
}

up() {
  local binary daemon
  for binary in munged mariadbd mariadb-install-db slurmdbd slurmctld slurmd sacctmgr; do
    command -v "$binary" > /dev/null || die "$binary is not installed"
  done
  if all_running && node_is_up > /dev/null 2>&1; then
    say "already up (new knobs need down, then up)"
    return 0
  fi
  mkdir -p "$folder"/{etc,state,spool,log,run,munge,dev}
  # munged and mariadbd run as users of their own.
  chmod 755 "$folder" "$folder"/{etc,log,dev}
  chmod 1777 "$folder/run"
  touch "$folder/log/launch.log"
  # slurmd must be able to resolve the host's own name.
  getent hosts "$host" > /dev/null || echo "127.0.0.1 $host" >> /etc/hosts
  for daemon in slurmctld:$controller_port slurmd:$node_port slurmdbd:$accounting_port mariadbd:$sql_port; do
    if ! pid_of "${daemon%:*}" > /dev/null && (exec 3<> "/dev/tcp/127.0.0.1/${daemon#*:}") 2> /dev/null; then
      die "port ${daemon#*:} is taken; set BASE_PORT"
    fi
  done
  write_gpus
  write_configuration
  link_configuration
  start_munge
  start_database
  start_slurm
  prove
  say "up: node $host, partitions cpu and gpu, account acc, $cpus CPUs, $memory MB, $gpus GPUs"
}

down() {
  local daemon jobs
  if pid_of slurmctld > /dev/null && pid_of slurmd > /dev/null; then
    jobs=$(timeout 10 squeue -h -o %A)
    if [ -n "$jobs" ]; then
      timeout 20 scancel $jobs
      for _ in $(seq 150); do
        [ -z "$(timeout 10 squeue -h -o %A)" ] && break
        sleep 0.2
      done
    fi
  fi
  for daemon in slurmd slurmctld slurmdbd mariadbd munged; do stop "$daemon"; done
  unlink_configuration
  if [ "$purge" = --purge ]; then
    rm -rf "$folder"/{.lock,etc,state,spool,log,run,munge,dev,mysql,env.sh}
  fi
  say down
}

exec 9> "$folder/.lock"
flock -w 180 9 || { echo "error: another up or down is running on $folder" >&2; exit 1; }
"$command"
