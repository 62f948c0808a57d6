#!/usr/bin/env bash
# Runs every test: unit and property tests beside the code, then the end-to-end tests against the built programs.
set -euo pipefail
cd "$(dirname "$0")/.."
cargo test --locked --workspace --lib --bins --tests
(cd ui && npm test)
