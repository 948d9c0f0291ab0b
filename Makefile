# Needs Python 3.11 to 3.13 and make, nothing else: every target makes its own environment in .venv once. Where
# Chromium or PostgreSQL is missing (apt-get install chromium postgresql), tests that need it are skipped, and named.
#
#   make demo    three scenes through Airflow, into demo-output/
#   make test    every test, in four processes; some of them: make test ARGS="tests/pure -k prompt". Pictures of what the
#                browser showed are left in test-output/screenshots/
#   make older   the main job on an older Airflow: make older AIRFLOW=2.11.2 (or 3.0.6, 3.1.8, 3.2.2)
#   make newer   what a clear costs, on the beta of the next Airflow: make newer AIRFLOW=3.4.0b2
#   make matrix  the built wheel on every Airflow from 2.11 to the beta of 3.4, and the event table over all of them, into
#                test-output/matrix.md; an hour, or a part: ARGS="3.0.6 3.3.2/3.13", ARGS="--step components"
#   make lint    ruff, formatting, types
#   make format  let ruff rewrite what it can
#   make simulate  polls per job against delay, by schedule: the figures and the plot of docs/waiting.md
#   make ui      Airflow in the browser with the example DAGs; on the emulator, with runs to look at, unless
#                WAVESPEED_API_KEY is set
#   make chaos   200 image sets while requests go wrong and processes are killed; counts what was paid
#   make system  300 image sets on PostgreSQL, Redis and Celery while each part is killed, stopped or restarted: one to
#                two hours; installs redis-server where it is missing. One part: make system ARGS="-k Redis"
#   make system-small   a part of that with 24 sets: four to six minutes
#   make bench   what waiting costs, beside the triggers of other providers; two hours, or a part: ARGS="--n 100 --only ours,bare"
#   make bench-triggerer   5,000 waiting predictions in one real triggerer
#   make bench-publish   publishing beside curl --parallel, and its memory for the largest set
#   make bench-gallery   the gallery in a browser: weight, time to the first image and frames, for 3 and for 200 image sets
#   make stores  what object stores on this machine keep of a publish, and what permissions it takes; needs npm
#   make shape   size, imports and comments of the package, beside a commit: ARGS=7c1eb15
#   make clean   remove what the targets above made, but no images

FITS = import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))
PYTHON ?= $(firstword $(foreach name,python3 python3.13 python3.12 python3.11 python,$(shell \
	$(name) -c '$(FITS)' 2>/dev/null && echo $(name))) python3)
VENV ?= .venv
CONSTRAINTS ?= constraints-dev.txt
AIRFLOW ?= 2.11.2
BIN = $(VENV)/bin
READY = $(VENV)/.ready
BENCH_VENV ?= .venv-bench
BENCH_READY = $(BENCH_VENV)/.ready
ARGS ?=
# Four processes, as half of the tests wait for an Airflow. What is named in ARGS runs in one.
SIDE_BY_SIDE = -n 4 --dist loadfile --no-loadscope-reorder

.PHONY: help demo test chaos system system-small older newer matrix lint format simulate ui bench bench-triggerer bench-publish bench-gallery stores shape clean
.DEFAULT_GOAL := help

help:
	@sed -n 's/^#   //p' Makefile

demo: $(READY)
	@$(BIN)/python example_dags/demo.py $(ARGS)

test: $(READY)
	$(BIN)/python -m pytest $(or $(ARGS),$(SIDE_BY_SIDE))

chaos: $(READY)
	SEEDREAM_CHAOS_SETS=$${SEEDREAM_CHAOS_SETS:-200} $(BIN)/python -m pytest tests/standalone/test_chaos.py $(ARGS)

system: .venv-system/.ready
	@tests/system/install
	SEEDREAM_SYSTEM=1 .venv-system/bin/python -m pytest tests/system $(ARGS)

system-small:
	SEEDREAM_SYSTEM_SETS=$${SEEDREAM_SYSTEM_SETS:-24} $(MAKE) system ARGS='-m small $(ARGS)'

