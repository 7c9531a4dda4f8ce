# What the scripts that start a server for tests have in common; read by them, not run.
#
# A server's files stand in a folder of its own: `pid`, its ports, `stdout`, `stderr`.

free_port() {
    python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

# runs_already DIR NAME: whether the server of DIR is up; says so.
runs_already() {
    [ -e "$1/pid" ] && kill -0 "$(cat "$1/pid")" 2>/dev/null || return 1
    echo "$2 already runs in $1" >&2
}

# await_server DIR NAME URL TENTHS: returns when URL answers; fails, and says why, when it does not in time.
await_server() {
    local pid
    pid="$(cat "$1/pid")"
    for _ in $(seq "$4"); do
        if curl -sf -o /dev/null "$3"; then
            return
        fi
        if ! kill -0 "$pid" 2>/dev/null; then
            break
        fi
        sleep 0.1
    done
    echo "$2 did not start; see $1/stderr" >&2
    cat "$1/stderr" >&2
    return 1
}

# stop_server DIR PROGRAM FILE…: ends the server of DIR, which runs PROGRAM, and forgets its pid and FILEs.
stop_server() {
    local directory="$1" program="$2" pid
    shift 2
    [ -e "$directory/pid" ] || return 0
    pid="$(cat "$directory/pid")"
    # A pid may have been given to another program since.
    if [ "$(readlink "/proc/$pid/exe")" = "$(readlink -f "$program")" ]; then
        kill "$pid" 2>/dev/null || true
        for _ in $(seq 50); do
            kill -0 "$pid" 2>/dev/null || break
            sleep 0.1
        done
        kill -9 "$pid" 2>/dev/null || true
    fi
    (cd "$directory" && rm -f pid "$@")
}

# usage: the head of the script that calls it, and exit status 2.
usage() {
    sed -n '2,/^$/s/^# \{0,1\}//p' "$0" | sed '/^set /d' >&2
    exit 2
}
