"""`netcrab packs` end to end: a version is built once and sealed; without noise its numbers are those of DuckDB."""

import contextlib
import datetime
import json
import os
import pathlib
import random
import shutil
import sqlite3
import subprocess
import tempfile
import time

import clickhouse_connect
import deltalake
import duckdb
import pyarrow.csv
import pyarrow.parquet
import pytest

from test_s3 import Store, command

ORGS = 40

DEFINITION = """
packId: test_friction
kind: ux_benchmarks
title: Friction
vertical: B2B_CRM
shortDescription: For tests.
updateFrequency: monthly
minOrgs: 20
minSessions: 300
categories: [crm]
"""


class World:
    """Tables of forty organisations that opted in, and a folder for released versions."""

    def __init__(self, folder, tables):
        self.folder, self.tables = folder, tables
        (folder / "definitions").mkdir(parents=True)
        self.environment = {**os.environ, "NETCRAB_PACKS__DEFINITIONS": str(folder / "definitions"),
                            "NETCRAB_PACKS__RELEASED": str(folder / "released"),
                            "NETCRAB_PACKS__DATABASE": f"sqlite:{folder / 'market.db'}"}

    def define(self, text, name="a"):
        (self.folder / "definitions" / f"{name}.yaml").write_text(text)

    def run(self, *arguments, **environment):
        line = [os.environ["NETCRAB"], "packs", *map(str, arguments)]
        return subprocess.run(line, capture_output=True, text=True, timeout=300, env={**self.environment, **environment})

    def succeed(self, *arguments, **environment):
        done = self.run(*arguments, **environment)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def build(self, pack="test_friction", *more, **environment):
        return json.loads(self.succeed("build", pack, "--tables", self.tables, "--json", *more, **environment))

    def released(self, pack="test_friction", version="1.0"):
        return self.folder / "released" / pack / version