.venv-system/.ready: pyproject.toml $(CONSTRAINTS) tests/system/requirements.txt
	$(call environment,.venv-system,$(CONSTRAINTS),-e '.[dev]' -r tests/system/requirements.txt)

older:
	$(MAKE) VENV=.venv-$(AIRFLOW) CONSTRAINTS=constraints-airflow-$(AIRFLOW).txt .venv-$(AIRFLOW)/.ready
	.venv-$(AIRFLOW)/bin/python -m pytest tests/older

newer: AIRFLOW = 3.4.0b2
newer:
	$(MAKE) VENV=.venv-$(AIRFLOW) CONSTRAINTS=constraints-airflow-$(AIRFLOW).txt .venv-$(AIRFLOW)/.ready
	.venv-$(AIRFLOW)/bin/python -m pytest tests/standalone/test_clears.py

matrix:
	@$(PYTHON) tests/matrix.py $(ARGS)

lint: $(READY)
	$(BIN)/python -m ruff check .
	$(BIN)/python -m ruff format --check .
	$(BIN)/python -m mypy

format: $(READY)
	$(BIN)/python -m ruff check --fix .
	$(BIN)/python -m ruff format .

simulate: $(READY)
	@$(BIN)/python -m benchmarks.simulate_schedules $(ARGS)

ui: $(READY)
	@$(BIN)/python example_dags/ui.py $(ARGS)

bench: $(BENCH_READY)
	@$(BENCH_VENV)/bin/python -m benchmarks $(ARGS)

bench-triggerer: $(BENCH_READY)
	@$(BENCH_VENV)/bin/python -m benchmarks.triggerer $(ARGS)

bench-publish: $(READY)
	@$(BIN)/python -m benchmarks.publish $(ARGS)

bench-gallery: $(READY)
	@$(BIN)/python -m benchmarks.gallery $(ARGS)

stores: .venv-stores/.ready
	@NODE_MODULES=.venv-stores/node_modules .venv-stores/bin/python -m benchmarks.stores $(ARGS)
	@NODE_MODULES=.venv-stores/node_modules .venv-stores/bin/python -m benchmarks.store_permissions

.venv-stores/.ready: pyproject.toml $(CONSTRAINTS) benchmarks/stores.txt
	$(call environment,.venv-stores,$(CONSTRAINTS),-e '.[dev]' -r benchmarks/stores.txt)
	@npm install --silent --no-save --prefix .venv-stores azurite@3.35.0 s3rver@3.7.1

shape: $(READY)
	@$(BIN)/python -m benchmarks.shape $(ARGS)

clean:
	rm -rf $(VENV) .venv-* $(BENCH_VENV) benchmarks/results test-output .airflow .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# $(call environment,its directory,constraints,what to install). uv takes seconds where pip takes a minute; pip takes over
# where uv cannot reach the package index. What uv leaves uncompiled, each of the many processes of a test would compile again
# where PYTHONDONTWRITEBYTECODE is set: 20 s for an Airflow.
define environment
	@$(PYTHON) -c '$(FITS)' \
		|| { echo 'Python 3.11, 3.12 or 3.13 is needed. Name it like this: make test PYTHON=python3.12'; exit 1; }
	@echo "Preparing $(1), once"
	@$(PYTHON) -m venv --clear $(1) \
		|| { echo 'The module venv is missing; on Debian and Ubuntu: apt-get install python3-venv'; exit 1; }
	@{ $(1)/bin/python -m pip install --quiet --disable-pip-version-check uv \
		&& $(1)/bin/uv pip install --quiet --compile-bytecode --python $(1)/bin/python -c $(2) $(3); } \
		|| { echo 'Without uv this takes a minute longer' \
		&& $(1)/bin/python -m pip install --quiet --disable-pip-version-check -c $(2) $(3); }
	@touch $(1)/.ready
endef

$(READY): pyproject.toml $(CONSTRAINTS)
	$(call environment,$(VENV),$(CONSTRAINTS),-e '.[dev]')

$(BENCH_READY): pyproject.toml constraints-bench.txt benchmarks/requirements.txt
	$(call environment,$(BENCH_VENV),constraints-bench.txt,-e . -r benchmarks/requirements.txt)
