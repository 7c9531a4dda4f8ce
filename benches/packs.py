"""What the noise of a pack costs in accuracy, and what an aggregate without it would have told.

    NETCRAB=target/release/netcrab python benches/packs.py [--sessions 500000] [--orgs 60] [--write]

Sixty organisations of very different sizes with half a million sessions of a month, one task each, are made as facts
(seeded; eight task types, lognormal times, skewed scores), and of these a ux_benchmarks pack (fewer sessions in a cell
than by default, of which there are few in so small a world). Each number that left is compared with the truth: the same number over all tasks of the cell, of all
organisations, reckoned by DuckDB without bounds or noise. Beside it stands what a k-anonymous aggregate (at least
twenty organisations, exact numbers) tells of single ones.
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

import deltalake
import duckdb
import numpy as np
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
    parser.add_argument("--write", action="store_true", help="put the tables into results.md")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=".") as folder:
        text = measure(pathlib.Path(folder).absolute(), arguments)
    print(text)
    if arguments.write:
        results = HERE / "results.md"
        before = results.read_text().split("\n## Packs\n")[0].rstrip()
        results.write_text(f"{before}\n\n## Packs\n\n{text}\n")


def facts(tables, sessions, orgs):
    """The tables of facts that a ux_benchmarks pack is made of."""
    chance = np.random.default_rng(7)
    size = 1 / (1 + np.arange(orgs)) ** 0.7
    org = chance.choice(orgs, sessions, p=size / size.sum())
    visitor = (chance.random(sessions) ** 2 * (sessions / 5 * size[org] / size.sum())).astype(np.int64)
    day, task = chance.integers(0, 30, sessions), chance.choice(8, sessions, p=np.array([9, 7, 5, 4, 3, 2, 1, 1]) / 32)
    screens = 1 + chance.poisson(1.5 + task / 2)
    complexity = np.select([screens <= 2, screens <= 4, screens <= 7, screens <= 12], [1, 2, 3, 4], 5)
    clicks = chance.poisson(2 + 1.5 * screens)
    duration = np.where(chance.random(sessions) < 0.85, chance.lognormal(9.2 + 0.15 * screens, 0.7), np.nan)
    score = 1 / (1 + np.exp(3 - 2.5 * chance.random(sessions) ** 2 * (1 + task / 4)))
    owner = {"org_id": pa.array([f"org-{number:03}" for number in range(orgs)]).take(pa.array(org)),
             "product_id": pa.repeat("crm", sessions),
             "date": pa.array((day + 20_727).astype(np.int32)).cast(pa.date32()),
             "session_key": pa.array([f"{number:032x}" for number in range(sessions)])}
    ones = np.ones(sessions, np.int64)
    deltalake.write_deltalake(tables / "fact_sessions", pa.table({
        **owner, "user_hash": pa.array([f"{o}-{v}" for o, v in zip(org, visitor)]), "segment": pa.nulls(sessions, pa.string()),
        "frustration_score": score, "efficiency_score": 1 - score}), partition_by=["date"])
    deltalake.write_deltalake(tables / "fact_tasks", pa.table({
        **owner, "task_no": 0 * ones, "task_type": pa.array([f"task_{number}" for number in range(8)]).take(pa.array(task)),
        "started_at": pa.nulls(sessions, pa.timestamp("us", "UTC")), "completed_at": pa.nulls(sessions, pa.timestamp("us", "UTC")),
        "duration_ms": pa.array(duration, from_pandas=True).cast(pa.int64(), safe=False), "clicks": clicks.astype(np.int64),
        "flow_complexity": complexity.astype(np.int32)}), partition_by=["date"])
    text = pa.array([], pa.string())
    deltalake.write_deltalake(tables / "events_sessionized", pa.table({
        "org_id": text, "product_id": text, "session_key": text, "route": text, "date": pa.array([], pa.date32())}))


def measure(folder, arguments):
    tables = folder / "tables"
    facts(tables, arguments.sessions, arguments.orgs)
    (folder / "definitions").mkdir()
    (folder / "definitions" / "a.yaml").write_text(DEFINITION)
    places = {"NETCRAB_PACKS__DEFINITIONS": str(folder / "definitions"), "NETCRAB_PACKS__RELEASED": str(folder / "released"),
              "NETCRAB_PACKS__DATABASE": f"sqlite:{folder / 'market.db'}"}
    tasks = f"""{files(tables, "fact_tasks")} t JOIN {files(tables, "fact_sessions")} s USING (org_id, product_id, date, session_key)"""
    sessions, orgs = duckdb.sql(f"SELECT count(*), count(DISTINCT org_id) FROM {files(tables, 'fact_sessions')}").fetchall()[0]
    for (org,) in duckdb.sql(f"SELECT DISTINCT org_id FROM {files(tables, 'fact_tasks')}").fetchall():
        run("packs", "org", org, "--vertical", "B2B_CRM", **places)
        run("packs", "opt-in", org, "crm", **places)
    began = time.perf_counter()
    built = subprocess.Popen([NETCRAB, "packs", "build", "accuracy", "--tables", tables, "--window", "2026-10"],
                             env={**os.environ, **places}, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(built.pid, 0)
    if status:
        sys.exit("the build failed")
    seconds, peak = time.perf_counter() - began, usage.ru_maxrss / 1024
    rows = pyarrow.parquet.read_table(folder / "released" / "accuracy" / "1.0" / "data.parquet").to_pylist()
    manifest = json.loads((folder / "released" / "accuracy" / "1.0" / "manifest.json").read_text())
    truth = {}
    # What is released as OTHER is all cells of the day and complexity that did not leave alone.
    alone = {(row["date"], row["task_type"], row["flow_complexity"]) for row in rows if row["task_type"] != "OTHER"}
    named = " OR ".join(f"(date = '{d}' AND task_type = '{t}' AND flow_complexity = {c})" for d, t, c in alone) or "false"
    for date, task, complexity, *numbers in duckdb.sql(f"""
            SELECT CAST(date AS VARCHAR), CASE WHEN {named} THEN task_type ELSE 'OTHER' END AS task, flow_complexity,
                   median(t.clicks), median(t.duration_ms) / 1000, avg(frustration_score), quantile_cont(frustration_score, 0.9)
            FROM {tasks} GROUP BY ALL""").fetchall():
        truth[date, task, complexity] = numbers
    columns = ["median_clicks", "median_duration_s", "mean_frict_score", "p90_frict_score"]
    table = ["| column | cells | median error | error of 9 in 10 below | within its margin | median margin |", "|---|---|---|---|---|---|"]
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
        f"visitor's month. Built in {seconds:.1f} s, {peak:.0f} MiB; {len(rows)} cells of a day left "
        f"({len(alone)} alone, the others as OTHER), about {manifest['cells']['aboutLeftOut']} did not.", "",
        *table, "",
        f"A k-anonymous aggregate of the same tasks (twenty organisations, exact numbers) has {cells:,} cells. Each of them tells, "
        f"to whoever knows all visitors but one, whether that one was there: one less changes the exact count. When an "
        f"organisation leaves, the difference between two versions is its exact number in every cell. In {dominated:,} cells one "
        f"organisation has more than a quarter, up to {largest:.0%}: there the numbers are in the main its own. Of the pack, "
        f"the first is bounded by ε, the second by the share of a quarter and noise, and the third does not leave."])


if __name__ == "__main__":
    main()
