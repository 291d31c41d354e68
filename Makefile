# Every target sets itself up: Python >= 3.11, git, make and a package index are enough.
SHELL := /bin/bash
BIN := .venv/bin
RUN := .venv/.installed
DEV := .venv/.installed-dev
# xargs reads $ARGS as a shell does, but for parentheses, which names of sessions have.
NOX := xargs $(BIN)/nox
SOURCES := src tests bench examples conftest.py noxfile.py

.DEFAULT_GOAL := help
.PHONY: help setup demo test fuzz faults backends sdks neighbours examples coverage lint audit format types layers wheel bench clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(RUN): pyproject.toml uv.lock tools/bootstrap.sh
	@tools/bootstrap.sh --no-default-groups --group test
	@touch $@

$(DEV): $(RUN)
	@tools/bootstrap.sh --all-groups
	@touch $@

setup: $(DEV) ## make .venv with everything a contributor needs

demo: $(RUN) ## run the sample agents against the stub provider and print what their tasks cost
	$(BIN)/taskmeter demo

test: $(RUN) ## run the tests, but for those that need a backend
	$(BIN)/python -m pytest -n auto --dist worksteal $(ARGS)

backends: $(RUN) ## run the tests with real backends, services and queues; installs redis-server if it is missing
	@tools/redis.sh
	$(BIN)/python -m pytest -m backends $(ARGS)

fuzz: $(RUN) ## run fuzzed answers, programs, spools and price files, and the leak and concurrency tests, in full size
	$(BIN)/python -m pytest -m fuzz $(ARGS)

faults: $(RUN) ## what arrives when backends and processes fail: the stock exporter, and ours; ARGS=--quick for ours in seconds
	$(BIN)/python -m tools.faults $(ARGS)

sdks: $(DEV) ## run the capture tests on old and new SDKs, OpenTelemetry and Pythons; ARGS="-s lowest" for some of it
	$(NOX) <<<"$${ARGS:--s sdks lowest pythons}"

neighbours: $(DEV) ## run the tests beside other instrumentations, each in its own environment
	$(NOX) <<<"$${ARGS:--s neighbours}"

examples: $(RUN) ## run the examples in README, docs and docstrings
	$(BIN)/python -m pytest $(wildcard README.md docs) src $(ARGS)

coverage: $(RUN) ## run the tests and report branch coverage
	$(BIN)/python -m pytest --cov --cov-report=term-missing:skip-covered --cov-report=html $(ARGS)

lint: $(DEV) ## check style, the workflows, and that uv.lock is current
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/zizmor --offline --quiet .github/workflows
	env -u VIRTUAL_ENV UV_PROJECT_ENVIRONMENT=.venv UV_PYTHON_DOWNLOADS=never $(BIN)/uv lock --quiet --check --offline

audit: $(DEV) ## look for known vulnerabilities of what uv.lock pins, where an advisory service can be reached
	@tools/audit.sh

format: $(DEV) ## rewrite the sources in house style
	$(BIN)/ruff check --fix $(SOURCES)
	$(BIN)/ruff format $(SOURCES)

types: $(DEV) ## check types with mypy and pyright
	$(BIN)/mypy
	$(BIN)/pyright --pythonpath $(BIN)/python

layers: $(DEV) ## check that imports point one way
	$(BIN)/lint-imports --no-cache  # the cache misses modules that appear later

wheel: $(RUN) ## build the wheel and test it with src/ out of the way
	tools/check_wheel.sh

bench: $(RUN) ## measure overhead; ARGS=--quick for a short run
	$(BIN)/python -m bench $(ARGS)

clean: ## remove everything that can be made again
	rm -rf .venv build dist htmlcov .coverage .coverage.* bench/results .hypothesis
	rm -rf .nox .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
	find src tests bench tools -type d -name __pycache__ -prune -exec rm -rf {} +
