"""What a team asks of its ClickHouse, by the client it would ask with, is what the Delta tables say."""

import os
import pathlib
import subprocess

import clickhouse_connect
import deltalake
import duckdb
import polars
import pytest

ROOT = pathlib.Path(__file__).parents[3]
SCRIPT = ROOT / "scripts" / "clickhouse.sh"


@pytest.fixture(scope="module")
def client(netcrab, tables, tmp_path_factory):
    folder = tmp_path_factory.mktemp("clickhouse")
    subprocess.run([SCRIPT, "start", folder], check=True, timeout=600)
    try:
        port = (folder / "http_port").read_text().strip()
        os.environ["NETCRAB_CLICKHOUSE__HOSTS"] = f'["http://127.0.0.1:{port}"]'
        netcrab("--quiet", "backfill", "--to", "clickhouse", "--tables", tables)
        yield clickhouse_connect.get_client(host="127.0.0.1", port=int(port), database="netcrab")
    finally:
        os.environ.pop("NETCRAB_CLICKHOUSE__HOSTS", None)
        subprocess.run([SCRIPT, "stop", folder], check=True)


def test_it_holds_what_the_tables_hold(netcrab, tables, client):
    assert "the same" in netcrab("verify", "--tables", tables)


def test_sums_are_those_of_duckdb_and_polars(tables, client):
    sums = "SELECT sum(visits), sum(rage_clicks), round(sum(frustration_sum), 6) FROM"
    theirs = client.query(f"{sums} fact_screen_hotspots").result_rows[0]
    folder = tables / "fact_screen_hotspots"
    files = deltalake.DeltaTable(folder).file_uris()
    in_duckdb = duckdb.sql(f"{sums} read_parquet({files}, hive_partitioning = true)").fetchall()[0]
    frame = polars.read_delta(str(folder))
    assert theirs[:2] == (int(in_duckdb[0]), int(in_duckdb[1])) == (frame["visits"].sum(), frame["rage_clicks"].sum())
    assert theirs[2] == pytest.approx(float(in_duckdb[2]), abs=1e-5)


def test_types_are_those_an_analyst_expects(client):
    rows = client.query("SELECT start_ts, date, task_types, segment, row_version FROM fact_sessions ORDER BY start_ts LIMIT 1")
    start_ts, date, task_types, _, row_version = rows.result_rows[0]
    assert start_ts.year == 2026 and str(date) == str(start_ts.date()) and isinstance(task_types, list) and row_version == 1
    arrow = client.query_arrow("SELECT screen_id, frustration_sum FROM fact_screen_hotspots LIMIT 5")
    assert arrow.num_rows == 5
