"""The tables open in the clients that analysts use, with the same rows in each."""

import json

import deltalake
import duckdb
import polars
import pyarrow
import pyarrow.parquet
import pytest

NAMES = ["events_raw", "events_sessionized", "fact_sessions", "fact_incidents", "fact_tasks", "fact_screen_hotspots",
         "fact_flows", "dim_task_types", "dim_releases", "rejects"]


def rows_in_netcrab(netcrab, tables, name):
    return json.loads(netcrab("--json", "sql", "--tables", tables, f"SELECT count(*) AS n FROM {name}"))["n"]


@pytest.mark.parametrize("name", NAMES)
def test_every_client_sees_every_row(netcrab, tables, name):
    expected = rows_in_netcrab(netcrab, tables, name)
    assert expected == {"events_raw": 30_000, "rejects": 0}.get(name, expected)
    assert expected > 0 or name == "rejects"
    table = deltalake.DeltaTable(tables / name)
    assert table.to_pyarrow_table().num_rows == expected
    assert polars.read_delta(str(tables / name)).height == expected
    files = table.file_uris()
    assert sum(pyarrow.parquet.ParquetFile(file).metadata.num_rows for file in files) == expected
    if files:
        assert duckdb.sql(f"SELECT count(*) FROM read_parquet({files}, hive_partitioning = true)").fetchall()[0][0] == expected


def test_values_and_types_survive_in_each_client(tables):
    folder = tables / "fact_sessions"
    files = deltalake.DeltaTable(folder).file_uris()
    sums = "SELECT sum(event_count), sum(rage_clicks), epoch_us(min(start_ts)), round(sum(frustration_score), 6)"
    in_duckdb = duckdb.sql(f"{sums} FROM read_parquet({files}, hive_partitioning = true)").fetchall()[0]
    frame = polars.read_delta(str(folder))
    assert frame.schema["start_ts"] == polars.Datetime("us", "UTC")
    assert frame.schema["task_types"] == polars.List(polars.String)
    assert frame.schema["date"] == polars.Date
    assert in_duckdb[0] == frame["event_count"].sum()
    assert in_duckdb[1] == frame["rage_clicks"].sum() > 0
    assert in_duckdb[2] == frame["start_ts"].dt.epoch("us").min()
    assert float(in_duckdb[3]) == pytest.approx(frame["frustration_score"].sum(), abs=1e-6)
    arrow = deltalake.DeltaTable(folder).to_pyarrow_table()
    assert arrow["frustration_score"].to_pylist()[0] > 0


def test_files_are_sorted_for_analysts(tables):
    files = deltalake.DeltaTable(tables / "fact_sessions").file_uris()
    assert len(files) == 4, "a file for each day"
    for file in files:
        keys = polars.read_parquet(file, columns=["org_id", "product_id", "start_ts"])
        assert keys.equals(keys.sort("org_id", "product_id", "start_ts", maintain_order=True))


def test_statistics_prune_files_by_day_and_organisation(tables):
    table = deltalake.DeltaTable(tables / "fact_sessions")
    actions = polars.DataFrame(pyarrow.table(table.get_add_actions(flatten=True)))
    assert {"partition.date", "num_records", "min.org_id", "max.org_id"} <= set(actions.columns)
    assert actions["num_records"].sum() == table.to_pyarrow_table().num_rows > 0
