# Shortcuts; each calls Snakemake or a script. `make help` lists them.
SHELL := bash
PYTHON ?= python3
# OMP_NUM_THREADS is of one program, and nproc would take it for the number of cores.
CORES ?= $(shell env -u OMP_NUM_THREADS -u OMP_THREAD_LIMIT nproc)
# Another study: make paper CONFIG=config/my_study.yaml (several, in quotes: the last one wins).
CONFIG ?=
# The environment goes first on PATH, so that rules find their programs without activating it.
export PATH := $(CURDIR)/.venv/bin:$(PATH)
# RESULTS=released: from paper/released/, without training; RESULTS=recompute: from runs of this
# machine; neither: as the study says.
RESULTS ?=
# What a user types reaches the shell in quotes, and make expands nothing in it: $(call q,NAME) is
# one word, $(call each,NAME) as many as were typed.
quoted = '$(subst ','\'',$(1))'
q = $(call quoted,$(value $(1)))
each = $(foreach word,$(value $(1)),$(call quoted,$(word)))
# A file with a space in its name, or several files.
STUDY_FILE = $(if $(value CONFIG),--configfile \
  $(if $(shell test -e $(call q,CONFIG) && echo yes),$(call q,CONFIG),$(call each,CONFIG)))
VALUES = $(if $(value RESULTS),--config results=$(call q,RESULTS))
# Before Snakemake, which runs Python that a configuration file holds.
CHECK = python scripts/check_study.py $(STUDY_FILE) $(VALUES)
SNAKEMAKE = $(CHECK) && python scripts/unlock_stale.py -- $(STUDY_FILE) && \
  snakemake $(STUDY_FILE) $(VALUES) --cores $(WORKERS) --rerun-incomplete --show-failed-logs
# The default is an expression of make's own, what a user types is not.
WORKERS = $(call quoted,$(if $(filter file,$(origin CORES)),$(CORES),$(value CORES)))
# retention, retention.ipynb and notebooks/retention.ipynb are one notebook.
NOTEBOOK = $(call quoted,$(patsubst %.ipynb,%,$(notdir $(value NAME))))
# A home need not be writable: what Snakemake keeps, before it reads a Snakefile, lies here. What
# the user's own cache has of the Hub and of pip is still found.
export JADAPT_USER_CACHE := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)
export XDG_CACHE_HOME := $(CURDIR)/.cache
TESTS ?=
# Two at a time: each of them loads NeMo, in a gigabyte. A file at a time, as the tests of one share
# what takes longest, and in the order of tests/unit/conftest.py.
UNIT = OMP_NUM_THREADS=1 pytest -n 2 --dist loadfile --no-loadscope-reorder tests/unit
# Commands that plan or refuse; the chain takes all cores by itself.
PLANS = pytest -n 2 -m "not chain" tests/workflow

.DEFAULT_GOAL := help
NAME ?=
RUNS ?=
FIGURE ?=
NUMBER ?=
FILE ?=
WATCH ?=

.PHONY: help setup paper figure table html report release release-fronts keep-paper verify trace status crate test test-fast \
  test-browser test-slurm lint bench bench-gpu bench-two-gpus release-efficiency notice schemas method-docs lock clean

help:  ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 12

setup:  ## install the locked environment into .venv (PYTHON=python3.11)
	@$(PYTHON) scripts/setup_environment.py $(if $(filter file,$(origin PYTHON)),--search)

paper: setup  ## build results/{study}/paper/paper.pdf (CONFIG=file, RESULTS=released)
	$(SNAKEMAKE) all

figure: setup  ## build one figure: make figure NAME=retention RESULTS=released
	$(SNAKEMAKE) fig_$(NOTEBOOK)

table: setup  ## build one table: make table NAME=results
	$(SNAKEMAKE) table_$(NOTEBOOK)

html: setup  ## write results/{study}/index.html: results, claims, runs and curves in one page
	$(SNAKEMAKE) html

report: setup  ## write report.zip: figures, tables and paper with their captions, the page of the study
	$(SNAKEMAKE) all html
	snakemake $(STUDY_FILE) $(VALUES) --cores $(WORKERS) --report report.zip all html

test: setup  ## run every test, the whole chain on real packages among them
	$(if $(value TESTS),pytest $(call each,TESTS),$(UNIT) && $(PLANS) && pytest -m chain tests/workflow)

test-fast: setup  ## run the tests that need no download
	$(if $(value TESTS),pytest -m "not chain" $(call each,TESTS),$(UNIT) && $(PLANS))

test-browser: setup  ## look at the HTML page in Chromium (Debian: apt-get install chromium)
	pytest tests/browser

test-slurm: setup  ## run the tests on a one-node SLURM, which is installed (Debian, root) and started
	bash tests/cluster/install_slurm.sh
	pytest tests/cluster

lint: setup  ## check code, types, rules, notices
	ruff check .
	ruff format --check .
	snakefmt --check Snakefile rules
	snakemake --lint
	mypy
	python scripts/write_notice.py --check --corpora config/corpora.yaml --output NOTICE
	python scripts/write_schemas.py --check
	python scripts/write_methods.py --check

