"""netcrab against DuckDB, Polars and ClickHouse: one Parquet file of events to the four derived tables, to events_raw,
and to all tables, which is what `netcrab run` writes by default.

    NETCRAB=target/release/netcrab python benches/chain.py [--events N] [--runs R] [--threads T] [--without NAME …]
    NETCRAB=target/release/netcrab python benches/chain.py --scaling 1,10,100 [--memory-mib M]

Every engine reads the same file with the same number of threads. Results are compared first, on the
same input: an engine that differs from netcrab stops the benchmark. Then each engine is timed in turn,
R times, as a whole process from start to written files. The medians and their ratios are printed, and
`--write` puts them at the head of benches/results.md.
"""

import argparse
import json
import os
import pathlib
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).parent
NETCRAB = os.environ.get("NETCRAB", "target/release/netcrab")
TABLES = "fact_sessions,fact_incidents,fact_screen_hotspots,fact_flows"
RIVALS = {
    "duckdb, window SQL": ["duckdb_chain.py", "--sql", "duckdb_window.sql"],
    "duckdb, tuned SQL": ["duckdb_chain.py", "--sql", "duckdb.sql"],
    "polars": ["polars_chain.py"],
    "clickhouse": ["clickhouse_chain.py"],
}
EVENTS_RAW = "netcrab, events_raw"
DEFAULT = "netcrab, all tables"
SORTED = "duckdb, sorted COPY"
NOTES = """\
"netcrab, all tables" is `netcrab run` without options: events_raw and events_sessionized, both sorted, and all derived \
tables. "netcrab, events_raw" writes that table alone; "duckdb, sorted COPY" (`rivals/duckdb_sorted.py`) sorts the same \
rows in the same way and writes them to one file. "duckdb, window SQL" (`rivals/duckdb_window.sql`) is what an analyst \
writes from the rules; \
"duckdb, tuned SQL" (`rivals/duckdb.sql`) is the same chain staged by hand on integer row numbers. Every engine's four \
tables were compared with netcrab's row by row before anything was timed. Before each run 10 GiB of memory are touched \
and freed, so that no engine pays for memory that the host of a virtual machine reclaimed."""
# More than any engine here uses.
WARM_GIB = 10
SCAN = "SELECT {} FROM read_parquet('{}')"


def warm():
    """Touches memory and frees it. The host of a virtual machine may have reclaimed idle memory, and the next process
    would pay a second for each GiB."""
    touch = f"memory = bytearray({WARM_GIB} << 30); memory[::4096] = bytes(len(range(0, len(memory), 4096)))"
    subprocess.run([sys.executable, "-c", touch], check=True)


def timed(command, environment=None):
    """(wall seconds, CPU seconds, peak MiB) of a process."""
    began = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env={**os.environ, **(environment or {})})
    said = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    wall = time.perf_counter() - began
    if process.returncode:
        sys.exit(f"{command} ended with {process.returncode}: {said.decode(errors='replace')[-2000:]}")
    return wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def commands(events, folder, threads):
    environment = {"NETCRAB_RUN__THREADS": str(threads), "NETCRAB_RUN__MEMORY_MIB": "4096"}
    run = [NETCRAB, "--quiet", "run", str(events), "--tables", str(folder / "netcrab")]
    yield "netcrab", [*run, "--only", TABLES], environment
    yield DEFAULT, run, environment
    yield EVENTS_RAW, [*run, "--only", "events_raw"], environment
    command = [sys.executable, str(HERE / "rivals" / "duckdb_sorted.py"), str(events), str(folder / SORTED), "--threads", str(threads)]
    yield SORTED, command, {}
    for name, (script, *options) in RIVALS.items():
        command = [sys.executable, str(HERE / "rivals" / script), str(events), str(folder / name), "--threads", str(threads), *options]
        # Polars takes its threads from the environment.
        yield name, command, {"POLARS_MAX_THREADS": str(threads)}


def scan(events, threads):
    """Seconds DuckDB takes to read every column that the four tables need, and do nothing with it."""
    import duckdb

    columns = """org_id product_id session_id user_hash event_id ts received_at event_type screen_id route element_type
        element_label_h error_code os browser device_type reaction_ms reaction_observed task_type task_phase
        task_success version_tag segment""".split()
    connection = duckdb.connect(config={"threads": threads})
    took = []
    for _ in range(3):
        began = time.perf_counter()
        connection.execute(SCAN.format(", ".join(f"max({name})::VARCHAR" for name in columns), events)).fetchall()
        took.append(time.perf_counter() - began)
    return min(took)


def events_file(cache, events):
    """A file of that many generated events. It is generated once."""
    file = cache / f"events-{events}.parquet"
    if not file.exists():
        unfinished = cache / "unfinished.parquet"
        subprocess.run([NETCRAB, "--quiet", "generate", str(unfinished), "--events", str(events)], check=True)
        unfinished.rename(file)
    return file


def stages(events, environment):
    """Lines of a table: CPU seconds of each stage, summed over threads, and the bytes it spilled."""
    explained = subprocess.run([NETCRAB, "explain", str(events), "--only", TABLES], env={**os.environ, **environment},
                               check=True, capture_output=True, text=True).stdout
    units = {"s": 1.0, "ms": 1e-3, "µs": 1e-6, "ns": 1e-9}
    lines, seen = ["| stage | CPU s | spilled |", "|---|---|---|"], set()
    for line in explained.splitlines():
        name = line.strip().split(":")[0].split(",")[0]
        time = re.search(r"elapsed_compute=([0-9.]+)(s|ms|µs|ns)", line)
        if not name.endswith("Exec") or not time or (name in seen and name not in ("SortExec", "SortRowsExec", "RollUpExec", "FlattenExec")):
            continue
        seen.add(name)
        spilled = re.search(r"spilled_bytes=([0-9.]+ \w+)", line)
        lines.append(f"| {name} | {float(time[1]) * units[time[2]]:.2f} | {spilled[1] if spilled else ''} |")
    return lines


