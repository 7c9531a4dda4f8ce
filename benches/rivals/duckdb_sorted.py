"""Sorts the events of a Parquet file into the order of events_raw and writes them, with DuckDB.

    duckdb_sorted.py EVENTS.parquet OUTPUT_DIR [--threads N]
    duckdb_sorted.py EVENTS.parquet OUTPUT_DIR --compare NETCRAB_TABLES

The second form writes nothing: it exits with 1 unless events_raw of netcrab has the rows that OUTPUT_DIR has, and each
of its files is in order.
"""

import argparse
import os
import pathlib
import sys

import duckdb

ORDER = "date, org_id, product_id, ts, event_id"
# Without the extension for time zones, which DuckDB would have to download.
DATE = "DATE '1970-01-01' + (epoch_ms(ts) // 86400000)::INTEGER"
SORTED = """COPY (SELECT *, {date} AS date FROM read_parquet('{events}') ORDER BY {order})
    TO '{output}/events_raw.parquet' (FORMAT parquet, COMPRESSION snappy, ROW_GROUP_SIZE 131072)"""


def write(connection, events, output):
    os.makedirs(output, exist_ok=True)
    connection.execute(SORTED.format(date=DATE, events=events, output=output, order=ORDER))


def compare(connection, output, tables):
    ours = f"read_parquet('{tables}/events_raw/*/*.parquet', hive_partitioning = true, filename = true, file_row_number = true)"
    theirs = f"read_parquet('{output}/events_raw.parquet')"
    columns = [name for name, *_ in connection.execute(f"DESCRIBE SELECT * FROM {theirs}").fetchall()]
    values = ", ".join(f"epoch_ms({name})" if name in ("ts", "received_at", "date") else name for name in columns)
    total = f"SELECT count(*), sum(hash({values})::HUGEINT) FROM "
    if connection.execute(total + ours).fetchone() != connection.execute(total + theirs).fetchone():
        sys.exit("events_raw of netcrab and of DuckDB differ")
    key = "(org_id, product_id, ts, event_id)"
    before = f"lag({key}) OVER (PARTITION BY filename ORDER BY file_row_number)"
    disorder = connection.execute(f"SELECT count(*) FROM (SELECT {key} < {before} AS d FROM {ours}) WHERE d").fetchone()[0]
    if disorder:
        sys.exit(f"{disorder} rows of events_raw are out of order")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("events")
    parser.add_argument("output", type=pathlib.Path)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--compare", metavar="NETCRAB_TABLES")
    args = parser.parse_args()
    connection = duckdb.connect(config={"threads": args.threads})
    if args.compare:
        compare(connection, args.output, args.compare)
    else:
        write(connection, args.events, args.output)


if __name__ == "__main__":
    main()
