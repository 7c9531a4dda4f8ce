# Functions of the scripts that start a server for tests. Those scripts source this file.
#
# Each server has a folder with its files: `pid`, its ports, `stdout`, `stderr`.

free_port() {
    python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

# runs_already DIR NAME: succeeds, with a message, where the server of DIR runs.
runs_already() {
    [ -e "$1/pid" ] && kill -0 "$(cat "$1/pid")" 2>/dev/null || return 1
    echo "$2 already runs in $1" >&2
}

# await_server DIR NAME URL TENTHS: returns when URL answers. Fails with the server's stderr when it does
# not within that many tenths of a second.
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

# stop_server DIR PROGRAM FILE…: ends the server of DIR, which runs PROGRAM, and removes its pid and FILEs.
stop_server() {
    local directory="$1" program="$2" pid
    shift 2
    [ -e "$directory/pid" ] || return 0
    pid="$(cat "$directory/pid")"
    # Another program may have that pid by now.
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

# usage: prints the head comment of the calling script and exits with status 2.
usage() {
    sed -n '2,/^$/s/^# \{0,1\}//p' "$0" | sed '/^set /d' >&2
    exit 2
}
