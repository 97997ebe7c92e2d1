# Two commands carry a new checkout: `make demo` shows what Darkroom does, `make test` proves it.
# Both do all the set-up themselves (tools/setup.py) and are quick the second time.

PYTHON ?= python3
VENV   := .venv/bin
RUN    := $(VENV)/python -P -m

SHELL         := /bin/bash
.SHELLFLAGS   := -eu -o pipefail -c
.DEFAULT_GOAL := help
.PHONY: help demo demo-joint demo-encrypted up images setup setup-tests test test-long check lint types imports attack bench docs lock clean

help:  ## this list
	@awk -F ':.*  ## ' '/^[a-z-]+:.*  ## / {printf "  make %-14s %s\n", $$1, $$2}' Makefile

demo: setup  ## a small region, from data to a checked result, told in numbered steps
	@$(VENV)/darkroom-server demo

demo-joint: setup  ## agencies answer a bureau's questions together, and nobody learns anything else
	@$(VENV)/python -m examples.joint

demo-encrypted: setup  ## agencies compute on what they cannot read, and ask a register without saying about whom
	@$(VENV)/python -m examples.encrypted

up: setup  ## the platform on this machine, on loopback, until you stop it
	@$(VENV)/darkroom-server up

images: setup  ## every image of boxes, also those for notebooks
	@$(RUN) sandbox.images build --all
	@$(RUN) sandbox.images list

test: setup-tests lint types imports  ## everything that a change must pass
	@$(RUN) pytest -m "not long"

test-long: setup-tests  ## the long tests: searches, crashes, load
	@DARKROOM_TEST_PROFILE=search $(RUN) pytest -m "long" --timeout 1200

check: setup lint types imports  ## the fast part: style, types, imports, tests without boxes, Ray or PostgreSQL
	@$(RUN) pytest -q -m "not long and not box and not ray and not postgres"

lint:
	@$(VENV)/ruff check .
	@$(VENV)/ruff format --check --quiet . || { echo 'lint: run .venv/bin/ruff format .' >&2; exit 1; }

types:
	@$(VENV)/mypy

imports:
	@$(VENV)/lint-imports --no-logo

attack: setup  ## every attack on boxes, on both tiers: a table, and an error if one gains anything
	@$(RUN) sandbox.attacks

bench: setup  ## the measurements behind docs/performance.md
	@for name in airlock audit decide ingest ledger twin sql_guard sql_overhead box loader train joint matching encrypted lookup notebook; do $(VENV)/python -m benchmarks.$$name; done

docs: setup  ## the generated parts of docs/: commands, settings, errors, functions, constraints, vocabulary
	@$(RUN) server.reference docs

lock:  ## lock files anew from the .in lists (make lock UPGRADE=1: newer versions)
	@$(VENV)/python tools/lock.py $(if $(UPGRADE),--upgrade)

clean:  ## remove what set-up and tests made
	rm -rf .venv build dist *.egg-info client/*.egg-info .pytest_cache .mypy_cache .ruff_cache \
	    .import_linter_cache .hypothesis .coverage htmlcov
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

setup:
	@$(PYTHON) tools/setup.py

setup-tests:
	@$(PYTHON) tools/setup.py --for-tests
