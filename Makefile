PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
READY := .venv/.ready

.PHONY: run test slow soak check docs clean

run: $(READY)  ## the whole study on the built-in digits network: runs/digits/report.html
	OMP_NUM_THREADS=1 $(BIN)/boundary run --out runs/digits
	@echo 'After `source $(BIN)/activate` the command is: boundary'

test: $(READY)  ## the tests, without the slow ones
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist loadfile

slow: $(READY)  ## the tests that take minutes
	$(BIN)/python -m pytest -m slow

soak: $(READY)  ## kills, faults, mutated and hostile files, at full length: under 20 minutes
	PYTHONPATH=tests $(BIN)/python -m soak

check: $(READY)  ## lint, types, import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(READY)  ## the documentation as a site: docs/_build/html/index.html
	$(BIN)/sphinx-build -W --keep-going -n -q docs docs/_build/html

clean:
	rm -rf .venv build docs/_build *.egg-info

$(READY): pyproject.toml constraints.txt
	@echo "Setting up .venv: pip downloads packages, torch the largest, in silence; it takes a few minutes."
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[test,dev,docs]'
	touch $@
