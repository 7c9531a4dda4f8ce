#!/usr/bin/env bash
# MinIO for tests: an S3 store on this machine, without installing it.
#
#     minio.sh start DIR       a server on 127.0.0.1, its files in DIR; returns when it answers;
#                              DIR/port says where (NETCRAB_MINIO_PORT chooses; default: a free one);
#                              its keys are MINIO_ROOT_USER and MINIO_ROOT_PASSWORD,
#                              by default netcrab and netcrab-secret
#     minio.sh stop DIR        ends that server and no other; its data remain
#     minio.sh path            prints the program's path
#
# Built from source by Go at the version pinned below, once (about three minutes), and cached outside
# the tree.
set -euo pipefail
. "$(dirname "$0")/server.sh"

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

start() {
    local directory port
    mkdir -p "$1/data"
    directory="$(cd "$1" && pwd)"
    runs_already "$directory" minio && return
    port="${NETCRAB_MINIO_PORT:-$(free_port)}"
    MINIO_ROOT_USER="${MINIO_ROOT_USER:-netcrab}" MINIO_ROOT_PASSWORD="${MINIO_ROOT_PASSWORD:-netcrab-secret}" \
        MINIO_BROWSER=off MINIO_UPDATE=off \
        setsid "$program" server --quiet --address "127.0.0.1:$port" --certs-dir "$directory/certs" "$directory/data" \
        </dev/null >"$directory/stdout" 2>"$directory/stderr" 9>&- &
    echo "$!" >"$directory/pid"
    echo "$port" >"$directory/port"
    await_server "$directory" minio "http://127.0.0.1:$port/minio/health/ready" 300 && return
    stop "$directory"
    return 1
}

stop() {
    stop_server "$1" "$program" port
}

command="${1:-}"
shift || usage
case "$command" in
    start) [ $# = 1 ] || usage; install; start "$1" ;;
    stop) [ $# = 1 ] || usage; stop "$1" ;;
    path) install; echo "$program" ;;
    *) usage ;;
esac
