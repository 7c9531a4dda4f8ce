"""Runs duckdb.sql, or the SQL file named, over one Parquet file of events.

Prints JSON: wall seconds, CPU seconds, and seconds of each stage.

    duckdb_chain.py EVENTS.parquet OUTPUT_DIR [--sql duckdb_window.sql] [--threads N] [--tasks]
"""

import argparse
import json
import os
import pathlib
import re
import resource
import time

import duckdb

HERE = pathlib.Path(__file__).parent


def stages(text):
    """The file's stages by name. The text before the first `-- @stage` is the stage `settings`."""
    names_and_bodies = re.split(r"^-- @stage (\w+)$", "-- @stage settings\n" + text, flags=re.MULTILINE)[1:]
    return dict(zip(names_and_bodies[::2], names_and_bodies[1::2]))


def run(events, output, threads=2, tasks=False, sql="duckdb.sql"):
    os.makedirs(output, exist_ok=True)
    connection = duckdb.connect(config={"threads": threads})
    connection.execute("SET VARIABLE input = ?", [str(events)])
    connection.execute("SET VARIABLE output = ?", [str(output)])
    seconds = {}
    for name, body in stages((HERE / sql).read_text()).items():
        if name == "fact_tasks" and not tasks:
            continue
        began = time.perf_counter()
        connection.execute(body)
        seconds[name] = round(time.perf_counter() - began, 3)
    connection.close()
    return seconds


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("events")
    parser.add_argument("output")
    parser.add_argument("--sql", default="duckdb.sql", help="file in this folder: duckdb.sql or duckdb_window.sql")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--tasks", action="store_true", help="also write fact_tasks, which is not timed")
    args = parser.parse_args()
    began = time.perf_counter()
    parts = run(args.events, args.output, args.threads, args.tasks, args.sql)
    usage = resource.getrusage(resource.RUSAGE_SELF)
    print(json.dumps({"engine": f"duckdb {duckdb.__version__}", "sql": args.sql, "threads": args.threads,
                      "seconds": round(time.perf_counter() - began, 3),
                      "cpu_seconds": round(usage.ru_utime + usage.ru_stime, 3), "stages": parts}))


if __name__ == "__main__":
    main()
