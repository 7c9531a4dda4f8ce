#!/usr/bin/env bash
# MinIO for tests: an S3 store on this machine, without installing it.
#
#     minio.sh start DIR       a server on 127.0.0.1, its files in DIR; returns when it answers;
#                              DIR/port says where (NETCRAB_MINIO_PORT chooses; default: a free one);
#                              its keys are MINIO_ROOT_USER and MINIO_ROOT_PASSWORD,
#                              by default netcrab and netcrab-secret
#     minio.sh stop DIR        ends that server and no other; its data stay
#     minio.sh path            prints the program's path
#
# Built from source by Go at the version pinned below, once (about three minutes), and cached outside
# the tree.
set -euo pipefail

version=v0.0.0-20260212201848-7aac2a2c5b7c
cache="${NETCRAB_CACHE:-$HOME/.cache/netcrab}/minio/$version"
program="$cache/minio"

install() {
    [ -e "$program" ] && return
    if ! command -v go >/dev/null; then
        echo "go is missing, and MinIO is built with it; install Go 1.24 or later, then run this again" >&2
        return 1
    fi
    mkdir -p "$cache"
    # Two callers at once: the second waits, then finds it complete.
    exec 9>"$cache.lock"
    flock 9
    [ -e "$program" ] && return
    local scratch
    scratch="$(mktemp -d "$cache/install.XXXXXX")"
    echo "building MinIO, once" >&2
    GOBIN="$scratch" GOFLAGS= go install "github.com/minio/minio@$version" 9>&- >&2
    mv "$scratch/minio" "$program"
    rm -r "$scratch"
}

free_port() {
    python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

start() {
    local directory port pid
    mkdir -p "$1/data"
    directory="$(cd "$1" && pwd)"
    if [ -e "$directory/pid" ] && kill -0 "$(cat "$directory/pid")" 2>/dev/null; then
        echo "minio already runs in $directory" >&2
        return
    fi
    port="${NETCRAB_MINIO_PORT:-$(free_port)}"
    MINIO_ROOT_USER="${MINIO_ROOT_USER:-netcrab}" MINIO_ROOT_PASSWORD="${MINIO_ROOT_PASSWORD:-netcrab-secret}" \
        MINIO_BROWSER=off MINIO_UPDATE=off \
        setsid "$program" server --quiet --address "127.0.0.1:$port" --certs-dir "$directory/certs" "$directory/data" \
        </dev/null >"$directory/stdout" 2>"$directory/stderr" 9>&- &
    pid=$!
    echo "$pid" >"$directory/pid"
    echo "$port" >"$directory/port"
    for _ in $(seq 300); do
        if curl -sf -o /dev/null "http://127.0.0.1:$port/minio/health/ready"; then
            return
        fi
        if ! kill -0 "$pid" 2>/dev/null; then
            break
        fi
        sleep 0.1
    done
    echo "minio did not start; see $directory/stderr" >&2
    cat "$directory/stderr" >&2
    stop "$directory"
    return 1
}

stop() {
    local pid
    [ -e "$1/pid" ] || return 0
    pid="$(cat "$1/pid")"
    # A pid may have been given to another program since.
    if [ "$(readlink "/proc/$pid/exe")" = "$(readlink -f "$program")" ]; then
        kill "$pid" 2>/dev/null || true
        for _ in $(seq 50); do
            kill -0 "$pid" 2>/dev/null || break
            sleep 0.1
        done
        kill -9 "$pid" 2>/dev/null || true
    fi
    rm -f "$1/pid" "$1/port"
}

usage() {
    sed -n '2,/^$/s/^# \{0,1\}//p' "$0" | sed '/^set /d' >&2
    exit 2
}

command="${1:-}"
shift || usage
case "$command" in
    start) [ $# = 1 ] || usage; install; start "$1" ;;
    stop) [ $# = 1 ] || usage; stop "$1" ;;
    path) install; echo "$program" ;;
    *) usage ;;
esac
