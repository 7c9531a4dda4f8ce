# The two commands are `make demo` and `make test`; `make help` lists the rest.
SHELL := /bin/bash
export CARGO_TARGET_DIR ?= $(CURDIR)/target
CARGO ?= cargo
RUST_TESTS ?=
# Everything that tests build uses one set of features. Another set would compile DataFusion again.
FEATURES := --features netcrab-pipeline/kafka

.PHONY: help demo test test-rust test-clients fuzz lint bench build graph

help:
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 16

demo: ## install what is missing, build, run a month of traffic, serve the API
	@scripts/setup.sh
	@test -e "$(CARGO_TARGET_DIR)/demo/netcrab" || echo "building once, a quarter of an hour on two cores: the bar shows how many of some 500 crates are left" >&2
	$(CARGO) build --profile demo --bin netcrab
	$(CARGO_TARGET_DIR)/demo/netcrab demo

build: ## the release binary
	@scripts/setup.sh
	$(CARGO) build --release --bin netcrab

test: lint test-rust test-clients ## everything

test-rust:
	@scripts/setup.sh tests
	@scripts/minio.sh path >/dev/null
	@scripts/clickhouse.sh path >/dev/null
	@scripts/postgres.sh path >/dev/null
	$(CARGO) test --workspace $(FEATURES) $(RUST_TESTS)

test-clients: ## other programs against ours: DuckDB, Polars, pyarrow, deltalake, Spark, ClickHouse, MinIO, PostgreSQL
	@scripts/setup.sh tests
	@scripts/minio.sh path >/dev/null
	@scripts/clickhouse.sh path >/dev/null
	@scripts/postgres.sh path >/dev/null
	@scripts/spark.sh path >/dev/null
	$(CARGO) build --workspace $(FEATURES) --tests --bins
	NETCRAB="$(CARGO_TARGET_DIR)/debug/netcrab" "$$(scripts/python.sh)" -m pytest -q -p no:cacheprovider pipeline/tests/clients

fuzz: ## random input for each decoder, a minute each (NETCRAB_FUZZ_SECONDS, default 60)
	@scripts/setup.sh
	scripts/fuzz.sh

lint: ## format, clippy, and deny.toml: licences, bans, sources, advisories
	@scripts/setup.sh tests
	$(CARGO) fmt --all --check
	scripts/deny.sh
	$(CARGO) clippy --workspace --all-targets $(FEATURES) -- -D warnings

graph: ## which source file uses which, crate by crate, and the cycles (CRATES="bus api": these only)
	@$(CARGO) run -q -p netcrab-workspace -- $(CRATES)

bench: ## netcrab against DuckDB, Polars and ClickHouse on ten million events
	@scripts/setup.sh
	$(CARGO) build --release --bin netcrab
	NETCRAB="$(CARGO_TARGET_DIR)/release/netcrab" "$$(scripts/python.sh)" benches/chain.py
