"""Runs clickhouse.sql over one Parquet file of events.

Prints JSON: wall seconds, CPU seconds, and seconds of each stage.

    clickhouse_chain.py EVENTS.parquet OUTPUT_DIR [--threads N] [--tasks]

The engine is the library that scripts/clickhouse.sh fetches, run as one clickhouse-local.
"""

import argparse
import json
import os
import pathlib
import resource
import string
import subprocess
import time

from duckdb_chain import stages

HERE = pathlib.Path(__file__).resolve().parent
SQL = HERE / "clickhouse.sql"
LAUNCHER = HERE.parents[1] / "scripts" / "clickhouse.sh"


def run(events, output, threads=2, tasks=False):
    os.makedirs(output, exist_ok=True)
    paths = {"input": os.path.abspath(events), "output": os.path.abspath(output)}
    script = ""
    for name, body in stages(SQL.read_text()).items():
        if name == "fact_tasks" and not tasks:
            continue
        # Stages share temporary tables, so they run in one process. A row with the time marks the end of each.
        script += string.Template(body).substitute(paths) + f"\n;SELECT '{name}', toFloat64(now64(6));\n"
    began = time.time()
    done = subprocess.run(
        [LAUNCHER, "local", "--max_threads", str(threads), "--multiquery", "--query", script],
        check=True, capture_output=True, text=True)
    seconds = {}
    for line in done.stdout.splitlines():
        name, ended = line.split("\t")
        seconds[name] = round(float(ended) - began, 3)
        began = float(ended)
    return seconds


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("events")
    parser.add_argument("output")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--tasks", action="store_true", help="also write fact_tasks, which is not timed")
    args = parser.parse_args()
    subprocess.run([LAUNCHER, "path"], check=True, stdout=subprocess.DEVNULL)  # downloads before the clock starts
    began = time.perf_counter()
    try:
        parts = run(args.events, args.output, args.threads, args.tasks)
    except subprocess.CalledProcessError as error:
        raise SystemExit(error.stderr)
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(json.dumps({"engine": "clickhouse 26.7", "threads": args.threads,
                      "seconds": round(time.perf_counter() - began, 3),
                      "cpu_seconds": round(usage.ru_utime + usage.ru_stime, 3), "stages": parts}))


if __name__ == "__main__":
    main()
