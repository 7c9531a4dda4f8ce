"""What the noise of a pack costs in accuracy, and what an aggregate without noise would reveal.

    NETCRAB=target/release/netcrab python benches/packs.py [--sessions 500000] [--orgs 60] [--write]
    NETCRAB=target/release/netcrab python benches/packs.py --nightly 100000000 [--write]

The bench writes fact tables of sixty organisations of very different sizes: half a million sessions of a month, one task
each (seeded; eight task types, lognormal times, skewed scores). From these it builds a ux_benchmarks pack, with a lower
minSessions than the default, because so small a world has few sessions in a cell. Each released number is compared with
the truth: the same number over all tasks of the cell and all organisations, computed by DuckDB without bounds or noise.
The bench also reports what a k-anonymous aggregate (at least twenty organisations, exact numbers) reveals of single ones.

`--nightly` builds the same pack from that many sessions (7.4 GB of files for a hundred million) and measures time and
memory, against DuckDB that joins, bounds and sums the same contributions, one organisation at a time (all at once it
spills more than 58 GB for a hundred million). Both sides choose at random which session of a visitor counts, so cells may
differ by that chance, and no more.
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

os.environ.setdefault("RUST_LOG", "error")

import deltalake
import duckdb
import pyarrow as pa
import pyarrow.parquet

HERE = pathlib.Path(__file__).parent
NETCRAB = os.path.abspath(os.environ.get("NETCRAB", "target/release/netcrab"))

DEFINITION = """
packId: accuracy
kind: ux_benchmarks
title: Accuracy
vertical: B2B_CRM
shortDescription: Measured.
updateFrequency: monthly
minOrgs: 20
minSessions: 400
categories: [crm]
privacy: {epsilon: 4, delta: 1e-6, maxCellsPerUnit: 4, maxShareOfCell: 0.25}
"""


def run(*arguments, **environment):
    done = subprocess.run([NETCRAB, *map(str, arguments)], capture_output=True, text=True, env={**os.environ, **environment})
    if done.returncode:
        sys.exit(done.stderr)
    return done.stdout


def files(tables, name):
    return f"read_parquet({deltalake.DeltaTable(tables / name).file_uris()}, hive_partitioning = true)"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sessions", type=int, default=500_000)
    parser.add_argument("--orgs", type=int, default=60)
    parser.add_argument("--nightly", type=int, metavar="SESSIONS", help="measure a build over that many sessions instead")
    parser.add_argument("--folder", type=pathlib.Path, help="keep the fact tables there, or use those that are there")
    parser.add_argument("--write", action="store_true", help="put the tables into results.md")
    arguments = parser.parse_args()
    title = "Packs at night" if arguments.nightly else "Packs"
    with tempfile.TemporaryDirectory(dir=".") as folder:
        text = (nightly if arguments.nightly else measure)(pathlib.Path(folder).absolute(), arguments)
    print(text)
    if arguments.write:
        results = HERE / "results.md"
        parts = [part.rstrip() for part in results.read_text().split("\n## ") if not part.startswith(f"{title}\n")]
        results.write_text("\n\n## ".join([*parts, f"{title}\n\n{text}"]) + "\n")


def facts(tables, sessions, orgs):
    """Writes the fact tables that a ux_benchmarks pack reads: 30 days, one task in each session, sorted as the pipeline
    sorts them. Random values are hashes of the row's number."""
    database = duckdb.connect(config={"temp_directory": str(tables / "sorting"), "memory_limit": "4GB"})
    database.execute("CREATE MACRO chance(i, k) AS hash(i * 16 + k) / 18446744073709551616.0")
    database.execute(f"CREATE MACRO share(org) AS (org / {orgs}.0) ** (1 / 1.7)")
    columns = {
        "fact_sessions": """org_id, product_id, session_key, user_hash, CAST(NULL AS VARCHAR) AS segment,
            score AS frustration_score, 1 - score AS efficiency_score""",
        "fact_tasks": """org_id, product_id, session_key, CAST(0 AS BIGINT) AS task_no, 'task_' || task AS task_type, started_at,
            CASE WHEN done THEN started_at + to_milliseconds(duration_ms) END AS completed_at,
            CASE WHEN done THEN duration_ms END AS duration_ms, clicks,
            CAST(CASE WHEN screens <= 2 THEN 1 WHEN screens <= 4 THEN 2 WHEN screens <= 7 THEN 3 WHEN screens <= 12 THEN 4 ELSE 5 END
                AS INTEGER) AS flow_complexity"""}
    for table in columns:
        (tables / table).mkdir(parents=True)
    for day in range(30):
        first, end = sessions * day // 30, sessions * (day + 1) // 30
        database.execute(f"""CREATE OR REPLACE TEMP TABLE day AS
            WITH drawn AS (SELECT range AS i, CAST(floor({orgs} * chance(range, 0) ** 1.7) AS BIGINT) AS org,
                    CAST(floor(8 * chance(range, 1) ** 1.6) AS BIGINT) AS task FROM range({first}, {end})),
                walked AS (SELECT *, 1 + CAST(floor(-ln(1 - chance(i, 2)) * (2 + task / 2)) AS BIGINT) AS screens FROM drawn)
            SELECT printf('org-%03d', org) AS org_id, 'crm' AS product_id, md5('session' || i) AS session_key,
                md5(org || '/' || CAST(floor(chance(i, 3) ** 2 * {sessions} / 5 * (share(org + 1) - share(org))) AS BIGINT)) AS user_hash,
                1 / (1 + exp(3 - 2.5 * chance(i, 4) ** 2 * (1 + task / 4))) AS score, task, screens,
                (TIMESTAMP '2026-10-01' + to_days({day}) + to_milliseconds(CAST(chance(i, 5) * 86e6 AS BIGINT)))::TIMESTAMPTZ AS started_at,
                chance(i, 6) < 0.85 AS done, CAST(exp(9.2 + 0.15 * screens + 0.7 * sqrt(-2 * ln(1 - chance(i, 7)))
                    * cos(2 * pi() * chance(i, 8))) AS BIGINT) AS duration_ms,
                CAST(floor((2 + 1.5 * screens) * (0.5 + chance(i, 9))) AS BIGINT) AS clicks
            FROM walked""")
        for table, chosen in columns.items():
            folder = tables / table / f"date=2026-10-{day + 1:02}"
            folder.mkdir()
            database.execute(f"""COPY (SELECT {chosen} FROM day ORDER BY org_id, product_id, started_at, session_key)
                TO '{folder / "part.parquet"}' (COMPRESSION zstd)""")
    database.close()
    for table in columns:
        deltalake.convert_to_deltalake(str(tables / table), partition_by=deltalake.Schema([deltalake.Field("date", "date")]),
                                       partition_strategy="hive")
    text = pa.array([], pa.string())
    deltalake.write_deltalake(tables / "events_sessionized", pa.table({
        "org_id": text, "product_id": text, "session_key": text, "route": text, "date": pa.array([], pa.date32())}))


