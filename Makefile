# Two commands: `make demo` runs the main job, `make test` passes the tests. Both set up what they need.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: demo test check lint types docs soak clean

demo: $(STAMP)
	$(BIN)/tilekit demo --out demo-out

test: $(STAMP)
	./.ci/system-packages
	./.ci/test

check: $(STAMP)
	./.ci/run

lint: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports

types: $(STAMP)
	$(BIN)/mypy

$(STAMP): pyproject.toml .ci/setup
	PYTHON=$(PYTHON) ./.ci/setup
	touch $(STAMP)

docs: $(STAMP)
	$(BIN)/python docs/make_reference.py

# Nightly: an archive through kills, full disks and changed inputs; minutes by SOAK=5.
SOAK ?= 30
soak: $(STAMP)
	$(BIN)/python benchmarks/soak.py --minutes $(SOAK)

clean:
	rm -rf $(VENV) build dist demo-out .mypy_cache .ruff_cache .hypothesis
