"""Rows into ClickHouse: `netcrab backfill` against ClickHouse reading the same Parquet files itself.

    NETCRAB=target/release/netcrab python benches/clickhouse.py [--events 10000000] [--runs 3] [--write]

Both insert the rows of events_raw, from the same files, into the same table on the same server. The table is emptied
before each run. netcrab reads the files, records each, and sends compressed Arrow in blocks with a deduplication
token. The rival is `INSERT … SELECT` of `clickhouse local` over the native protocol, which is what `clickhouse-client`
does with a Parquet file. The benchmark stops where counts or hashes differ.
"""

import argparse
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time
import urllib.request

HERE = pathlib.Path(__file__).parent
NETCRAB = os.environ.get("NETCRAB", "target/release/netcrab")
SCRIPT = HERE.parent / "scripts" / "clickhouse.sh"
TABLE = "events_raw"


def timed(command, **kwargs):
    """Wall seconds, CPU seconds and peak MiB of a command."""
    began = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, **kwargs)
    said = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"{command[0]}: {said.decode(errors='replace')[-2000:]}")
    return time.perf_counter() - began, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=10_000_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--write", action="store_true", help="put the result into benches/results.md")
    args = parser.parse_args()
    cache = pathlib.Path(os.environ.get("NETCRAB_CACHE", pathlib.Path.home() / ".cache/netcrab")) / "bench"
    cache.mkdir(parents=True, exist_ok=True)
    events = cache / f"events-{args.events}.parquet"
    if not events.exists():
        subprocess.run([NETCRAB, "--quiet", "generate", events, "--events", str(args.events)], check=True)
    with tempfile.TemporaryDirectory(dir=cache) as scratch:
        scratch = pathlib.Path(scratch)
        subprocess.run([NETCRAB, "--quiet", "run", events, "--tables", scratch / "all", "--only", TABLE], check=True)
        files = sorted((scratch / "all" / TABLE).rglob("*.parquet"))
        megabytes = sum(file.stat().st_size for file in files) / 1e6
        subprocess.run([SCRIPT, "start", scratch / "server"], check=True)
        try:
            http, tcp = ((scratch / "server" / name).read_text().strip() for name in ("http_port", "tcp_port"))

            def ask(question):
                with urllib.request.urlopen(f"http://127.0.0.1:{http}/?database=netcrab", question.encode()) as answer:
                    return answer.read().decode().strip()

            environment = {**os.environ, "NETCRAB_CLICKHOUSE__HOSTS": f'["http://127.0.0.1:{http}"]'}
            columns, results, sums = None, {"netcrab": [], "clickhouse": []}, set()
            for _ in range(args.runs):
                backfill = [NETCRAB, "--quiet", "backfill", "--to", "clickhouse", "--tables", scratch / "all", "--replace"]
                results["netcrab"].append(timed(backfill, env=environment))
                check = f"SELECT count(), sum(cityHash64(event_id, ts)), uniqExact(event_id) FROM {TABLE}"
                sums.add(ask(check))
                columns = columns or json.loads(ask(f"SELECT groupArray(name) AS n FROM (SELECT name FROM system.columns WHERE database = 'netcrab' AND table = '{TABLE}' ORDER BY position) FORMAT JSONEachRow"))["n"]
                ask(f"TRUNCATE TABLE {TABLE}_rows")
                stored = [name for name in columns if name != "date"]
                insert = (f"INSERT INTO FUNCTION remote('127.0.0.1:{tcp}', netcrab, {TABLE}_rows) ({', '.join(stored)}, date) "
                          f"SELECT {', '.join(stored)}, toDate32(extract(_path, 'date=([0-9-]+)')) "
                          f"FROM file('{scratch}/all/{TABLE}/date=*/*.parquet', Parquet)")
                results["clickhouse"].append(timed([SCRIPT, "local", "--query", insert]))
                sums.add(ask(check))
            if len(sums) != 1:
                sys.exit(f"the rows differ: {sums}")
        finally:
            subprocess.run([SCRIPT, "stop", scratch / "server"], check=True)
    best = {name: min(runs) for name, runs in results.items()}
    lines = [f"{args.events:,} rows, {megabytes:.0f} MB of Parquet in {len(files)} files, {args.runs} runs each, equal counts and hashes.", "",
             "| what | wall s (all) | rows a second | its CPU s | its peak MiB |", "|---|---|---|---|---|"]
    names = {"netcrab": "netcrab backfill", "clickhouse": "clickhouse, the same files"}
    for name, (wall, cpu, peak) in best.items():
        walls = ", ".join(f"{run[0]:.1f}" for run in results[name])
        lines.append(f"| {names[name]} | {wall:.1f} ({walls}) | {args.events / wall:,.0f} | {cpu:.1f} | {peak:.0f} |")
    lines += ["", f"netcrab is {best['clickhouse'][0] / best['netcrab'][0]:.2f} times as fast. The server's own time is in both walls."]
    text = "\n".join(lines)
    print(text)
    if args.write:
        page = HERE / "results.md"
        section = f"## Rows into ClickHouse\n\n`benches/clickhouse.py --events {args.events} --runs {args.runs}`.\n\n{text}\n"
        old = page.read_text()
        found = re.search(r"## Rows into ClickHouse\n.*?(?=\n## |\Z)", old, re.S)
        page.write_text(old.replace(found[0], section) if found else old.rstrip() + "\n\n" + section)


if __name__ == "__main__":
    main()