# The last full month before today.
FIRST = (datetime.datetime.now(datetime.UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
         - datetime.timedelta(days=1)).replace(day=1)
MONTH = FIRST.strftime("%Y-%m")
DAYS = [1, 2, 9, 10]


def week_of(day):
    """The first and the last day of the week of a day of that month."""
    monday = FIRST + datetime.timedelta(days=day - 1)
    monday -= datetime.timedelta(days=monday.weekday())
    return f"{monday:%Y-%m-%d}/{monday + datetime.timedelta(days=6):%Y-%m-%d}"


def session_of(org, visitor, chance):
    """The events of one session with one task. A visitor has one session in one cell, so no bound cuts anything."""
    day, task = DAYS[visitor % 4], ["create_lead", "close_deal"][visitor // 4 % 2]
    start = int(FIRST.timestamp() * 1000) + (day - 1) * 86_400_000 + 36_000_000 + chance.randrange(3_600_000)
    common = {"orgId": f"org-{org:02}", "productId": "crm", "sessionId": f"s{org}-{visitor}", "userHash": f"u{org}-{visitor}",
              "deviceType": "desktop", "versionTag": "v1" if day < 9 else "v2", "segment": "smb" if visitor % 3 else "large"}
    at, events = start, []

    def add(kind, screen, **more):
        nonlocal at
        at += chance.randrange(300, 9000)
        events.append({**common, "eventId": f"{org}-{visitor}-{len(events)}", "ts": at, "eventType": kind, "screenId": screen,
                       "route": f"/{screen}", **more})

    add("custom", "leads", eventName="start", taskType=task, taskPhase="start")
    for click in range(chance.randrange(13)):
        failed = {"errorCode": "E1"} if chance.random() < 0.2 else {}
        add("click", ["leads", "lead-detail"][click % 2], elementType="button", **failed)
    if chance.random() < 0.9:
        add("custom", "lead-detail", eventName="end", taskType=task, taskPhase="complete", taskSuccess=True)
    return events


@pytest.fixture(scope="module")
def facts(netcrab, tmp_path_factory):
    folder, chance = tmp_path_factory.mktemp("facts"), random.Random(5)
    with (folder / "events.ndjson").open("w") as out:
        for org in range(ORGS):
            for visitor in range(120):
                out.writelines(json.dumps(event) + "\n" for event in session_of(org, visitor, chance))
    netcrab("run", folder / "events.ndjson", "--tables", folder / "tables")
    return folder / "tables"


@pytest.fixture(scope="module")
def opted_in(facts, tmp_path_factory):
    world = World(tmp_path_factory.mktemp("market"), facts)
    orgs = deltalake.DeltaTable(facts / "fact_tasks").to_pyarrow_table(columns=["org_id"])["org_id"].unique().to_pylist()
    assert len(orgs) == ORGS
    for org in orgs:
        world.succeed("org", org, "--vertical", "B2B_CRM")
        for category in ("crm", "flows"):
            world.succeed("opt-in", org, category)
    world.orgs = orgs
    return world


@pytest.fixture
def world(opted_in, facts, tmp_path):
    world = World(tmp_path / "world", facts)
    shutil.copy(opted_in.folder / "market.db", world.folder / "market.db")
    world.orgs = opted_in.orgs
    world.define(DEFINITION)
    return world


def files_of(facts, table):
    files = deltalake.DeltaTable(facts / table).file_uris()
    return f"read_parquet({files}, hive_partitioning = true)"


def test_without_noise_a_pack_is_what_duckdb_adds_up(world, facts):
    world.build("test_friction", "--window", MONTH, NETCRAB_PACKS_NOISE="off")
    ours = pyarrow.parquet.read_table(world.released() / "data.parquet")
    theirs = duckdb.sql(f"""
        SELECT CAST(t.date AS VARCHAR) AS date, t.task_type, t.flow_complexity, count(*) AS sessions,
               count(DISTINCT t.org_id) AS orgs, avg(round(s.frustration_score * 1000) / 1000) AS friction,
               quantile_disc(t.clicks, 0.5) AS clicks, quantile_disc(s.frustration_score, 0.9) AS p90,
               quantile_disc(t.duration_ms, 0.5) / 1000 AS duration
        FROM {files_of(facts, "fact_tasks")} t JOIN {files_of(facts, "fact_sessions")} s USING (org_id, product_id, date, session_key)
        GROUP BY ALL HAVING count(*) >= 300 AND count(DISTINCT t.org_id) >= 20""").arrow()
    if hasattr(theirs, "read_all"):
        theirs = theirs.read_all()
    theirs = {(row["date"], row["task_type"], row["flow_complexity"]): row for row in theirs.to_pylist()}
    alone = [row for row in ours.to_pylist() if row["task_type"] != "OTHER"]
    assert len(alone) == len(theirs) == 8
    for row in alone:
        expected = theirs[row["date"], row["task_type"], row["flow_complexity"]]
        assert row["sample_sessions"] == expected["sessions"]
        assert row["org_count"] == expected["orgs"], row
        assert row["mean_frict_score"] == pytest.approx(expected["friction"], abs=2e-4)
        # Quantiles are exact up to the bin of their grid.
        assert row["median_clicks"] == pytest.approx(float(expected["clicks"]), abs=0.5 if expected["clicks"] < 14 else 4)
        assert row["p90_frict_score"] == pytest.approx(expected["p90"], abs=0.05)
        assert row["median_duration_s"] == pytest.approx(expected["duration"], rel=0.5, abs=1)


def test_without_noise_archetypes_are_what_duckdb_finds(world, facts):
    world.define(DEFINITION.replace("ux_benchmarks", "task_flows").replace("minSessions: 300", "minSessions: 60")
                 + "privacy: {maxShareOfCell: 1.0}\n")
    world.build("test_friction", "--window", MONTH, NETCRAB_PACKS_NOISE="off")
    ours = pyarrow.parquet.read_table(world.released() / "data.parquet")
    theirs = duckdb.sql(f"""
        WITH visits AS (
            SELECT t.org_id, t.session_key, t.task_no, t.task_type, t.duration_ms, s.frustration_score, e.position,
                   CASE e.screen_id WHEN 'leads' THEN 'list' ELSE 'detail' END AS step
            FROM {files_of(facts, "fact_tasks")} t
            JOIN {files_of(facts, "fact_sessions")} s USING (org_id, product_id, date, session_key)
            JOIN {files_of(facts, "events_sessionized")} e USING (org_id, product_id, session_key)
            WHERE t.completed_at IS NOT NULL AND e.ts BETWEEN t.started_at AND t.completed_at),
        moved AS (SELECT *, lag(step) OVER (PARTITION BY session_key, task_no ORDER BY position) AS before FROM visits),
        steps AS (SELECT * EXCLUDE before, row_number() OVER (PARTITION BY session_key, task_no ORDER BY position) AS place
                  FROM moved WHERE before IS NULL OR before <> step),
        flows AS (SELECT org_id, session_key, task_no, task_type, duration_ms, frustration_score,
                         string_agg(step, ' > ' ORDER BY place) AS label FROM steps WHERE place <= 6 GROUP BY ALL)
        SELECT task_type, label, count(*), count(DISTINCT org_id), avg(duration_ms) / 1000, avg(round(frustration_score * 1000) / 1000)
        FROM flows GROUP BY ALL HAVING count(*) >= 60 AND count(DISTINCT org_id) >= 20""").fetchall()
    theirs = {(task, label): numbers for task, label, *numbers in theirs}
    alone = [row for row in ours.to_pylist() if row["archetype_label"] != "OTHER"]
    assert len(alone) >= 4 and {(row["task_type"], row["archetype_label"]) for row in alone} <= set(theirs)
    for row in alone:
        sessions, orgs, duration, friction = theirs[row["task_type"], row["archetype_label"]]
        assert row["sample_sessions"] == sessions
        # An organisation with fewer than ten visitors counts in part.
        assert row["org_count"] <= orgs
        assert row["avg_duration_s"] == pytest.approx(duration, rel=0.01)
        assert row["avg_frict_score"] == pytest.approx(friction, abs=1e-3)


def test_a_version_is_built_once_and_its_files_have_the_same_bytes_everywhere(world, tmp_path):
    first = world.build("test_friction", "--window", MONTH)
    assert (first["version"], first["existed"], first["filesCreated"]) == ("1.0", False, 5)
    again = world.build("test_friction", "--window", MONTH)
    assert (again["version"], again["existed"], again["filesCreated"]) == ("1.0", True, 0)
    elsewhere = world.build("test_friction", "--window", MONTH, NETCRAB_PACKS__RELEASED=str(tmp_path / "elsewhere"))
    assert (elsewhere["existed"], elsewhere["filesCreated"]) == (True, 5)
    for file in world.released().iterdir():
        assert file.read_bytes() == (tmp_path / "elsewhere" / "test_friction" / "1.0" / file.name).read_bytes(), file


@pytest.mark.parametrize("kind, privacy", [("ux_benchmarks", "{unit: org_month, maxCellsPerUnit: 3}"),
                                           ("task_flows", "{epsilon: 8}"), ("release_deltas", "{epsilon: 8}")])
def test_the_size_of_slices_changes_no_result(world, tmp_path, kind, privacy):
    world.define(DEFINITION.replace("ux_benchmarks", kind).replace("minSessions: 300", "minSessions: 50") + f"privacy: {privacy}\n")
    for org in world.orgs[22:]:
        world.succeed("opt-out", org, "crm")
    data = []
    shutil.copy(world.folder / "market.db", tmp_path / "empty.db")
    # All tasks in one slice, and each product in two slices.
    for tasks in (2_000_000, 80):
        sliced = {"NETCRAB_PACKS__SLICE_TASKS": str(tasks), "NETCRAB_PACKS_NOISE": "off"}
        assert world.build("test_friction", "--window", MONTH, **sliced)["existed"] == bool(data)
        separate = {"NETCRAB_PACKS__DATABASE": f"sqlite:{tmp_path / f'{tasks}.db'}", "NETCRAB_PACKS__RELEASED": str(tmp_path / str(tasks))}
        shutil.copy(tmp_path / "empty.db", tmp_path / f"{tasks}.db")
        assert not world.build("test_friction", "--window", MONTH, **sliced, **separate)["existed"]
        rows = pyarrow.parquet.read_table(tmp_path / str(tasks) / "test_friction" / "1.0" / "data.parquet").to_pylist()
        with contextlib.closing(sqlite3.connect(tmp_path / f"{tasks}.db")) as database:
            data.append((rows, sorted(database.execute("SELECT org_id, sessions FROM pack_org_membership"))))
    assert data[0] == data[1]
    rows, contributed = data[0]
    # Where an organisation is the unit of privacy, so few of them make no cell.
    assert len(contributed) == 22 and (rows or "org_month" in privacy)


def test_released_files_are_complete_and_name_no_organisation(world):
    world.build("test_friction", "--window", MONTH)
    folder = world.released()
    assert sorted(file.name for file in folder.iterdir()) == ["data.csv", "data.parquet", "datapackage.json", "manifest.json", "sample.json"]
    rows = pyarrow.parquet.read_table(folder / "data.parquet")
    assert rows.num_rows > 0 and pyarrow.csv.read_csv(folder / "data.csv").num_rows == rows.num_rows
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["rows"] == rows.num_rows and manifest["privacy"]["perVersion"]["epsilon"] <= 4.0
    assert [column["name"] for column in manifest["schema"]] == rows.column_names
    assert {name for name in rows.column_names if name.endswith("_moe95")} >= {"median_clicks_moe95", "org_count_moe95"}
    assert min(rows["sample_sessions"].to_pylist()) >= 300
    for file in folder.iterdir():
        content = file.read_bytes()
        assert not [org for org in world.orgs if org.encode() in content], file
    # What it prints names none either.
    done = world.run("build", "test_friction", "--tables", world.tables, "--window", MONTH, RUST_LOG="netcrab=trace,info")
    assert not [org for org in world.orgs if org in done.stdout + done.stderr]


def test_a_file_that_somebody_changed_is_found_and_never_overwritten(world):
    world.build("test_friction", "--window", MONTH)
    assert "0 files that are not" in world.succeed("verify")
    changed = world.released() / "data.csv"
    changed.write_bytes(changed.read_bytes().replace(b"B2B_CRM", b"B2B_ERP", 1))
    verified = world.run("verify")
    assert verified.returncode == 1 and "data.csv was changed" in verified.stdout
    again = world.run("build", "test_friction", "--tables", world.tables, "--window", MONTH)
    assert again.returncode == 1 and "not what was released" in again.stderr
    changed.unlink()
    assert "data.csv is missing" in world.run("verify").stdout
    assert world.build("test_friction", "--window", MONTH)["filesCreated"] == 1
    assert world.run("verify").returncode == 0


def test_opting_out_counts_from_the_next_build_and_what_is_over_budget_is_refused(world):
    world.build("test_friction", "--window", MONTH)
    for org in world.orgs[:20]:
        world.succeed("opt-out", org, "crm")
    # The budget of the month is spent: a second version would tell more than was promised.
    refused = world.run("build", "test_friction", "--tables", world.tables, "--window", MONTH)
    assert refused.returncode == 1 and "budget" in refused.stderr, refused.stderr
    for org in world.orgs[20:25]:
        world.succeed("opt-out", org, "crm")
    assert not [org for org in world.orgs if org in refused.stderr]
    # Fifteen organisations are too few. Such a build spends nothing.
    world.define(DEFINITION.replace("test_friction", "other"), "b")
    few = world.run("build", "other", "--tables", world.tables, "--window", MONTH)
    assert few.returncode == 1 and "fewer than 20 organisations" in few.stderr and "nothing was spent" in few.stderr
    assert world.succeed("--json", "budget", "other") == ""
    spent = json.loads(world.succeed("--json", "budget", "test_friction"))
    assert spent["period"] == MONTH and spent["rho"] == pytest.approx(spent["rhoBudget"])


def test_due_packs_are_built_and_packs_short_of_organisations_once_enough_opted_in(world):
    for org in world.orgs[:25]:
        world.succeed("opt-out", org, "crm")
    waits = world.run("build", "--due", "--tables", world.tables)
    assert waits.returncode == 0 and "fewer than 20 organisations" in waits.stderr
    watching = subprocess.Popen([os.environ["NETCRAB"], "packs", "watch", "--tables", world.tables, "--every-s", "1"],
                                env=world.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        for org in world.orgs[:25]:
            world.succeed("opt-in", org, "crm")
        for _ in range(100):
            if json.loads(world.succeed("--json", "list"))[0]["version"]:
                break
            time.sleep(0.2)
    finally:
        watching.send_signal(2)
        said, _ = watching.communicate(timeout=30)
    assert watching.returncode == 0 and "built" in said
    assert json.loads(world.succeed("--json", "list"))[0]["version"] == "1.0"


def test_excluded_segments_and_paths_stay_out(world, facts):
    sessions = deltalake.DeltaTable(facts / "fact_sessions").to_pyarrow_table(columns=["segment"])["segment"].unique().to_pylist()
    segments = [segment for segment in sessions if segment]
    whole = DEFINITION.replace("minSessions: 300", "minSessions: 50") + "privacy: {maxShareOfCell: 1.0}\n"
    totals = []
    for pack, more in [("none", []), ("segment", ["--exclude-segment", segments[0]]), ("path", ["--exclude-path", "/"])]:
        world.define(whole.replace("test_friction", f"out_{pack}").replace("[crm]", f"[{pack}]"), pack)
        for org in world.orgs:
            world.succeed("opt-in", org, pack, *more)
        world.build(f"out_{pack}", "--window", MONTH, NETCRAB_PACKS_NOISE="off")
        rows = pyarrow.parquet.read_table(world.released(f"out_{pack}") / "data.parquet")
        totals.append(sum(rows["sample_sessions"].to_pylist()))
    assert totals[0] > totals[1] > 0 and totals[2] == 0


@pytest.mark.parametrize("kind, columns", [
    ("task_flows", {"archetype_label", "steps", "avg_duration_s", "avg_duration_s_moe95"}),
    ("release_deltas", {"friction_delta", "efficiency_delta_moe95", "release_window"}),
])
def test_the_other_kinds_are_built_of_the_same_facts(world, kind, columns):
    world.define(DEFINITION.replace("ux_benchmarks", kind).replace("minSessions: 300", "minSessions: 100"))
    world.build("test_friction", "--window", MONTH)
    rows = pyarrow.parquet.read_table(world.released() / "data.parquet")
    assert columns <= set(rows.column_names)
    if kind == "task_flows":
        labels = rows["archetype_label"].to_pylist()
        assert rows.num_rows > 0 and any(" > " in label for label in labels)
        assert all(steps == (0 if label == "OTHER" else label.count(">") + 1) for steps, label in zip(rows["steps"].to_pylist(), labels))


def test_versions_are_numbered_shown_compared_and_marked(world):
    weekly = DEFINITION.replace("monthly", "weekly") + "privacy: {epsilon: 10, maxCellsPerUnit: 1}\n"
    world.define(weekly)
    for window in (f"{MONTH}-01", f"{MONTH}-09"):
        world.build("test_friction", "--window", window)
    world.define(weekly + "fields: [date, task_type, median_clicks, sample_sessions]\n")
    assert world.build("test_friction", "--window", f"{MONTH}-09")["version"] == "2.0"
    shown = json.loads(world.succeed("--json", "show", "test_friction", "--version", "1.1"))
    assert shown["window"] == week_of(9) and shown["rows"]
    diff = world.succeed("diff", "test_friction", "1.0", "1.1")
    assert f"- window {week_of(1)}" in diff and f"+ window {week_of(9)}" in diff
    world.succeed("mark", "test_friction", "1.1", "active")
    assert "active" in world.succeed("show", "test_friction", "--version", "1.1")
    refused = world.run("mark", "test_friction", "1.1", "draft")
    assert refused.returncode == 1 and "1.1" in refused.stderr
    listed = json.loads(world.succeed("--json", "list"))
    assert listed[0]["version"] == "2.0" and listed[0]["status"] == "draft"


def test_wrong_input_says_what_to_do(world):
    world.define("packId: x\nkind: nothing\n", "b")
    checked = world.run("check")
    assert checked.returncode == 1 and "b.yaml: line 2: `kind` is none of" in checked.stdout
    (world.folder / "definitions" / "b.yaml").unlink()
    for arguments, said in [(["build", "test_frictio", "--tables", world.tables], "nearest is `test_friction`"),
                            (["build", "test_friction", "--tables", world.folder], "make it with `netcrab run`"),
                            (["build", "test_friction", "--tables", world.tables, "--window", "2099-01"], "is not over yet"),
                            (["build", "test_friction", "--tables", world.tables, "--window", "soon"], "no day like"),
                            (["show", "test_friction"], "has no version yet"),
                            (["org", "acme", "--vertical", "SHOES"], "none of B2B_CRM"),
                            (["opt-out", "nobody", "crm"], "had not opted in")]:
        done = world.run(*arguments)
        assert done.returncode == 1 and said in done.stderr, done.stderr


@pytest.fixture
def postgres():
    """The URL of an empty database. Its server does not run as root and could not read a folder of pytest's."""
    script = pathlib.Path(__file__).parents[3] / "scripts" / "postgres.sh"
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([script, "start", folder], check=True, timeout=600)
        try:
            port = (pathlib.Path(folder) / "port").read_text().strip()
            yield f"postgres://netcrab:netcrab-secret@127.0.0.1:{port}/postgres"
        finally:
            subprocess.run([script, "stop", folder], check=True)


def test_postgresql_gives_the_results_of_sqlite(world, facts, tmp_path, postgres):
    shared = World(tmp_path / "shared", facts)
    shared.define(DEFINITION)
    shared.environment["NETCRAB_PACKS__DATABASE"] = postgres
    # Only these contribute; the others opt out.
    for org in world.orgs[:24]:
        shared.succeed("org", org, "--vertical", "B2B_CRM")
        shared.succeed("opt-in", org, "crm")
    for org in world.orgs[24:]:
        world.succeed("opt-out", org, "crm")
    without_noise = {"NETCRAB_PACKS_NOISE": "off"}
    built = [each.build("test_friction", "--window", MONTH, **without_noise) for each in (world, shared)]
    assert built[0] == built[1] and built[0]["rows"] > 0
    assert (world.released() / "data.parquet").read_bytes() == (shared.released() / "data.parquet").read_bytes()
    assert shared.build("test_friction", "--window", MONTH)["existed"]
    # The budget of the month is spent.
    for each in (world, shared):
        each.succeed("opt-out", world.orgs[0], "crm")
    refused = [each.run("build", "test_friction", "--tables", each.tables, "--window", MONTH) for each in (world, shared)]
    assert [done.returncode for done in refused] == [1, 1] and refused[0].stderr == refused[1].stderr
    for command in (["budget"], ["verify"], ["list"], ["show", "test_friction"]):
        assert world.succeed(*command) == shared.succeed(*command), command
    shared.environment["NETCRAB_PACKS__DATABASE"] = postgres.replace("netcrab-secret", "wrong-secret")
    refused = shared.run("list")
    assert refused.returncode == 1 and "secret" not in refused.stdout + refused.stderr


def test_released_versions_are_tables_in_delta_and_in_clickhouse(world, spark, tmp_path):
    script = pathlib.Path(__file__).parents[3] / "scripts" / "clickhouse.sh"
    subprocess.run([script, "start", tmp_path / "clickhouse"], check=True, timeout=600)
    try:
        port = int((tmp_path / "clickhouse" / "http_port").read_text())
        hosts = {"NETCRAB_CLICKHOUSE__HOSTS": f'["http://127.0.0.1:{port}"]'}
        world.define(DEFINITION + "fields: [date, median_clicks]\n")
        for _ in range(2):
            world.build("test_friction", "--window", MONTH, **hosts)
        table = world.folder / "released" / "mp_ux_friction_daily"
        rows = deltalake.DeltaTable(table).to_pyarrow_table().to_pylist()
        assert rows and {(row["pack_id"], row["version"]) for row in rows} == {("test_friction", "1.0")}
        in_spark = spark.read.format("delta").load(str(table)).toArrow().to_pylist()
        assert sorted(map(repr, in_spark)) == sorted(map(repr, rows))
        client = clickhouse_connect.get_client(host="127.0.0.1", port=port, database="netcrab")
        there = client.query("SELECT * FROM mp_ux_friction_daily")
        def key(row):
            return (str(row["date"]), row["task_type"], row["flow_complexity"])
        assert sorted(map(key, there.named_results())) == sorted(map(key, rows))
        assert pyarrow.parquet.read_table(world.released() / "data.parquet").column_names == ["date", "median_clicks", "median_clicks_moe95"]
    finally:
        subprocess.run([script, "stop", tmp_path / "clickhouse"], check=True)


def test_a_report_is_made_of_released_packs_only_and_spends_nothing(world, tmp_path):
    world.define(DEFINITION.replace("test_friction", "flows").replace("ux_benchmarks", "task_flows"), "b")
    world.define(DEFINITION.replace("test_friction", "report").replace("ux_benchmarks", "insight_reports")
                 + "sources: [test_friction, flows]\n", "c")
    early = world.run("build", "report", "--tables", world.tables, "--window", MONTH)
    assert early.returncode == 1 and "build them first" in early.stderr
    for pack in ("test_friction", "flows"):
        world.build(pack, "--window", MONTH)
    # A report reads released versions only, so it needs no tables.
    nowhere = tmp_path / "nowhere"
    built = json.loads(world.succeed("build", "report", "--tables", nowhere, "--window", MONTH, "--json"))
    assert built["rows"] >= 1 and built["filesCreated"] == 6
    rows = pyarrow.parquet.read_table(world.released("report") / "data.parquet").to_pylist()
    findings = json.loads(rows[0]["insights"])
    assert findings and all(finding["packId"] in ("test_friction", "flows") for finding in findings)
    page = (world.released("report") / "report.html").read_text()
    assert "<h1>Friction</h1>" in page and "mean friction" in page
    assert "report" not in world.succeed("budget")
    assert world.succeed("verify").startswith("3 versions, 0 files")


def test_versions_in_a_bucket_are_created_once_and_verified_there(world, tmp_path):
    store = Store(tmp_path / "minio").start()
    try:
        _, aws = command([], store.endpoint)
        aws = {name: value for name, value in aws.items() if name.startswith("AWS_")}
        there = {**aws, "NETCRAB_PACKS__RELEASED": "s3://events/released"}
        world.build("test_friction", "--window", MONTH)
        # The same database gives the same bytes.
        assert world.build("test_friction", "--window", MONTH, **there)["filesCreated"] == 5
        assert world.build("test_friction", "--window", MONTH, **there)["existed"]
        with store.files.open_input_file("events/released/test_friction/1.0/manifest.json") as file:
            assert file.read() == (world.released() / "manifest.json").read_bytes()
        assert world.run("verify", **there).returncode == 0
        store.put("released/test_friction/1.0/data.csv", b"something else")
        verified = world.run("verify", **there)
        assert verified.returncode == 1 and "s3://events" in verified.stdout and "data.csv was changed" in verified.stdout
    finally:
        store.stop()
