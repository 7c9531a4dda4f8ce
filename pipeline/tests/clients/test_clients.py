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


def in_spark(spark, folder):
    return spark.read.format("delta").load(str(folder))


def assert_every_client_sees(expected, spark, folder):
    table = deltalake.DeltaTable(folder)
    assert table.to_pyarrow_table().num_rows == expected
    assert polars.read_delta(str(folder)).height == expected
    assert in_spark(spark, folder).count() == expected
    files = table.file_uris()
    assert sum(pyarrow.parquet.ParquetFile(file).metadata.num_rows for file in files) == expected
    if files:
        assert duckdb.sql(f"SELECT count(*) FROM read_parquet({files}, hive_partitioning = true)").fetchall()[0][0] == expected


def assert_spark_reads_what_deltalake_reads(spark, folder):
    """Every value of every column. `count` alone would not: Spark answers it from Delta's statistics."""
    theirs = in_spark(spark, folder).toArrow()
    ours = deltalake.DeltaTable(folder).to_pyarrow_table().select(theirs.column_names)
    # Only the name of a list's element and what may be null differ in the types.
    ours = ours.cast(theirs.schema)
    assert sorted(map(repr, theirs.to_pylist())) == sorted(map(repr, ours.to_pylist()))


@pytest.mark.parametrize("name", NAMES)
def test_every_client_sees_every_row(netcrab, tables, spark, name):
    expected = rows_in_netcrab(netcrab, tables, name)
    assert expected == {"events_raw": 30_000, "rejects": 0}.get(name, expected)
    assert expected > 0 or name == "rejects"
    assert_every_client_sees(expected, spark, tables / name)
    assert_spark_reads_what_deltalake_reads(spark, tables / name)


def test_every_client_sees_every_row_of_a_stream(netcrab, streamed, spark):
    names = [name for name in NAMES if name != "rejects"]
    for name in names:
        expected = rows_in_netcrab(netcrab, streamed, name)
        assert expected > 0
        assert_every_client_sees(expected, spark, streamed / name)
        assert_spark_reads_what_deltalake_reads(spark, streamed / name)
    removed = [table for table in names
               if any('"remove"' in entry.read_text() for entry in (streamed / table / "_delta_log").glob("*.json"))]
    assert "fact_sessions" in removed, "the stream replaced no file"


def test_values_and_types_survive_in_each_client(tables, spark):
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
    theirs = in_spark(spark, folder)
    types = dict(theirs.dtypes)
    assert (types["start_ts"], types["task_types"], types["date"]) == ("timestamp", "array<string>", "date")
    assert (types["event_count"], types["frustration_score"], types["org_id"]) == ("bigint", "double", "string")
    in_spark_sql = theirs.selectExpr("sum(event_count)", "sum(rage_clicks)", "unix_micros(min(start_ts))",
                                     "sum(frustration_score)").first()
    assert in_spark_sql[:3] == in_duckdb[:3]
    assert in_spark_sql[3] == pytest.approx(float(in_duckdb[3]), abs=1e-6)
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
    rows = table.to_pyarrow_table()
    assert actions["num_records"].sum() == rows.num_rows > 0
    for column in ("org_id", "start_ts", "frustration_score", "entry_screen"):
        assert actions[f"null_count.{column}"].sum() == rows[column].null_count
    assert rows["entry_screen"].null_count > 0


def files_read(frame):
    """How many files Spark opens to answer."""
    frame.collect()
    scans = frame._jdf.queryExecution().executedPlan().collectLeaves()
    assert scans.size() == 1
    return scans.apply(0).metrics().apply("numFiles").value()


def test_spark_skips_the_files_of_other_days_and_organisations(tables, spark):
    sessions = in_spark(spark, tables / "fact_sessions").select("session_key", "org_id", "date", "start_ts")
    first, last = sessions.selectExpr("min(date)", "max(date)").first()
    organisation = sessions.selectExpr("max(org_id)").first()[0]
    assert files_read(sessions) == 4
    assert files_read(sessions.where(f"date = '{first}'")) == 1
    assert files_read(sessions.where(f"date > '{first}'")) == 3
    assert files_read(sessions.where(f"date > '{last}'")) == 0
    assert files_read(sessions.where(f"org_id = '{organisation}'")) == 4
    assert files_read(sessions.where(f"org_id > '{organisation}'")) == 0
    assert files_read(sessions.where(f"start_ts >= '{last}'")) == 1
