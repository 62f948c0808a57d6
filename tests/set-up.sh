#!/usr/bin/env bash
# Installs what the tests need beyond Rust and Node: Chromium, a Python environment, playwright-core.
set -euo pipefail
cd "$(dirname "$0")"

need=()
command -v chromium >/dev/null || need+=(chromium)
python3 -c 'import venv, ensurepip' 2>/dev/null || need+=(python3-venv)
if ((${#need[@]})); then
    install="apt-get update && apt-get install -y --no-install-recommends ${need[*]}"
    if [[ $(id -u) == 0 ]]; then
        bash -c "$install" >/tmp/daymark-apt.log 2>&1 || { tail -n 20 /tmp/daymark-apt.log; exit 1; }
    elif sudo -n true 2>/dev/null; then
        sudo bash -c "$install" >/tmp/daymark-apt.log 2>&1 || { tail -n 20 /tmp/daymark-apt.log; exit 1; }
    else
        echo "The tests need ${need[*]}. Install with:  sudo sh -c '$install'" >&2
        exit 1
    fi
fi

venv=python/.venv
if ! cmp -s python/requirements.txt "$venv/installed.txt" 2>/dev/null; then
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check -r python/requirements.txt
    cp python/requirements.txt "$venv/installed.txt"
fi

if ! cmp -s browser/package-lock.json browser/node_modules/installed.json 2>/dev/null; then
    (cd browser && npm ci --no-audit --no-fund --loglevel=error)
    cp browser/package-lock.json browser/node_modules/installed.json
fi
