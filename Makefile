# Two commands: `make demo` and `make test`. Each sets up its own environment in .venv first.
PY     ?= $(shell command -v python3.11 || command -v python3)
VENV   ?= .venv
EXTRAS ?= all
BIN    := $(VENV)/bin
UV      = $(BIN)/uv pip

# Wheels this machine already holds (pip's own setting) are handed on to uv; a missing folder would be an error there.
WHEELS := $(wildcard $(or $(PIP_FIND_LINKS),$(shell $(PY) -m pip config get global.find-links 2>/dev/null)))
ifneq ($(WHEELS),)
export UV_FIND_LINKS ?= $(WHEELS)
endif
# Without a GPU take the CPU build of torch (200 MB instead of gigabytes of CUDA), unless a local wheel serves already.
ifeq ($(shell command -v nvidia-smi)$(wildcard $(addsuffix /torch-*,$(WHEELS))),)
export UV_TORCH_BACKEND ?= cpu
endif
export PYTHONDONTWRITEBYTECODE =
export UV_LINK_MODE ?= copy
export UV_COMPILE_BYTECODE ?= 1

.DEFAULT_GOAL := help
.PHONY: help setup demo test slow chaos check format bench bench-serve docs lock clean

help:    ## list the targets
	@grep -E '^[a-z-]+: .*##' $(MAKEFILE_LIST) | sed -E 's/:.*##/\t/' | expand -t 13

setup: $(VENV)/.ok ## make the environment in .venv, with the `tastemaker` command in it

$(VENV)/.ok: pyproject.toml requirements/constraints.txt
	@test -x $(BIN)/python || $(PY) -m venv $(VENV) || \
	  { echo "python 3.11 or newer with the venv module is needed (Debian: apt install python3-venv)"; exit 1; }
	$(BIN)/python -m pip install -q --disable-pip-version-check uv
	$(UV) install -q -p $(BIN)/python -c requirements/constraints.txt -e '.[$(EXTRAS)]' --group dev
	@touch $@

demo: setup ## run the main job on the shipped sample: import, train, compare, recommend, explain
	$(BIN)/tastemaker demo

test: setup ## all tests but the slow ones
	$(BIN)/python -m pytest -q -n 2 --dist worksteal -m "not slow"

slow: setup ## the slow tests (minutes each)
	$(BIN)/python -m pytest -q -m slow

chaos: setup ## the long forms of kills, swaps, overload, faults and soak (hours); results in bench/results
	$(BIN)/python -m bench.serve.chaos

check: setup ## lint, format, types, layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

format: setup ## let ruff rewrite what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: setup ## the speed benchmarks (results go to bench/results)
	$(BIN)/python -m bench

bench-serve: setup ## the service against its bars (builds its world once; ONLY="recommend ingest" for some cases)
	$(BIN)/python -m bench.serve.run $(if $(ONLY),--only $(ONLY))

docs: setup ## write the reference from the code and build the documentation site into site/
	$(BIN)/python scripts/make_reference.py
	$(BIN)/zensical build --clean

lock: setup ## refresh requirements/constraints.txt
	UV_FIND_LINKS= $(UV) compile -q -U --universal -p 3.11 --all-extras --group dev --no-header --no-annotate \
	  --no-emit-index-url --no-emit-find-links pyproject.toml -o requirements/constraints.txt

clean:   ## remove the environment and what was built
	rm -rf $(VENV) site
