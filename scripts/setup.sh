#!/usr/bin/env bash
# Installs what the build needs where it is missing: a C compiler, cmake and python3 with venv.
#
#     setup.sh           for the release binary
#     setup.sh tests     also for the Kafka bus (make, OpenSSL's headers) and the servers of the tests: Kafka
#                        (Java, Maven), MinIO (Go), ClickHouse (npm); Spark needs Java and Maven too
set -euo pipefail

if ! command -v cargo >/dev/null; then
    echo "cargo is missing; install Rust 1.95 or later with rustup, then run this again" >&2
    exit 1
fi

missing=()
command -v cc >/dev/null || missing+=(build-essential)
command -v cmake >/dev/null || missing+=(cmake)
command -v python3 >/dev/null || missing+=(python3 python3-venv)
if [ "${1:-}" = tests ]; then
    command -v make >/dev/null || missing+=(make)
    command -v pkg-config >/dev/null || missing+=(pkg-config)
    pkg-config --exists libssl 2>/dev/null || missing+=(libssl-dev)
    command -v java >/dev/null && command -v keytool >/dev/null || missing+=(default-jre-headless)
    command -v mvn >/dev/null || missing+=(maven)
    command -v go >/dev/null || missing+=(golang-go)
    command -v npm >/dev/null || missing+=(npm)
fi
if [ ${#missing[@]} -eq 0 ]; then
    exit 0
fi

if ! command -v apt-get >/dev/null; then
    echo "missing: ${missing[*]}; install them with your system's package manager, then run this again" >&2
    exit 1
fi
sudo=""
if [ "$(id -u)" -ne 0 ]; then sudo="sudo"; fi
echo "installing ${missing[*]}" >&2
$sudo apt-get update -qq
DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq "${missing[@]}" >&2
