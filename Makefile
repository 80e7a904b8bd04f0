# Targets for people; `make` alone lists them.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help setup demo demo-real demo-all test lint types check format clean

help:  ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

$(INSTALLED): pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet -e '.[dev]'
	touch $(INSTALLED)

setup: $(INSTALLED)  ## make .venv and install the project into it

demo: $(INSTALLED)  ## run the main job on the embedded default: video to scores, leaderboard files and pictures
	$(BIN)/python -m experiments.demo.run_demo

demo-real: $(INSTALLED)  ## the packaged model on clips of yours: make demo-real DIR=clips
	$(BIN)/python -m fusion.predict "$(DIR)" --out runs/demo-real

demo-all: $(INSTALLED)  ## train every recipe on the embedded default and score each on held-out people
	$(BIN)/python -m experiments.demo.run_recipes

test: $(INSTALLED)  ## run all tests
	$(BIN)/python -m pytest -n 2 --dist loadfile

lint: $(INSTALLED)  ## check style, formatting, and that imports run one way
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

types: $(INSTALLED)  ## check types
	$(BIN)/mypy

check: lint types test  ## all of the above

format: $(INSTALLED)  ## mend style and formatting
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:  ## remove the environment, the demo corpus, runs and caches
	rm -rf $(VENV) data/demo data/demo_truth runs .pytest_cache .mypy_cache .ruff_cache .hypothesis *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
