# SPDX-License-Identifier: Apache-2.0
# `make` alone prints what there is. Everything happens in .venv; nothing is installed into the system.

SHELL := /bin/sh
BIN := .venv/bin
# Simulated worlds: of `make sim`, and of `make test`, which has twelve minutes on two cores.
SEEDS ?= 200
TEST_SEEDS ?= 100
MINUTES ?= 10
# Tests that need nothing but the processor. They give way (nice) to those that live in real time: the page
# alone first, for it is measured in tenths of a second, then what waits for brokers: four at once, because
# they wait for most of their time.
# The longest come first, so that none is left over for the end.
COMPUTE := $(wildcard tests/simulation tests/property tests/unit)
LIVE = $(BIN)/pytest $(COMPUTE:%=--ignore=%)
ARGS ?=

# The Python that makes .venv; `make PYTHON=/path/to/python3` chooses another.
FIND_PYTHON = python=$$(PYTHON="$(PYTHON)" sh scripts/find_python.sh)

.DEFAULT_GOAL := help
.PHONY: help setup demo proof check test sim rates bench fuzz lock third-party clean

help: ## this list
	@echo "taxistream: a taxi city that runs live on Apache Kafka"
	@echo
	@sed -n 's/^\([a-z-]*\):[^#]*## \(.*\)/\1|\2/p' Makefile | while IFS='|' read -r name what; do \
	    printf '  make %-12s %s\n' "$$name" "$$what"; done

setup: ## .venv with everything but Kafka's jars and a browser
	@$(FIND_PYTHON) && "$$python" -m scripts.install dev

demo: ## the city, live: http://127.0.0.1:8000 (options: ARGS="--drivers 5000 --fresh")
	@$(FIND_PYTHON) && "$$python" -m scripts.install run
	@exec $(BIN)/taxi demo $(ARGS)

proof: ## kill each kind of part on three brokers, compare everything with the log; < 2 minutes
	@$(FIND_PYTHON) && "$$python" -m scripts.install run
	@exec $(BIN)/taxi proof $(ARGS)

check: setup ## format, lint, types, import rules, names, for Python and TypeScript
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports --no-cache
	$(BIN)/python -m scripts.vocabulary --check
	$(BIN)/python -m scripts.doc_names --check
	$(BIN)/mypy
	$(BIN)/python -m scripts.front_end check

test: check ## every check and every test
	@$(BIN)/python -m scripts.ensure_browser || test "$$CI" != true
	@$(BIN)/python -m scripts.ensure_kafka || test "$$CI" != true
	$(BIN)/python -m scripts.front_end test
	@SEEDS=$(TEST_SEEDS) $(BIN)/python -m scripts.side_by_side \
	    live='$(LIVE) -m browser; page=$$?; $(LIVE) -m "not browser" -n 4 --dist loadfile && exit $$page' \
	    compute='nice -n 10 $(BIN)/pytest -n 2 --dist worksteal $(COMPUTE)'

sim: setup ## the whole system under SEEDS=200 seeds: inject faults, repair them, check every promise
	SEEDS=$(SEEDS) $(BIN)/pytest -n 2 tests/simulation

rates: setup ## how often the simulation finds each planted bug (ARGS="--bug NAME --seeds N --write")
	$(BIN)/python -m scripts.detection_rates $(ARGS)

bench: setup ## measure the figures of the documentation (BENCH=name runs only bench/name.py)
	@for file in $(or $(BENCH:%=bench/%.py),$(sort $(wildcard bench/*.py))); do \
	    echo "== $$file"; $(BIN)/python "$$file" $(ARGS) || exit 1; done

fuzz: setup ## random settings, requests, frames, record batches for MINUTES=10 each; prints what fails
	$(BIN)/python -m scripts.fuzz_settings --minutes $(MINUTES)
	$(BIN)/python -m scripts.fuzz_http --minutes $(MINUTES)
	$(BIN)/python -m scripts.fuzz_sockets --minutes $(MINUTES)
	$(BIN)/python -m scripts.fuzz_batches --minutes $(MINUTES)

lock: ## write requirements/*.txt again (UPGRADE=1: with the newest versions)
	@$(FIND_PYTHON) && "$$python" -m scripts.install lock && $(BIN)/python -m scripts.lock $(if $(UPGRADE),--upgrade)

third-party: setup ## write THIRD_PARTY.md again
	$(BIN)/python -m scripts.third_party

clean: ## remove what is built, cached or installed here; the city's log (.taxi) stays
	rm -rf .venv build dist web/static web/frontend/node_modules .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
