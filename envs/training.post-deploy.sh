#!/usr/bin/env bash
# Snakemake runs this in the new environment, at the root of the repository.
set -euo pipefail
pip install torch==2.13.0
pip install --no-deps -r envs/requirements.lock
