#!/usr/bin/env bash
# PostgreSQL for tests: a throw-away cluster on this machine.
#
#     postgres.sh start DIR    a server on 127.0.0.1, its files in DIR; returns when it answers;
#                              DIR/port says where (NETCRAB_POSTGRES_PORT chooses; default: a free one);
#                              user netcrab, password netcrab-secret, database postgres.
#                              It does not flush to the disk, so it is fit for tests only
#     postgres.sh stop DIR     ends that server and no other; its data remain
#     postgres.sh path         prints the folder of its programs
#
# It uses the newest PostgreSQL of the system, and installs Debian's where there is none. PostgreSQL refuses to run
# as root: started by root, it runs as `postgres` or `nobody`, and that user gets access to DIR.
set -euo pipefail
. "$(dirname "$0")/server.sh"

# programs: prints the folder that holds `postgres` and `initdb`; fails where there is none.
programs() {
    local newest found
    newest="$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -1 || true)"
    if [ -n "$newest" ] && [ -x "$newest/postgres" ]; then
        echo "$newest"
        return
    fi
    found="$(command -v postgres)" || return 1
    dirname "$(readlink -f "$found")"
}

install() {
    programs >/dev/null && return
    if ! command -v apt-get >/dev/null; then
        echo "postgres is missing; install PostgreSQL 14 or later, then run this again" >&2
        return 1
    fi
    local sudo=""
    if [ "$(id -u)" -ne 0 ]; then sudo="sudo"; fi
    echo "installing PostgreSQL" >&2
    # Debian would start a server of its own.
    $sudo mkdir -p /etc/postgresql-common/createcluster.d
    echo "create_main_cluster = false" | $sudo tee /etc/postgresql-common/createcluster.d/netcrab.conf >/dev/null
    $sudo apt-get update -qq >&2
    DEBIAN_FRONTEND=noninteractive $sudo apt-get -o DPkg::Lock::Timeout=300 install -y -qq postgresql >&2
    $sudo rm /etc/postgresql-common/createcluster.d/netcrab.conf
}

# unprivileged: prints the user as whom the server runs where root starts it; nothing otherwise.
unprivileged() {
    [ "$(id -u)" -eq 0 ] || return 0
    getent passwd postgres nobody | head -1 | cut -d: -f1
}

# become COMMAND…: replaces this process by COMMAND, run as the user who may run the server.
become() {
    local user
    user="$(unprivileged)"
    if [ -n "$user" ]; then
        exec setpriv --reuid "$user" --regid "$(id -g "$user")" --clear-groups "$@"
    fi
    exec "$@"
}

# cluster DIR: an empty database in DIR/data.
cluster() {
    local user
    user="$(unprivileged)"
    mkdir -p "$1/data"
    echo netcrab-secret >"$1/password"
    chmod 600 "$1/password"
    if [ -n "$user" ]; then
        # Other users may pass through the folder, and read nothing in it.
        chmod a+x "$1"
        chown -R "$user" "$1/data" "$1/password"
        if ! (become test -x "$1/data"); then
            echo "$user cannot reach $1; choose a folder whose parents other users may enter, such as one in /tmp" >&2
            return 1
        fi
    fi
    if ! (cd "$1/data" && become "$(programs)/initdb" --pgdata "$1/data" --username netcrab --pwfile "$1/password" \
        --auth scram-sha-256 --encoding UTF8 --no-locale --no-sync) >"$1/initdb" 2>&1; then
        cat "$1/initdb" >&2
        return 1
    fi
}

start() {
    local directory port programs
    mkdir -p "$1"
    directory="$(cd "$1" && pwd)"
    runs_already "$directory" postgres && return
    programs="$(programs)"
    [ -e "$directory/data/PG_VERSION" ] || cluster "$directory"
    port="${NETCRAB_POSTGRES_PORT:-$(free_port)}"
    (
        cd "$directory/data"
        become setsid "$programs/postgres" -D "$directory/data" -p "$port" -c listen_addresses=127.0.0.1 \
            -c unix_socket_directories= -c max_connections=200 -c shared_buffers=32MB \
            -c fsync=off -c full_page_writes=off -c synchronous_commit=off
    ) </dev/null >"$directory/stdout" 2>"$directory/stderr" &
    echo "$!" >"$directory/pid"
    echo "$port" >"$directory/port"
    for _ in $(seq 300); do
        "$programs/pg_isready" -q -h 127.0.0.1 -p "$port" && return
        kill -0 "$(cat "$directory/pid")" 2>/dev/null || break
        sleep 0.1
    done
    echo "postgres did not start; see $directory/stderr" >&2
    cat "$directory/stderr" >&2
    stop "$directory"
    return 1
}

stop() {
    local program pid
    program="$(programs)/postgres"
    [ -e "$1/pid" ] || return 0
    pid="$(cat "$1/pid")"
    # INT closes connections; TERM would wait for clients to close them.
    if [ "$(readlink "/proc/$pid/exe")" = "$(readlink -f "$program")" ]; then
        kill -INT "$pid" 2>/dev/null || true
    fi
    stop_server "$1" "$program" port
}

command="${1:-}"
shift || usage
case "$command" in
    start) [ $# = 1 ] || usage; install; start "$1" ;;
    stop) [ $# = 1 ] || usage; stop "$1" ;;
    path) install; programs ;;
    *) usage ;;
esac
