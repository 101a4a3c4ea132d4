# Everything a person needs: `make run` and `make test`. Each installs what it needs the first time and starts in seconds afterwards.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin

.PHONY: run test check demo bench-pages bench-queue bench-runs bench-engine gpu-check picture clean

run: .venv/installed-run
	@$(BIN)/onehour up

demo: .venv/installed-run
	@$(BIN)/python -m app.demo

test: .venv/installed-test
	@$(BIN)/python -m pytest -m "not gpu"

check: .venv/installed-test
	@$(BIN)/ruff check -q .
	@$(BIN)/ruff format -q --check .
	@$(BIN)/lint-imports --no-cache > .venv/lint-imports.log || { cat .venv/lint-imports.log; exit 1; }
	@$(BIN)/mypy
	@$(BIN)/python -m pytest -q -m unit -n 2

gpu-check: .venv/installed-test
	@$(BIN)/python -m pytest -m gpu

bench-pages: .venv/installed-test
	@$(BIN)/python bench/pages.py

bench-queue: .venv/installed-test
	@$(BIN)/python bench/backlog.py
	@$(BIN)/python bench/first_batch.py

# Beside MLflow and trackio, which are installed for this alone, in an environment of their own.
bench-runs: .venv/installed-test .venv-bench/installed
	@$(BIN)/python bench/runs.py
	@$(BIN)/python bench/wandb_import.py

bench-engine: .venv/installed-run
	@$(BIN)/python -W ignore bench/pipeline.py
	@$(BIN)/python -W ignore bench/step.py

picture: .venv/installed-test
	@ONEHOUR_WRITE_PICTURES=1 $(BIN)/python -m pytest -q tests/e2e -k picture

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' || { echo "Onehour needs Python 3.11: make PYTHON=/path/to/python3.11 run"; exit 2; }
	@$(PYTHON) -m venv .venv

# The lock is a constraint on every package, direct or not; the extras in pyproject.toml say which are wanted.
.venv/installed-run: pyproject.toml requirements.lock | .venv/bin/python
	@echo "Installing (a few minutes the first time) ..."
	@$(BIN)/pip install --quiet --disable-pip-version-check --constraint requirements.lock --editable '.[engine]'
	@touch $@

.venv-bench/installed: bench/trackers.txt
	@echo "Installing MLflow and trackio for the benchmark (1 GB) ..."
	@$(PYTHON) -m venv .venv-bench
	@.venv-bench/bin/pip install --quiet --disable-pip-version-check --requirement bench/trackers.txt
	@touch $@

.venv/installed-test: pyproject.toml requirements.lock | .venv/bin/python
	@echo "Installing with test requirements (a few minutes the first time) ..."
	@$(BIN)/pip install --quiet --disable-pip-version-check --constraint requirements.lock --editable '.[engine,test]'
	@touch $@ .venv/installed-run
