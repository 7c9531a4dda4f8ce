"""Compares two directories of fact tables, table by table; exits 1 on a difference.

    compare.py LEFT_DIR RIGHT_DIR [--tables fact_sessions,…] [--show N]

A table is NAME.parquet, or a directory NAME of Parquet files; with a _delta_log it is a Delta table.
Rows are joined by natural key, since each rival computes session_key and incident_id with another hash.
Those two are checked within each side instead: they are unique, they have 32 characters, and every
session_key is one of fact_sessions. Everything else must be equal: column names and their order, values,
lists element by element, floats to a relative 1e-9. Widths of integers and units of timestamps may
differ. Instants must be UTC.
"""

import argparse
import pathlib
import sys

import polars as pl

HASHES = ["session_key", "incident_id"]
SESSION = ["org_id", "product_id", "session_or_user", "session_no"]

COLUMNS = {
    "fact_sessions": """org_id product_id date session_key session_id session_no user_hash start_ts end_ts duration_ms
        event_count click_count screen_visits unique_screens rage_clicks dead_clicks error_clicks backtracks
        context_switches tasks_started tasks_completed tasks_failed abandoned_tasks error_events frustration_score
        efficiency_score entry_screen exit_screen task_types device_type os browser version_tag segment row_version""",
    "fact_incidents": """org_id product_id date incident_id session_key session_id kind rule_id rule_version screen_id
        route element_type element_label_h started_at ended_at event_count evidence detail""",
    "fact_tasks": """org_id product_id date session_key task_no task_type started_at completed_at duration_ms clicks
        screens success abandoned flow_complexity""",
    "fact_screen_hotspots": """org_id product_id date screen_id route sessions visits frustration_sum efficiency_sum
        rage_clicks dead_clicks error_clicks backtracks abandoned_tasks dropoffs time_spent_ms_sum""",
    "fact_flows": "org_id product_id date from_screen to_screen moves sessions frustration_sum",
}
COLUMNS = {table: names.split() for table, names in COLUMNS.items()}

# What identifies a row in every implementation; `session_or_user` and `session_no` come from fact_sessions.
NATURAL_KEYS = {
    "fact_sessions": SESSION,
    "fact_incidents": [*SESSION, "kind", "first_evidence"],
    "fact_tasks": [*SESSION, "task_no"],
    "fact_screen_hotspots": ["org_id", "product_id", "date", "screen_id"],
    "fact_flows": ["org_id", "product_id", "date", "from_screen", "to_screen"],
}
RELATIVE = 1e-9


def read(directory, table):
    """The table with integers as Int64 and instants as ms, or None where it does not exist."""
    file, folder = directory / f"{table}.parquet", directory / table
    if file.exists():
        frame = pl.read_parquet(file)
    elif (folder / "_delta_log").exists():
        frame = pl.read_delta(str(folder))
    elif folder.exists():
        frame = pl.read_parquet(folder / "**" / "*.parquet", hive_partitioning=True)
    else:
        return None
    if table == "fact_incidents":
        # ClickHouse needs row_version to replace a row. It says nothing about the incident.
        frame = frame.drop("row_version", strict=False)
    casts = []
    if "rule_version" in frame.columns:
        # rule_version is a text. A reader may infer a number, since all versions so far are digits.
        frame = frame.with_columns(pl.col("rule_version").cast(pl.String))
    for name, kind in frame.schema.items():
        if kind.is_integer():
            casts.append(pl.col(name).cast(pl.Int64))
        elif isinstance(kind, pl.Datetime):
            casts.append(pl.col(name).cast(pl.Datetime("ms", kind.time_zone)))
        elif isinstance(kind, (pl.Categorical, pl.Enum)):
            casts.append(pl.col(name).cast(pl.String))
    return frame.with_columns(casts)