def build(folder, tables, definition):
    """Opts all organisations in and builds. Returns (wall seconds, MiB, CPU seconds) and the folder of the version."""
    (folder / "definitions").mkdir()
    (folder / "definitions" / "a.yaml").write_text(definition)
    places = {"NETCRAB_PACKS__DEFINITIONS": str(folder / "definitions"), "NETCRAB_PACKS__RELEASED": str(folder / "released"),
              "NETCRAB_PACKS__DATABASE": f"sqlite:{folder / 'market.db'}"}
    for (org,) in duckdb.sql(f"SELECT DISTINCT org_id FROM {files(tables, 'fact_tasks')}").fetchall():
        run("packs", "org", org, "--vertical", "B2B_CRM", **places)
        run("packs", "opt-in", org, "crm", **places)
    began = time.perf_counter()
    built = subprocess.Popen([NETCRAB, "packs", "build", "accuracy", "--tables", tables, "--window", "2026-10"],
                             env={**os.environ, **places}, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(built.pid, 0)
    if status:
        sys.exit("the build failed")
    used = time.perf_counter() - began, usage.ru_maxrss / 1024, usage.ru_utime + usage.ru_stime
    return used, folder / "released" / "accuracy" / "1.0"


# The bounds: one session of a visitor in a cell, four cells for a visitor, an organisation's share of a cell.
BOUNDED = """
WITH tasks AS (
    SELECT org_id, hash(org_id, product_id, user_hash) AS unit, date, task_type, flow_complexity, hash(session_key) AS lot,
        CAST(least(clicks, 128) AS INTEGER) AS clicks, CAST(least(duration_ms, 900000) AS INTEGER) AS duration,
        CAST(round(frustration_score * 1000) AS INTEGER) AS friction
    FROM {tasks} t JOIN {sessions} s USING (org_id, product_id, date, session_key)
    WHERE t.org_id = $org AND s.org_id = $org),
cells AS (
    SELECT org_id, unit, date, task_type, flow_complexity, arg_min(clicks, lot) AS clicks, arg_min(duration, lot) AS duration,
        arg_min(friction, lot) AS friction
    FROM tasks GROUP BY ALL),
drawn AS (
    SELECT *, row_number() OVER (PARTITION BY unit ORDER BY hash(unit, date, task_type, flow_complexity)) AS place FROM cells)
SELECT CAST(date AS VARCHAR), task_type, flow_complexity, least(count(*), {cap}), sum(clicks), sum(duration), sum(friction)
FROM drawn WHERE place <= 4
GROUP BY ALL"""


RIVAL = """
import collections, duckdb, json, os, sys
orgs, query = json.load(sys.stdin)
database = duckdb.connect(config={"memory_limit": "4GB", "temp_directory": "spilled", "threads": os.cpu_count()})
database.execute("SET enable_progress_bar = false")
cells = collections.defaultdict(lambda: [0, 0, 0, 0])
for org in orgs:
    for date, task, complexity, *sums in database.execute(query, {"org": org}).fetchall():
        cell = cells[date, task, complexity]
        cell[:] = [all + (more or 0) for all, more in zip(cell, sums)]
json.dump([[*cell, *map(int, sums)] for cell, sums in cells.items()], sys.stdout)
"""


def bounded_by_duckdb(orgs, query):
    """Runs DuckDB in a process of its own. Returns its rows, wall seconds, MiB and CPU seconds."""
    began = time.perf_counter()
    asked = subprocess.Popen([sys.executable, "-c", RIVAL], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    asked.stdin.write(json.dumps([orgs, query]))
    asked.stdin.close()
    rows = asked.stdout.read()
    _, status, usage = os.wait4(asked.pid, 0)
    if status:
        sys.exit("DuckDB failed")
    return json.loads(rows), time.perf_counter() - began, usage.ru_maxrss / 1024, usage.ru_utime + usage.ru_stime


def nightly(folder, arguments):
    tables = (arguments.folder or folder).absolute() / "tables"
    if not tables.exists():
        facts(tables, arguments.nightly, arguments.orgs)
    least = arguments.nightly // 1250
    (our_s, our_mib, our_cpu), place = build(folder, tables, DEFINITION.replace("minSessions: 400", f"minSessions: {least}"))
    orgs = [org for (org,) in duckdb.sql(f"SELECT DISTINCT org_id FROM {files(tables, 'fact_tasks')} ORDER BY ALL").fetchall()]
    theirs, their_s, their_mib, their_cpu = bounded_by_duckdb(
        orgs, BOUNDED.format(tasks=files(tables, "fact_tasks"), sessions=files(tables, "fact_sessions"), cap=least // 4))
    sessions = {(date, task, int(complexity)): float(n) for date, task, complexity, n, *_ in theirs}
    alone = [row for row in pyarrow.parquet.read_table(place / "data.parquet").to_pylist() if row["task_type"] != "OTHER"]
    assert alone
    for row in alone:
        expected = sessions[row["date"], row["task_type"], row["flow_complexity"]]
        assert abs(row["sample_sessions"] - expected) <= 5 * expected ** 0.5 + 2 * row["sample_sessions_moe95"], (row, expected)
    return "\n".join([
        f"`benches/packs.py --nightly {arguments.nightly}`: a month of {arguments.orgs} organisations, one task in each session. "
        f"The sessions of all {len(alone)} cells released under their own task type are DuckDB's, up to noise and the random choice of sessions.", "",
        "| what | wall s | CPU s | peak MiB |", "|---|---|---|---|",
        f"| netcrab packs build | {our_s:.0f} | {our_cpu:.0f} | {our_mib:.0f} |",
        f"| duckdb: join, bounds and sums, one organisation after another | {their_s:.0f} | {their_cpu:.0f} | {their_mib:.0f} |", "",
        f"netcrab is {their_s / our_s:.2f} times as fast."])


def measure(folder, arguments):
    tables = folder / "tables"
    facts(tables, arguments.sessions, arguments.orgs)
    tasks = f"""{files(tables, "fact_tasks")} t JOIN {files(tables, "fact_sessions")} s USING (org_id, product_id, date, session_key)"""
    sessions, orgs = duckdb.sql(f"SELECT count(*), count(DISTINCT org_id) FROM {files(tables, 'fact_sessions')}").fetchall()[0]
    (seconds, peak, _), place = build(folder, tables, DEFINITION)
    rows = pyarrow.parquet.read_table(place / "data.parquet").to_pylist()
    manifest = json.loads((place / "manifest.json").read_text())
    truth = {}
    # OTHER holds all cells of a day and complexity that are not released under their own task type.
    alone = {(row["date"], row["task_type"], row["flow_complexity"]) for row in rows if row["task_type"] != "OTHER"}
    named = " OR ".join(f"(date = '{d}' AND task_type = '{t}' AND flow_complexity = {c})" for d, t, c in alone) or "false"
    for date, task, complexity, *numbers in duckdb.sql(f"""
            SELECT CAST(date AS VARCHAR), CASE WHEN {named} THEN task_type ELSE 'OTHER' END AS task, flow_complexity,
                   median(t.clicks), median(t.duration_ms) / 1000, avg(frustration_score), quantile_cont(frustration_score, 0.9)
            FROM {tasks} GROUP BY ALL""").fetchall():
        truth[date, task, complexity] = numbers
    columns = ["median_clicks", "median_duration_s", "mean_frict_score", "p90_frict_score"]
    table = ["| column | cells | median error | 90th percentile of errors | within its margin | median margin |", "|---|---|---|---|---|---|"]
    for place, column in enumerate(columns):
        errors, within, margins = [], 0, []
        for row in rows:
            exact, value, margin = truth[row["date"], row["task_type"], row["flow_complexity"]][place], row[column], row[f"{column}_moe95"]
            if value is None or exact is None:
                continue
            errors.append(abs(value - exact) / max(abs(exact), 1e-9))
            within += abs(value - exact) <= margin
            margins.append(margin / max(abs(value), 1e-9))
        errors.sort()
        table.append(f"| {column} | {len(errors)} | {statistics.median(errors):.1%} | {errors[int(len(errors) * 0.9)]:.1%} | "
                     f"{within / len(errors):.0%} | ± {statistics.median(margins):.1%} |")
    cells, dominated, largest = duckdb.sql(f"""
        WITH each AS (SELECT date, task_type, flow_complexity, org_id, count(*) AS n FROM {tasks} GROUP BY ALL),
             cells AS (SELECT sum(n) AS all_n, max(n) AS most, count(*) AS orgs FROM each GROUP BY date, task_type, flow_complexity)
        SELECT count(*), count(*) FILTER (most > 0.25 * all_n), max(most / all_n) FROM cells WHERE orgs >= 20""").fetchall()[0]
    return "\n".join([
        f"`benches/packs.py --sessions {arguments.sessions}`: {orgs} organisations, {sessions:,} sessions; ε 4 and δ 10⁻⁶ for a "
        f"visitor's month. Built in {seconds:.1f} s, {peak:.0f} MiB; {len(rows)} cells of a day were released "
        f"({len(alone)} under their own task type, the others as OTHER), about {manifest['cells']['aboutLeftOut']} were suppressed.", "",
        *table, "",
        f"A k-anonymous aggregate of the same tasks (twenty organisations, exact numbers) has {cells:,} cells. Each of them reveals, "
        f"to whoever knows all visitors but one, whether that one was there: one less changes the exact count. When an "
        f"organisation leaves, the difference between two versions is its exact number in every cell. In {dominated:,} cells one "
        f"organisation has more than a quarter, up to {largest:.0%}: there the numbers are mostly its own. In the pack, ε bounds the "
        f"first, the share of a quarter and noise bound the second, and cells of the third kind are suppressed."])


if __name__ == "__main__":
    main()
