# Everything runs in .venv, which is made on first use: only Python 3.11+, make and a package index are needed.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: help demo test soak lint format clean

help:
	@echo "make demo    set up, then find the roads of a generated sample scene"
	@echo "make test    set up, then run the tests (minutes)"
	@echo "make soak    set up, then run what takes longer: many kills, whole trainings"
	@echo "make lint    set up, then ruff and mypy"
	@echo "make format  set up, then let ruff mend what it can"
	@echo "make clean   remove what the others made"

# Installed again only when pyproject.toml changes.
$(READY): pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(0 if v >= (3, 11) else f"Python 3.11 or later is needed, this is {v[0]}.{v[1]}: run make PYTHON=/path/to/python3.11")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $(READY)

demo: $(READY)
	$(BIN)/python -m flows.demo

test: $(READY)
	$(BIN)/python -m pytest -m "not soak" -n 2 --dist loadfile

soak: $(READY)
	$(BIN)/python -m pytest -m soak

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) demo .mypy_cache .ruff_cache .pytest_cache .hypothesis *.egg-info
