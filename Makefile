# Two commands: `make demo` runs the main job, `make test` passes the tests. Both set up what they need.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
DEMO_STAMP := $(VENV)/.demo-installed

.PHONY: site demo test slow quick nightly mutants pythons pins coverage check lint types types-here types-windows docs soak clean

demo: $(DEMO_STAMP)
	$(BIN)/tilekit demo --out demo-out

test: $(STAMP)
	./.ci/system-packages
	./.ci/test $(if $(SLOW),,-m "not slow")

# What takes five seconds and more each: trainings, browsers, whole chains; `make test SLOW=1` runs both.
slow: $(STAMP)
	./.ci/system-packages
	./.ci/test -m slow

# What can be told in a minute: geometry, boxes of a few kinds, errors, imports, names, walls.
quick: $(STAMP)
	$(BIN)/pytest -n 2 tests/test_grid.py tests/test_errors.py tests/test_imports.py tests/test_public_names.py \
		tests/test_walls.py tests/test_signatures.py tests/test_flow.py tests/test_ledger.py

# Long properties, thousands of examples each.
nightly: $(STAMP)
	HYPOTHESIS_PROFILE=nightly $(BIN)/pytest --timeout=7200 -n 2

# Whether tests notice a changed line: make mutants ROOM=grid COUNT=100
mutants: $(STAMP)
	$(BIN)/python tests/mutants.py $(or $(ROOM),grid) --count $(or $(COUNT),100)

# Before a release: the wheel, built as a stranger's pip builds it, on each Python that we state and this machine has.
pythons: $(STAMP)
	$(BIN)/python .ci/pythons

# Lines and branches that no test reaches; a report, not a floor.
coverage: $(STAMP)
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest -m "not slow" $(TESTS)
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

check: $(STAMP)
	./.ci/run

lint: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports

types: types-here types-windows

types-here: $(STAMP)
	$(BIN)/mypy

types-windows: $(STAMP)
	$(BIN)/mypy --platform win32 --cache-dir .mypy_cache/win32

# The newest releases of all that is needed, to be tested and committed.
pins: clean
	CONSTRAINTS= PYTHON=$(PYTHON) ./.ci/setup
	{ grep '^#' .ci/constraints.txt; $(BIN)/python -m pip freeze --exclude-editable | grep -v '^torch=='; } > .ci/pins
	mv .ci/pins .ci/constraints.txt

$(STAMP): pyproject.toml .ci/setup .ci/constraints.txt
	PYTHON=$(PYTHON) ./.ci/setup
	touch $(STAMP)

# The demo needs a third of what the tests need, and is somebody's first minutes with tilekit.
$(DEMO_STAMP): pyproject.toml .ci/setup .ci/constraints.txt
	[ -f $(STAMP) ] && [ $(STAMP) -nt pyproject.toml ] || PYTHON=$(PYTHON) ./.ci/setup demo
	touch $(DEMO_STAMP)

docs: $(STAMP)
	$(BIN)/python docs/make_reference.py

# The docs site, into site/; needs no network. A link that leads nowhere fails it.
site: $(STAMP)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict  # with --quiet it does not count its warnings, and passes

# Nightly: an archive through kills, full disks and changed inputs; minutes by SOAK=5.
SOAK ?= 30
soak: $(STAMP)
	$(BIN)/python benchmarks/soak.py --minutes $(SOAK)

clean:
	rm -rf $(VENV) build dist site demo-out .mypy_cache .ruff_cache .hypothesis
