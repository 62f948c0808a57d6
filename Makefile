# The one door: every command installs what it needs.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

UI_SOURCES := $(shell find ui -type f -not -path 'ui/node_modules/*' -not -path 'ui/dist/*' 2>/dev/null)

.PHONY: help demo test build bench soak lint

help: ## list the commands
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

demo: ui/dist/index.html ## run the whole path on embedded defaults: a shop that breaks, pages and recovers
	cargo build --locked -p daymark --no-default-features
	target/debug/daymark demo $(DEMO_ARGS)

test: ui/dist/index.html ## run every test, end to end ones with real processes, SDKs and a browser included
	tests/set-up.sh
	cargo build --locked --workspace --bins --tests
	tests/run.sh

build: ui/dist/index.html ## make target/release/daymark and target/release/daymark-agent
	cargo build --locked --release -p daymark -p daymark-agent

bench: ui/dist/index.html ## print the figures of docs/performance.md
	cargo build --locked --release -p daymark -p daymark-agent -p daymark-tests --bins
	tests/bench.sh

soak: ui/dist/index.html ## ten minutes at 80 % of the maximum, and ten at three times it
	cargo build --locked --release -p daymark -p daymark-agent -p daymark-tests --bins
	python3 tests/bench/soak.py --bin "$${CARGO_TARGET_DIR:-target}/release"
	python3 tests/bench/overload.py --bin "$${CARGO_TARGET_DIR:-target}/release"

lint: ## formatting, clippy, dependency policy
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets -- -D warnings

ui/dist/index.html: $(UI_SOURCES)
	cd ui && npm ci --no-audit --no-fund --loglevel=error && npm run build
	touch ui/dist/index.html