bench: setup  ## print where the time and memory of the study went
	study=$$($(CHECK) --name) && file=$(if $(value CONFIG),$(call q,CONFIG),config/config.yaml) && \
	python benchmarks/bench_study.py --results "results/$$study" --config "$$file" && \
	python benchmarks/bench_segmentation.py --results "results/$$study" && \
	python benchmarks/bench_encoding.py --megabytes 1000 --workers 2 && \
	python benchmarks/bench_tokenizers.py --results "results/$$study" && \
	python benchmarks/bench_scale.py && \
	python benchmarks/bench_figure.py --study "$$study" --config "$$file" && \
	python benchmarks/bench_page.py --study "$$study" --config "$$file"

release: setup  ## publish the finished study to paper/released/{study}/
	python scripts/release.py $(STUDY_FILE)

# Fronts are made run by run; what was released before and is not made anew stays.
release-fronts: setup  ## publish the fronts that were made so far, each as it comes
	python scripts/release.py --fronts $(STUDY_FILE)

keep-paper: setup  ## keep the paper of released tables, and its first figure, in paper/
	python scripts/keep_paper.py $(STUDY_FILE)

# The corpora first: results on other text are refused before anything is trained.
VERIFY = python scripts/verify.py $(STUDY_FILE) $(if $(value RUNS),--runs $(call each,RUNS)) \
  $(if $(value FIGURE),--figure $(call q,FIGURE))
verify: override RESULTS = recompute
verify: setup  ## compare with the released results: RUNS="lora ewc", FIGURE=retention, or all
	@$(VERIFY) --targets > /dev/null
	$(SNAKEMAKE) inputs
	@$(VERIFY) --inputs
	$(SNAKEMAKE) $$($(VERIFY) --targets)
	@study=$$($(CHECK) --name) && $(VERIFY) --output "results/$$study/verification.csv"

trace: setup  ## where something comes from: FIGURE=retention, NUMBER=lora.gain or 1.631, FILE=a.svg
	@python scripts/trace.py $(STUDY_FILE) $(if $(value FIGURE),--figure $(call q,FIGURE)) \
	  $(if $(value NUMBER),--number $(call q,NUMBER)) $(if $(value FILE),--file $(call q,FILE))

status: setup  ## what is done, running, failed, how long is left (WATCH=5: one line, kept up to date)
	@python scripts/status.py $(STUDY_FILE) $(if $(value WATCH),--watch $(call q,WATCH))

crate: setup  ## write results/{study}/crate.zip, an RO-Crate of the finished study
	python scripts/write_crate.py $(STUDY_FILE)

# On one card: this project's training step beside a plain loop, and what each method takes. Stopped,
# it goes on where it was; OUTPUT=folder for the tables.
OUTPUT ?= results/bench-gpu
TWO_GPUS ?=
bench-gpu: setup  ## measure training on a GPU (OUTPUT=folder)
	python benchmarks/bench_gpu.py --output $(call q,OUTPUT) --work $(call q,OUTPUT)/work

bench-two-gpus: setup  ## measure training on two GPUs beside one (TWO_GPUS=folder)
	python benchmarks/bench_two_gpus.py --output $(if $(value TWO_GPUS),$(call q,TWO_GPUS),results/bench-two-gpus)

# BENCH=folder of bench-gpu; the paper of every study shows what is released.
BENCH ?=
release-efficiency: setup  ## publish what GPUs measured to paper/released/efficiency/ (BENCH=folder TWO_GPUS=folder)
	python scripts/release_efficiency.py --bench $(if $(value BENCH),$(call q,BENCH),$(call q,OUTPUT)) \
	  $(if $(value TWO_GPUS),--two-gpus $(call q,TWO_GPUS))

method-docs: setup  ## rewrite docs/methods.md from what methods and strategies declare
	python scripts/write_methods.py

notice: setup  ## rewrite NOTICE from config/corpora.yaml
	python scripts/write_notice.py --corpora config/corpora.yaml --output NOTICE

schemas: setup  ## rewrite config/schemas from the models of the configuration
	python scripts/write_schemas.py

# Versions that the study was measured with: nothing newer than January 2026, except the packages
# named in envs/newer.txt, which need to be.
lock:  ## resolve envs/requirements.in again (needs uv)
	cd envs && uv pip compile requirements.in --override overrides.txt --universal \
	  --python-version 3.11 --generate-hashes --no-annotate --no-header --quiet \
	  --exclude-newer 2026-01-15 $$(sed 's/^/--exclude-newer-package /' newer.txt) \
	  -o requirements.lock

clean: setup  ## remove the results of the study; downloads and environment stay
	@python scripts/clean_study.py $(STUDY_FILE)

# RESULT=released would train: a variable that nothing here reads is a slip.
KNOWN_VARIABLES = BENCH CONFIG CORES FIGURE FILE NAME NUMBER OUTPUT PYTHON RESULTS RUNS SHELL TESTS \
  TWO_GPUS WATCH
# Nor do programs need them in their environment, where make would expand what was typed.
unexport $(filter-out PYTHON SHELL,$(KNOWN_VARIABLES))
GIVEN := $(foreach name,$(.VARIABLES),$(if $(filter command line,$(origin $(name))),$(name)))
UNKNOWN := $(filter-out $(KNOWN_VARIABLES) MAKE% .% -%,$(GIVEN))
$(if $(UNKNOWN),$(error $(firstword $(UNKNOWN)): no such variable; known: $(KNOWN_VARIABLES)))
