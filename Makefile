# What a contributor does, by name: `make help` lists it.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.NOTPARALLEL:
.DEFAULT_GOAL := help
MAKEFLAGS += --no-builtin-rules --warn-undefined-variables

PYTHON ?= python3
# An expression for pytest's -k: make test-cluster K=recommend
K ?=
# Cluster tests mostly wait, so there may be more of them at once than cores.
WORKERS ?= 4
# How many SLOs `make bench-scale` measures with, and what else `python -m bench.scale --help` lists.
SLOS ?= 1000
# For `make bench`, `bench-cluster` and `bench-diagnose`: a directory with traces, and what else the benchmark's --help lists.
TRACES ?=
BENCH_OPTIONS ?=

BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
STAMP := .venv/.installed
CLUSTER := $(PYTHON) dev/cluster/cluster.py
# With the same kubectl, helm and prometheus as the cluster.
CLUSTER_PYTEST = PATH="$$($(CLUSTER) bin):$$PATH" $(BIN)/pytest --timeout 3600 $(if $(K),-k "$(K)")
# Exit code 5: K chose none of these.
OR_NONE = $(if $(K),|| test $$? -eq 5)
# Set by test-long. What takes minutes, or needs real proxies or exporters, which take long to build, is left out without it.
PERFSLO_TEST_LONG ?=
CHOSEN = cluster$(if $(PERFSLO_TEST_LONG),, and not long)
PROXIES := envoy-gateway envoy traefik
# Side by side first, a file at a time, for its tests share a server; then, on a quiet machine, what measures it.
CLUSTER_TESTS = $(CLUSTER_PYTEST) -m "$(CHOSEN) and not alone" -n $(WORKERS) --dist loadfile --junitxml .out/junit-cluster.xml \
	$(OR_NONE); $(CLUSTER_PYTEST) -m "$(CHOSEN) and alone" --capture no --junitxml .out/junit-alone.xml $(OR_NONE)
GENERATED := crds docs/reference helm/perfslo/files
LOCK := CUSTOM_COMPILE_COMMAND="make lock" $(BIN)/pip-compile --quiet --upgrade --generate-hashes --allow-unsafe \
	--no-emit-index-url --no-emit-trusted-host --no-emit-find-links --no-emit-options

##@ Start

.PHONY: help
help: ## Explain the targets
	@awk 'BEGIN { FS = ":.*## " } \
	  /^##@ / { printf "\n%s\n", substr($$0, 5) } \
	  /^[a-z-]+:.*## / { printf "  %-23s %s\n", $$1, $$2 }' Makefile

.PHONY: install
install: $(STAMP) ## The project and its tools in .venv, exactly as locked

$(STAMP): requirements-dev.lock pyproject.toml
	@$(PYTHON) -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "perfslo needs Python 3.11 or later with its venv module: install it (Debian: apt-get install python3-venv)" >&2; \
	  echo "or name another one: make install PYTHON=python3.12" >&2; exit 1; }
	@echo "Installing the project and its tools into .venv"
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(PIP) --require-hashes --requirement requirements-dev.lock
	$(PIP) --no-deps --no-build-isolation --editable .
	@touch $@

.PHONY: demo
demo: install ## A cluster, a service under load, and perfslo keeping its promise
	$(BIN)/python -m demo.story

.PHONY: demo-down
demo-down: install ## Remove every trace of the demo
	$(BIN)/python -m demo.story down

##@ Check

.PHONY: test
test: install verify test-core ## Everything, on a real cluster too
	@$(CLUSTER) status >/dev/null 2>&1 || trap '$(CLUSTER) down' EXIT; \
	  $(CLUSTER) up; \
	  $(CLUSTER) image; \
	  $(CLUSTER_TESTS)

.PHONY: test-core
test-core: install ## What needs no server, in less than a minute
	$(BIN)/pytest -m "not cluster" -n auto --dist worksteal --timeout 60 --junitxml .out/junit-core.xml

.PHONY: test-cluster
test-cluster: install cluster images ## Part of what runs on a real cluster: make test-cluster K=expr
	$(CLUSTER_TESTS)

.PHONY: test-long
test-long: export PERFSLO_TEST_LONG = 1
test-long: install cluster images ## What runs on a real cluster, at full length, and real proxies
	$(CLUSTER) image $(PROXIES) postgres-exporter
	$(CLUSTER_TESTS)

