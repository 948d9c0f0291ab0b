# Needs Python 3.11 to 3.13 and make, nothing else: every target makes its own environment in .venv once.
#
#   make demo    three scenes through Airflow, into demo-output/
#   make test    every test; some of them: make test ARGS="tests/pure -k prompt"
#   make lint    ruff, formatting, types
#   make format  let ruff rewrite what it can
#   make simulate  looks per job against delay, by schedule: the figures and the plot of docs/waiting.md
#   make ui      Airflow in the browser with the example DAGs, on the emulator unless WAVESPEED_API_KEY is set
#   make clean   remove what the targets above made, but for pictures

FITS = import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))
PYTHON ?= $(firstword $(foreach name,python3 python3.13 python3.12 python3.11 python,$(shell \
	$(name) -c '$(FITS)' 2>/dev/null && echo $(name))) python3)
VENV ?= .venv
BIN = $(VENV)/bin
READY = $(VENV)/.ready
ARGS ?=

.PHONY: help demo test lint format simulate ui clean
.DEFAULT_GOAL := help

help:
	@sed -n 's/^#   //p' Makefile

demo: $(READY)
	@$(BIN)/python example_dags/demo.py $(ARGS)

test: $(READY)
	$(BIN)/python -m pytest $(ARGS)

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

clean:
	rm -rf $(VENV) .airflow .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# uv takes seconds where pip takes a minute; pip takes over where uv cannot reach the package index.
$(READY): pyproject.toml constraints-dev.txt
	@$(PYTHON) -c '$(FITS)' \
		|| { echo 'Python 3.11, 3.12 or 3.13 is needed. Name it like this: make test PYTHON=python3.12'; exit 1; }
	@echo "Preparing $(VENV), once"
	@$(PYTHON) -m venv --clear $(VENV) \
		|| { echo 'The module venv is missing; on Debian and Ubuntu: apt-get install python3-venv'; exit 1; }
	@{ $(BIN)/python -m pip install --quiet --disable-pip-version-check uv \
		&& $(BIN)/uv pip install --quiet --python $(BIN)/python -c constraints-dev.txt -e '.[dev]'; } \
		|| { echo 'Without uv this takes a minute longer' \
		&& $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints-dev.txt -e '.[dev]'; }
	@touch $(READY)
