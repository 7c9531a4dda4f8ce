#!/usr/bin/env bash
# Prints the path of a Python that has the packages of requirements.txt.
#
#     "$(scripts/python.sh)" benches/rivals/duckdb_chain.py …
#
# The venv is outside the tree. There is one for each content of requirements.txt and version of Python,
# so a changed pin gets a new venv and an unchanged one needs no network.
# NETCRAB_PYTHON chooses the Python that creates it (default: python3).
set -euo pipefail

requirements="$(cd "$(dirname "$0")" && pwd)/requirements.txt"
cache="${NETCRAB_CACHE:-$HOME/.cache/netcrab}/python"
base="${NETCRAB_PYTHON:-python3}"

version="$("$base" -c 'import sys; print("%d.%d.%d" % sys.version_info[:3])')"
key="$( (echo "$version"; cat "$requirements") | sha256sum | cut -c1-16)"
venv="$cache/$key"

if [ ! -e "$venv/.complete" ]; then
    mkdir -p "$cache"
    # Two callers at once: the second waits, then finds the venv complete.
    exec 9>"$cache/$key.lock"
    flock 9
    if [ ! -e "$venv/.complete" ]; then
        rm -rf "$venv"
        "$base" -m venv "$venv" >&2
        "$venv/bin/python" -m pip install --quiet --disable-pip-version-check \
            --only-binary :all: --requirement "$requirements" >&2
        touch "$venv/.complete"
    fi
fi
echo "$venv/bin/python"
