#!/usr/bin/env bash
# Prints the figures of docs/performance.md: ingest, size on disk and queries against the release build.
set -euo pipefail
cd "$(dirname "$0")/.."
exec python3 tests/bench/bench.py --bin "${CARGO_TARGET_DIR:-target}/release" "$@"