.PHONY: verify
verify: generate ## Regenerate, lint, check types and import contracts; fail on a difference
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports
	@! command -v helm >/dev/null || helm lint --strict helm/perfslo
	@changed=$$(git status --porcelain -- $(GENERATED)); \
	if [ -n "$$changed" ]; then \
	  git --no-pager diff -- $(GENERATED); \
	  printf 'These are generated and differ from what is committed; commit them:\n%s\n' "$$changed" >&2; \
	  exit 1; \
	fi

##@ Measure

.PHONY: bench
bench: install ## How well perfslo decides, against its rivals and a clairvoyant: make bench TRACES=dir
	$(BIN)/python -m bench.decide $(if $(TRACES),--traces "$(TRACES)") $(BENCH_OPTIONS)

.PHONY: bench-diagnose
bench-diagnose: install ## How often it finds what is the matter: make bench-diagnose TRACES=dir
	$(BIN)/python -m bench.diagnose $(if $(TRACES),--traces "$(TRACES)") $(BENCH_OPTIONS)

.PHONY: bench-diagnose-cluster
bench-diagnose-cluster: install cluster images ## The same on the local cluster, five plays of each class
	$(CLUSTER) image traefik
	PYTHONPATH=dev/cluster:. $(BIN)/python -m bench.diagnose.cluster $(BENCH_OPTIONS)

.PHONY: bench-scale
bench-scale: install ## What the operator costs with many SLOs, as a row of JSON: make bench-scale SLOS=1000
	@PYTHONPATH=dev/cluster:. PERFSLO_CLUSTER_STATE="$(CURDIR)/.out/bench-scale" \
	  $(BIN)/python -m bench.scale --slos $(SLOS) $(BENCH_OPTIONS)

.PHONY: bench-cluster
bench-cluster: install cluster images ## An hour beside real rivals on the local cluster: make bench-cluster TRACES=dir
	PYTHONPATH=dev/cluster:. $(BIN)/python -m bench.cluster --traces "$(TRACES)" $(BENCH_OPTIONS)

.PHONY: bench-levers
bench-levers: install cluster images ## An hour of what may befall a service, beside a stock HPA, on the local cluster
	$(CLUSTER) image traefik
	PYTHONPATH=dev/cluster:. $(BIN)/python -m bench.levers $(BENCH_OPTIONS)

##@ Cluster

.PHONY: cluster
cluster: ## Bring up a bare local cluster and print its kubeconfig
	$(CLUSTER) up

.PHONY: cluster-down
cluster-down: ## Stop it and remove what it made
	$(CLUSTER) down

.PHONY: image
image: ## Build the operator's image and load it into the local cluster
	$(CLUSTER) image operator

.PHONY: images
images:
	$(CLUSTER) image

##@ Maintain

.PHONY: generate
generate: install ## Write what is made from the API models: CRDs, the chart's copy of them, the API reference
	$(BIN)/python -m perfslo.api.crd --write
	$(BIN)/python -m perfslo.api.reference --write
	$(BIN)/python -m perfslo.edges.rules --write
	mkdir -p helm/perfslo/files/crds && cp crds/*.yaml helm/perfslo/files/crds/

.PHONY: golden
golden: install ## Write what tests compare with: the presets' queries, the chart's renderings
	$(BIN)/python -m tests.core.preset_queries
	$(BIN)/python -m tests.helm.render

.PHONY: lock
lock: install ## Resolve the dependencies anew and pin them with hashes
	$(LOCK) --strip-extras --output-file requirements.lock pyproject.toml
	@# With extras: pip takes a pin without one for no pin of coverage[toml], as soon as there is a newer coverage.
	$(LOCK) --no-strip-extras --extra dev --extra simulate --constraint requirements.lock \
	  --output-file requirements-dev.lock pyproject.toml
	$(LOCK) --strip-extras --only-build-deps --build-deps-for wheel \
	  --constraint <(sed -E 's/^([a-z0-9-]+)\[[a-z,]+\]==/\1==/' requirements-dev.lock) \
	  --output-file requirements-build.lock pyproject.toml
	$(LOCK) --strip-extras --constraint requirements.lock --output-file demo/requirements.txt demo/requirements.in

.PHONY: clean
clean: ## Remove what builds and tests left behind; .venv stays
	rm -rf .out .coverage .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache build dist
	find . -path ./.venv -prune -o -name __pycache__ -type d -exec rm -rf {} +
