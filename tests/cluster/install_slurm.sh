#!/usr/bin/env bash
# Install what one_node_slurm.sh needs, where that is allowed: Debian's packages, by root.
set -euo pipefail
missing=()
for package in slurm-wlm slurmdbd munge mariadb-server; do
  dpkg -s "$package" > /dev/null 2>&1 || missing+=("$package")
done
[ "${#missing[@]}" -gt 0 ] || exit 0
if [ "$(id -u)" != 0 ] || ! command -v apt-get > /dev/null; then
  echo "error: not installed: ${missing[*]}; the test of the cluster needs root on Debian, or have them installed" >&2
  exit 1
fi
apt-get update -qq
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}"