class Side:
    """One directory: its tables with natural keys, and the faults within it."""

    def __init__(self, directory):
        self.directory = pathlib.Path(directory)
        self.faults = []
        self.sessions = self.check("fact_sessions")
        if self.sessions is None:
            sys.exit(f"{directory}: no fact_sessions; every comparison needs it")
        own = pl.when(pl.col("session_id") == "").then("user_hash").otherwise("session_id")
        self.sessions = self.sessions.with_columns(own.alias("session_or_user"))

    def check(self, table):
        frame = read(self.directory, table)
        if frame is None:
            return None
        if frame.columns != COLUMNS[table]:
            self.faults.append(f"{table}: columns are {frame.columns}, expected {COLUMNS[table]}")
        own = {"fact_sessions": "session_key", "fact_incidents": "incident_id"}.get(table)
        if own is not None:
            if frame[own].n_unique() != len(frame):
                self.faults.append(f"{table}: {own} is not unique")
            if not (frame[own].str.contains("^[0-9a-f]{32}$").fill_null(False)).all():
                self.faults.append(f"{table}: {own} is not 32 lower-case hex digits everywhere")
        return frame

    def table(self, table):
        """The table with the columns of its natural key, without its hashes."""
        if table == "fact_sessions":
            frame = self.sessions
        else:
            frame = self.check(table)
            if frame is None:
                return None
            if "session_key" in COLUMNS[table]:
                frame = frame.join(self.sessions.select("session_key", "session_or_user", "session_no"), on="session_key", how="left")
                orphans = frame["session_no"].null_count()
                if orphans:
                    self.faults.append(f"{table}: {orphans} rows with a session_key that fact_sessions lacks")
            if table == "fact_incidents":
                frame = frame.with_columns(pl.col("evidence").list.first().alias("first_evidence"))
        key = NATURAL_KEYS[table]
        repeated = len(frame) - frame.select(key).n_unique()
        if repeated:
            self.faults.append(f"{table}: {repeated} rows repeat a natural key {key}")
        return frame.drop(HASHES, strict=False)


def differs(name, left, right):
    """Whether the two values of a column differ."""
    ours, theirs = pl.col(name), pl.col(f"{name}_right")
    if left.is_float() and right.is_float():
        far = (ours - theirs).abs() > RELATIVE * pl.max_horizontal(ours.abs(), theirs.abs())
        # A null or a NaN on one side only is a difference.
        return ours.is_null().ne(theirs.is_null()) | ours.is_nan().ne_missing(theirs.is_nan()) | far.fill_null(False)
    return ours.ne_missing(theirs)


def compare(table, left, right, show):
    """The differences as lines, with at most `show` rows for each."""
    key = NATURAL_KEYS[table]
    lines = []
    for side, here, there in (("left", left, right), ("right", right, left)):
        alone = here.join(there, on=key, how="anti", nulls_equal=True).sort(key)
        if len(alone):
            lines.append(f"{len(alone)} rows only {side}")
            lines += [f"    {row}" for row in alone.head(show).to_dicts()]
    both = left.join(right, on=key, how="inner", nulls_equal=True).sort(key)
    for name in left.columns:
        if name in key or name not in right.columns:
            continue
        kinds = left.schema[name], right.schema[name]
        if kinds[0] != kinds[1]:
            lines.append(f"{name}: {kinds[0]} left, {kinds[1]} right")
            continue
        different = both.filter(differs(name, *kinds))
        if len(different):
            lines.append(f"{name}: {len(different)} rows differ")
            for row in different.head(show).to_dicts():
                lines.append(f"    {[row[part] for part in key]}: {row[name]!r} left, {row[name + '_right']!r} right")
    return lines


def compare_directories(left, right, tables=None, show=3):
    """(report lines, equal)"""
    sides = Side(left), Side(right)
    lines, equal = [], True
    for table in tables or COLUMNS:
        frames = [side.table(table) for side in sides]
        if any(frame is None for frame in frames):
            # The rivals write fact_tasks on request only.
            wanted = tables is not None or table != "fact_tasks"
            equal &= not wanted
            absent = " and ".join(str(side.directory) for side, frame in zip(sides, frames) if frame is None)
            lines.append(f"{table}: not in {absent}{'' if wanted else ', not compared'}")
            continue
        found = compare(table, *frames, show)
        equal &= not found
        lines.append(f"{table}: {len(frames[0])} rows left, {len(frames[1])} right: {'DIFFERENT' if found else 'equal'}")
        lines += [f"  {line}" for line in found]
    for side in sides:
        equal &= not side.faults
        lines += [f"{side.directory}: {fault}" for fault in side.faults]
    return lines, equal


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("left")
    parser.add_argument("right")
    parser.add_argument("--tables", type=lambda text: text.split(","), help="default: all that both sides have")
    parser.add_argument("--show", type=int, default=3, help="most rows shown for each difference")
    args = parser.parse_args()
    lines, equal = compare_directories(args.left, args.right, args.tables, args.show)
    print("\n".join(lines))
    sys.exit(0 if equal else 1)


if __name__ == "__main__":
    main()
