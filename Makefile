# siyu's commands; `make` alone lists them.
#
# Needs python3 and make. Everything else is installed beside this file: uv into .uv, the locked
# environment into .venv. uv's own variables (UV_CACHE_DIR, UV_DEFAULT_INDEX, UV_PYTHON,
# UV_PROJECT_ENVIRONMENT, …) are passed on as they are.

PYTHON ?= python3
UV_VERSION := 0.13.9
VENV := $(or $(UV_PROJECT_ENVIRONMENT),.venv)
BIN := $(VENV)/bin
# Of the simulated retailer: tiny, demo, or a number of members.
SIZE ?= demo
# Processes that run tests side by side.
JOBS ?= 2

uv_ready := .uv/ready-$(UV_VERSION)
env_ready := $(VENV)/.synced
spark_ready := $(VENV)/.synced-spark
# Spark is half a gigabyte and useless without Java, so only `make test` asks for it, and only where Java is.
test_ready := $(if $(shell command -v java),$(spark_ready),$(env_ready))

comma := ,
# $(call timed,what,command): run it and say how long it took.
timed = @echo "── $(1)"; start=$$(date +%s); $(2) && echo "── $(1): $$(( $$(date +%s) - start )) s"
# Files, not tests, are dealt out: a file's fixtures are then built once. They come in the order of
# collection, the longest first (tests/conftest.py), so that no process is left alone at the end.
pytest = $(BIN)/pytest -q -n $(JOBS) --dist loadfile --no-loadscope-reorder
# What runs side by side is shown whole, one after the other, where make can (4 and later).
beside = -j $(JOBS) $(if $(filter output-sync,$(.FEATURES)),--output-sync=target)

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules --no-print-directory

.PHONY: help
help: ## List the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-17s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: demo
demo: $(env_ready) ## Simulate a retailer, run every job on it, print what came out
	@$(BIN)/siyu demo --size $(SIZE)

.PHONY: ui
ui: $(env_ready) ## Start Dagster and MLflow on localhost
	@$(BIN)/siyu ui

# Fast tiers come first, and a failing one stops the rest.
.PHONY: test
test: $(test_ready) ## Lint, then every tier of tests; the first failure stops
	@$(MAKE) lint
	@$(MAKE) test-unit
	@$(MAKE) test-slow

.PHONY: test-unit
test-unit: $(env_ready) ## Unit tests
	$(call timed,unit tests,$(pytest) tests/unit)

# As one run, because the tiers fill each other's gaps: Spark and a killed run keep one core each.
.PHONY: test-slow
test-slow: $(test_ready) ## Integration, pipeline and Spark tests together
	$(call timed,integration$(comma) pipeline and Spark tests,$(pytest) tests/integration tests/pipeline)

.PHONY: test-integration
test-integration: $(env_ready) ## Integration tests: one component with its real part
	$(call timed,integration tests,$(pytest) -m "not spark" tests/integration)

.PHONY: test-pipeline
test-pipeline: $(env_ready) ## Pipeline tests: the whole job on small data
	$(call timed,pipeline tests,$(pytest) -m "not spark" tests/pipeline)

# One process: a Spark session takes both cores, and a second one its memory.
.PHONY: test-spark
test-spark: $(test_ready) ## Tests that need Spark; skipped without Java
	$(call timed,Spark tests,$(BIN)/pytest -q -m spark tests/integration tests/pipeline)

.PHONY: lint
lint: $(env_ready) ## Style, types and SQL
	@$(MAKE) $(beside) lint-style lint-types lint-sql

.PHONY: lint-style lint-types lint-sql
lint-style: $(env_ready)
	$(call timed,ruff,$(BIN)/ruff check . && $(BIN)/ruff format --check .)

lint-types: $(env_ready)
	$(call timed,mypy,$(BIN)/mypy)

lint-sql: $(env_ready)
	$(call timed,sqlfluff,$(BIN)/sqlfluff lint dbt_project retailers)

.PHONY: bench
bench: $(env_ready) ## Run the benchmarks, or one: make bench ONLY=<name>
	@$(BIN)/python -m benchmarks $(ONLY)

# Only an environment that carries our mark is removed: UV_PROJECT_ENVIRONMENT may name any folder.
.PHONY: clean
clean: ## Remove the environment and the caches; keep the data in .siyu
	@if [ -e $(env_ready) ]; then rm -rf $(VENV); fi
	rm -rf .uv .mypy_cache .ruff_cache .pytest_cache .hypothesis logs
	rm -rf dbt_project/target dbt_project/logs metastore_db derby.log spark-warehouse
	find . -name __pycache__ -not -path './.siyu/*' -type d -prune -exec rm -rf {} +
	@if [ -d .siyu ]; then echo "Kept .siyu: lake, vault, keys, models. To lose them for good: rm -rf .siyu"; fi

$(uv_ready):
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "$(PYTHON) cannot make virtual environments: on Debian and Ubuntu run" >&2; \
	  echo "    apt-get install python3 python3-venv" >&2; exit 1; }
	@$(PYTHON) -m venv --clear .uv
	@.uv/bin/pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	@touch $@

$(env_ready): pyproject.toml uv.lock | $(uv_ready)
	@.uv/bin/uv sync --frozen --extra probabilistic
	@touch $@

$(spark_ready): $(env_ready)
	@.uv/bin/uv sync --frozen --extra probabilistic --extra spark
	@touch $@