def scaling(cache, millions, threads, memory_mib):
    """Lines of a table: time and memory by the number of events, under one memory limit."""
    lines = [f"One process, {threads} threads, `run.memory_mib` = {memory_mib}.", "",
             "| events | wall s | µs of CPU an event | peak MiB |", "|---|---|---|---|"]
    environment = {"NETCRAB_RUN__THREADS": str(threads), "NETCRAB_RUN__MEMORY_MIB": str(memory_mib)}
    for million in millions:
        events = events_file(cache, million * 1_000_000)
        with tempfile.TemporaryDirectory(dir=cache) as folder:
            run = [NETCRAB, "--quiet", "run", str(events), "--tables", folder, "--only", TABLES]
            warm()
            wall, cpu, peak = timed(run, environment)
        lines.append(f"| {million} M | {wall:.1f} | {cpu / million:.2f} | {peak:.0f} |")
        print(lines[-1], file=sys.stderr)
    return lines


def write_results(file, text):
    """Replaces the text above the first `## `; the sections from there on are written by hand."""
    _, section, by_hand = ("\n" + file.read_text()).partition("\n## ")
    file.write_text("# Results of benches/chain.py\n\n" + text + "\n" + section + by_hand)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=10_000_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--without", nargs="+", default=[], choices=[DEFAULT, EVENTS_RAW, SORTED, *RIVALS], metavar="NAME",
                        help="engines not to run, by their names in the results")
    parser.add_argument("--write", action="store_true", help="put the result into benches/results.md, above its first section")
    parser.add_argument("--scaling", default="", help="time and memory of netcrab alone for these millions of events")
    parser.add_argument("--memory-mib", type=int, default=1024, help="run.memory_mib of --scaling")
    args = parser.parse_args()
    cache = pathlib.Path(os.environ.get("NETCRAB_CACHE", pathlib.Path.home() / ".cache/netcrab")) / "bench"
    cache.mkdir(parents=True, exist_ok=True)
    if args.scaling:
        print("\n".join(scaling(cache, [int(million) for million in args.scaling.split(",")], args.threads, args.memory_mib)))
        return
    events = events_file(cache, args.events)
    lines = [f"{args.events:,} events, {events.stat().st_size / 2**20:.0f} MiB of Parquet, {args.threads} threads, "
             f"median of {args.runs} whole processes.", ""]
    with tempfile.TemporaryDirectory(dir=cache) as folder:
        folder = pathlib.Path(folder)
        chosen = [each for each in commands(events, folder, args.threads) if each[0] not in args.without]
        for name, command, environment in chosen:
            if name in (DEFAULT, EVENTS_RAW):
                continue
            timed(command, environment)
            if name == "netcrab":
                continue
            if name == SORTED:
                # events_raw joins the derived tables that are there.
                timed([NETCRAB, "--quiet", "run", str(events), "--tables", str(folder / "netcrab"), "--only", "events_raw"])
                equal = subprocess.run([*command, "--compare", str(folder / "netcrab")])
            else:
                equal = subprocess.run([sys.executable, str(HERE / "rivals" / "compare.py"), str(folder / "netcrab"),
                                        str(folder / name), "--tables", TABLES])
            if equal.returncode:
                sys.exit(f"{name} and netcrab differ; nothing was timed")
        results = {name: [] for name, _, _ in chosen}
        bare = scan(events, args.threads)
        for _ in range(args.runs):
            for name, command, environment in chosen:
                for stale in folder.iterdir():
                    shutil.rmtree(stale)
                warm()
                results[name].append(timed(command, environment))
                print(f"{name}: {results[name][-1][0]:.2f} s", file=sys.stderr)
    wall_of = {name: statistics.median(wall for wall, _, _ in runs) for name, runs in results.items()}
    own = wall_of["netcrab"]
    lines += ["| what | wall s | CPU s | peak MiB | netcrab is faster by |", "|---|---|---|---|---|",
              f"| bare scan of the columns (DuckDB) | {bare:.2f} | | | {bare / own:.2f}× |"]
    for name, runs in results.items():
        wall, cpu, peak = (statistics.median(values) for values in zip(*runs))
        lines.append(f"| {name} | {wall:.2f} | {cpu:.2f} | {peak:.0f} | {wall / own:.1f}× |")
    if EVENTS_RAW in wall_of and SORTED in wall_of:
        lines += ["", f"events_raw: netcrab is {wall_of[SORTED] / wall_of[EVENTS_RAW]:.1f} times as fast as DuckDB's sorted COPY."]
    if DEFAULT in wall_of:
        lines += ["", f"The default run takes {wall_of[DEFAULT] / own:.1f} times as long as the four derived tables."]
    environment = {"NETCRAB_RUN__THREADS": str(args.threads), "NETCRAB_RUN__MEMORY_MIB": "4096"}
    lines += ["", "netcrab, stage by stage (`netcrab explain`, nothing written):", "", *stages(events, environment), "", NOTES]
    text = "\n".join(lines)
    print(text)
    if args.write:
        write_results(HERE / "results.md", text)


if __name__ == "__main__":
    main()
