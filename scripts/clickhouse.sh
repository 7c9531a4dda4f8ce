#!/usr/bin/env bash
# ClickHouse for tests and benches, without installing it.
#
#     clickhouse.sh local ARGS…     clickhouse-local, e.g. `local --query 'SELECT version()'`
#     clickhouse.sh start DIR       a server with HTTP and native TCP on 127.0.0.1, its files in DIR;
#                                   returns when it answers; DIR/http_port and DIR/tcp_port say where
#                                   (NETCRAB_CLICKHOUSE_HTTP_PORT, …_TCP_PORT choose; default: free ones)
#     clickhouse.sh stop DIR        ends that server and no other; its data remain
#     clickhouse.sh path            prints the launcher's path
#
# The engine is chdb's library at the version pinned below. A launcher of a few lines gives it a command
# line. Both are cached outside the tree.
set -euo pipefail
. "$(dirname "$0")/server.sh"

version=26.7.3-stable.1
cache="${NETCRAB_CACHE:-$HOME/.cache/netcrab}/clickhouse/$version"
launcher="$cache/clickhouse"

install() {
    [ -e "$cache/.complete" ] && return
    mkdir -p "$cache"
    # Two callers at once: the second waits, then finds it complete.
    exec 9>"$cache.lock"
    flock 9
    [ -e "$cache/.complete" ] && return
    local scratch
    scratch="$(mktemp -d "$cache/install.XXXXXX")"
    (cd "$scratch" && npm pack --silent "@chdb/lib-linux-x64-gnu@$version" >/dev/null && tar -xzf ./*.tgz)
    mv "$scratch/package/libchdb.so" "$cache/libchdb.so"
    cat >"$scratch/launcher.c" <<'C'
/* Takes the arguments of clickhouse-local. Prints the result on stdout; prints an error on stderr and
 * exits with status 1. The library itself reports a query that fails and leaves no error in the result;
 * only elapsed stays 0. */
#include <stddef.h>
#include <stdio.h>
typedef struct chdb_result chdb_result;
chdb_result *chdb_query_cmdline(int argc, char **argv);
char *chdb_result_buffer(chdb_result *);
size_t chdb_result_length(chdb_result *);
const char *chdb_result_error(chdb_result *);
double chdb_result_elapsed(chdb_result *);

int main(int argc, char **argv) {
    argv[0] = "clickhouse";
    chdb_result *result = chdb_query_cmdline(argc, argv);
    const char *error = result ? chdb_result_error(result) : "no result";
    if (error) {
        fprintf(stderr, "%s\n", error);
        return 1;
    }
    if (chdb_result_elapsed(result) == 0)
        return 1;
    size_t length = chdb_result_length(result);
    return length && fwrite(chdb_result_buffer(result), 1, length, stdout) != length;
}
C
    "${CC:-cc}" -O1 -o "$launcher" "$scratch/launcher.c" -L"$cache" -lchdb -Wl,-rpath,'$ORIGIN'
    rm -r "$scratch"
    touch "$cache/.complete"
}

start() {
    local directory http tcp
    mkdir -p "$1"
    directory="$(cd "$1" && pwd)"
    runs_already "$directory" clickhouse && return
    http="${NETCRAB_CLICKHOUSE_HTTP_PORT:-$(free_port)}"
    tcp="${NETCRAB_CLICKHOUSE_TCP_PORT:-$(free_port)}"
    cat >"$directory/config.xml" <<XML
<clickhouse>
    <listen_host>127.0.0.1</listen_host>
    <http_port>$http</http_port>
    <tcp_port>$tcp</tcp_port>
    <path>$directory/data/</path>
    <users_config>$directory/users.xml</users_config>
    <logger><level>warning</level><log>$directory/server.log</log></logger>
</clickhouse>
XML
    cat >"$directory/users.xml" <<'XML'
<clickhouse>
    <profiles><default/></profiles>
    <quotas><default/></quotas>
    <users>
        <default>
            <password/>
            <networks><ip>127.0.0.1</ip></networks>
            <profile>default</profile>
            <quota>default</quota>
            <access_management>0</access_management>
        </default>
        <guarded>
            <password>a-secret</password>
            <networks><ip>127.0.0.1</ip></networks>
            <profile>default</profile>
            <quota>default</quota>
        </guarded>
    </users>
</clickhouse>
XML
    # A clickhouse-local that listens and never finishes its last query works as a server.
    setsid "$launcher" --config-file "$directory/config.xml" --path "$directory/data" --multiquery --query "
        SYSTEM START LISTEN HTTP;
        SYSTEM START LISTEN TCP;
        SELECT sleepEachRow(3) FROM system.numbers SETTINGS max_block_size = 1, function_sleep_max_microseconds_per_block = 0 FORMAT Null
    " </dev/null >"$directory/stdout" 2>"$directory/stderr" 9>&- &
    echo "$!" >"$directory/pid"
    echo "$http" >"$directory/http_port"
    echo "$tcp" >"$directory/tcp_port"
    await_server "$directory" clickhouse "http://127.0.0.1:$http/ping" 200 && return
    stop "$directory"
    return 1
}

stop() {
    stop_server "$1" "$launcher" http_port tcp_port
}

command="${1:-}"
shift || usage
case "$command" in
    local) install; exec "$launcher" "$@" ;;
    start) [ $# = 1 ] || usage; install; start "$1" ;;
    stop) [ $# = 1 ] || usage; stop "$1" ;;
    path) install; echo "$launcher" ;;
    *) usage ;;
esac
