"""NetCrab's batch chain as dataframes in Polars.

Prints JSON: wall seconds, CPU seconds, and seconds of each stage.

    polars_chain.py EVENTS.parquet OUTPUT_DIR [--threads N] [--tasks]

All events are sorted once by (session key, ts, seq, event_id). `i` is the position of an event in that order,
and `session` numbers the sessions. After that, every "before" and "after" of docs/rules.md (its sections
are in the comments) is a shift. session_key and incident_id are 32 decimal digits of a seeded hash.
"""

import argparse
import json
import os
import resource
import sys
import time

# Polars reads the size of its thread pool when it is imported.
if __name__ == "__main__" and "--threads" in sys.argv:
    os.environ["POLARS_MAX_THREADS"] = sys.argv[sys.argv.index("--threads") + 1]

import polars as pl

GAP_MS, LENGTH_MS = 1_800_000, 86_400_000
RAGE_MS, DEAD_REACTION_MS, DEAD_MS, ERROR_MS, STAY_MS, TASK_MS = 1000, 2500, 2500, 1000, 20_000, 900_000
EVIDENCE_MAX = 50
UNIT = 1099511627776.0  # 2⁴⁰: scores are whole numbers of 2⁻⁴⁰, so that sums are exact

KEY = ["org_id", "product_id", "session_or_user"]
USED = ["session_id", "user_hash", "event_id", "ts", "event_type", "seq", "screen_id", "route", "element_type",
        "element_label_h", "error_code", "os", "browser", "device_type", "reaction_ms", "reaction_observed",
        "task_type", "task_phase", "task_success", "version_tag", "segment"]

col, when = pl.col, pl.when
click = col("event_type") == "click"


def hash_text(*parts):
    """32 digits of a hash over the parts."""
    whole = pl.concat_str([col(part).cast(pl.String) for part in parts], separator="\x1f")
    halves = [(whole.hash(seed) % 10**16).cast(pl.String).str.zfill(16) for seed in (1, 2)]
    return pl.concat_str(halves)


def instant(name):
    return col(name).cast(pl.Datetime("ms", "UTC"))


def first_present(name):
    return col(name).drop_nulls().first()


def order_events(path):
    """§2: each event once, in order."""
    rows = pl.scan_parquet(path).with_columns(
        when(col("session_id") == "").then("user_hash").otherwise("session_id").alias("session_or_user"))
    identity = [*KEY, "event_id"]
    repeated = rows.group_by(identity).len().filter(col("len") > 1).drop("len").collect()
    rows = rows.with_row_index("row")
    # Only the repeats are sorted by every column. 1/x separates −0 from 0, as IEEE total order does.
    columns = [name for name in rows.collect_schema().names() if name not in ("row", "session_or_user")]
    floats = ["latency_ms", "page_x", "page_y", "reaction_ms"]
    by = ["received_at", "ts"]
    for name in columns:
        by += [name, 1 / col(name)] if name in floats else [name]
    superseded = (
        rows.join(repeated.lazy(), on=identity, how="semi")
        .sort(by, nulls_last=True)
        .filter(col("row").cum_count().over(identity) > 1)
        .select("row")
    )
    return (
        rows.join(superseded, on="row", how="anti")
        .select(*KEY, *USED)
        .with_columns(col("ts").cast(pl.Int64))
        .sort(*KEY, "ts", "seq", "event_id", nulls_last=True)
        .with_row_index("i")
        .with_columns(col("i").cast(pl.Int64))
        .collect()
    )


def sessionize(events):
    """§3: numbers the sessions. A stretch is a run of events without a gap."""
    new_key = pl.any_horizontal(col(part) != col(part).shift(1) for part in KEY).fill_null(True)
    events = events.with_columns(new_key.alias("new_key")).with_columns(
        (col("new_key") | (col("ts").diff() > GAP_MS).fill_null(True)).alias("opens"))
    events = events.with_columns(col("opens").cum_sum().alias("stretch"))
    long = (
        events.group_by("stretch").agg(col("i").first(), pl.len(), span=col("ts").last() - col("ts").first())
        .filter(col("span") >= LENGTH_MS)
    )
    aged = []
    for first, length in long.select("i", "len").iter_rows():
        ts = events["ts"][first:first + length]
        opening = 0
        # The first event 24 h or more after the session's first opens the next.
        while (opening := ts.search_sorted(ts[opening] + LENGTH_MS, side="left")) < length:
            aged.append(first + opening)
    return events.with_columns(opens=col("opens") | col("i").is_in(aged)).with_columns(
        session=col("opens").cum_sum()).drop("stretch")


def summarize_sessions(events):
    """§6, except incidents, visits and scores."""
    completed = (col("task_phase") == "complete").fill_null(False)
    succeeded = col("task_success").fill_null(True)
    sessions = events.group_by("session", maintain_order=True).agg(
        *[col(name).first() for name in (*KEY, "session_id", "user_hash", "new_key")],
        col("event_id").first().alias("first_event_id"),
        col("ts").first().alias("start_ts"),
        col("ts").last().alias("end_ts"),
        pl.len().cast(pl.Int64).alias("event_count"),
        click.sum().cast(pl.Int64).alias("click_count"),
        col("screen_id").n_unique().cast(pl.Int64).alias("unique_screens"),
        (col("event_type") == "focus_change").sum().alias("context_switches"),
        (col("task_phase") == "start").sum().cast(pl.Int64).alias("tasks_started"),
        (completed & succeeded).sum().alias("tasks_completed"),
        (completed & ~succeeded).sum().alias("tasks_failed"),
        col("error_code").count().alias("error_events"),
        col("task_type").drop_nulls().unique().sort().alias("task_types"),
        *[first_present(name) for name in ("device_type", "os", "browser", "version_tag", "segment")],
    )
    return sessions.with_columns(
        date=instant("start_ts").dt.date(),
        duration_ms=col("end_ts") - col("start_ts"),
        # sessions are in order of key and time
        session_no=pl.int_range(pl.len()) - when("new_key").then(pl.int_range(pl.len())).forward_fill(),
        session_key=hash_text(*KEY, "first_event_id", "start_ts"),
    ).drop("new_key")


def find_visits(events, sessions):
    """§4"""
    visits = (
        events.filter(col("event_type") == "navigation")
        .select("i", "session", "event_id", "ts", "screen_id", "route")
        .filter(((col("session") != col("session").shift(1)) | (col("screen_id") != col("screen_id").shift(1))).fill_null(True))
    )
    same = col("session") == col("session").shift(-1)
    return visits.join(sessions.select("session", "end_ts"), on="session", how="left", maintain_order="left").with_columns(
        until=when(same).then(col("ts").shift(-1)).otherwise("end_ts"),
        next_screen=when(same).then(col("screen_id").shift(-1)),
        first=(col("session") != col("session").shift(1)).fill_null(True),
    )


def incident_table(named, group, kind, detail):
    """One incident per `group` of the named events, which are in order; the first gives place and element."""
    return named.group_by(group, maintain_order=True).agg(
        col("session").first().alias("of_session"),
        *[col(name).first() for name in ("i", "screen_id", "route", "element_type", "element_label_h") if name not in group],
        col("ts").first().alias("started_at"),
        col("ts").last().alias("ended_at"),
        pl.len().cast(pl.Int64).alias("event_count"),
        col("event_id").head(EVIDENCE_MAX).alias("evidence"),
        pl.struct(**detail).struct.json_encode().alias("detail"),
    ).select(
        pl.lit(kind).alias("kind"), col("of_session").alias("session"), "screen_id", "route", "element_type",
        "element_label_h", "started_at", "ended_at", "event_count", "evidence", "detail",
    )


CLICKED = ["i", "session", "event_id", "ts", "screen_id", "route", "element_type", "element_label_h"]


def detect_rage(clicks):
    target = ["session", "screen_id", "target"]
    on_target = clicks.filter(col("target").is_not_null())
    marked = on_target.with_columns(
        qualifies=(col("ts") - col("ts").shift(2).over(target) <= RAGE_MS).fill_null(False))
    # A run begins at a qualifying click when neither of the two before it qualifies; the click two
    # places earlier is its first named one, and a click is named when it or one of the next two qualifies.
    back = lambda n: col("qualifies").shift(n, fill_value=False).over(target)
    marked = marked.with_columns(
        begins=(col("qualifies") & ~back(1) & ~back(2)),
        named=col("qualifies") | back(-1) | back(-2),
    )
    marked = marked.with_columns(run=col("begins").shift(-2, fill_value=False).cum_sum().over(target)).filter("named")
    return incident_table(marked, [*target, "run"], "rage_click", {"clicks": pl.len()})


def detect_dead(clicks):
    target = ["session", "screen_id", "target"]
    dead = clicks.filter("dead").with_columns(
        opens=(col("ts").diff().over(target) > DEAD_MS).fill_null(True)
    ).with_columns(run=col("opens").cum_sum().over(target))
    return incident_table(dead, [*target, "run"], "dead_click", {"clicks": pl.len()})


def detect_errors(events):
    # Only the sessions that have an error.
    failing = events.filter(col("error_code").is_not_null()).select("session").unique()
    rows = (
        events.filter(click | col("error_code").is_not_null())
        .join(failing, on="session", how="semi", maintain_order="left")
        .select(*CLICKED, "error_code", click.alias("click"))
    )
    screen = ["session", "screen_id"]
    rows = rows.with_columns(
        owner=when("click").then("i").forward_fill().shift(1).over(screen),
        owner_ts=when("click").then("ts").forward_fill().shift(1).over(screen),
    )
    owned = rows.filter(col("error_code").is_not_null() & (col("ts") - col("owner_ts") <= ERROR_MS))
    owners = rows.join(owned.select(i="owner").unique(), on="i", how="semi").with_columns(
        owner=col("i"), error_code=pl.lit(None, dtype=pl.String))
    named = pl.concat([owners, owned.select(owners.columns)]).sort("owner", "i")
    return incident_table(named, ["owner"], "error_click", {
        "errors": (pl.len() - 1).cast(pl.Int64),
        "error_code": col("error_code").get(1, null_on_oob=True),
        "delay_ms": col("ts").get(1, null_on_oob=True) - col("ts").first(),
    })


def detect_backtracks(visits):
    again = (col("session") == col("session").shift(-2)) & (col("screen_id") == col("screen_id").shift(-2))
    stay = col("ts").shift(-2) - col("ts").shift(-1)
    return visits.select(
        again=(again & (stay <= STAY_MS)).fill_null(False),
        kind=pl.lit("backtrack"),
        session="session", screen_id="screen_id", route="route",
        element_type=pl.lit(None, dtype=pl.String), element_label_h=pl.lit(None, dtype=pl.String),
        started_at=col("ts").shift(-1), ended_at=col("ts").shift(-2),
        event_count=pl.lit(3, dtype=pl.Int64),
        evidence=pl.concat_list("event_id", col("event_id").shift(-1), col("event_id").shift(-2)),
        detail=pl.struct(via_screen=col("screen_id").shift(-1), stay_ms=stay).struct.json_encode(),
    ).filter("again").drop("again")


def task_steps(events):
    """Starts and completions, each with the one before and the one after of its type in the session."""
    of_type = ["session", "task_type"]
    return events.filter(col("task_phase").is_not_null()).with_columns(
        previous_phase=col("task_phase").shift(1).over(of_type),
        next_phase=col("task_phase").shift(-1).over(of_type),
        next_i=col("i").shift(-1).over(of_type),
        next_ts=col("ts").shift(-1).over(of_type),
        next_success=col("task_success").shift(-1).over(of_type),
    ).with_columns(
        abandoned=(col("task_phase") == "start")
        & ~((col("next_phase") == "complete") & (col("next_ts") - col("ts") <= TASK_MS)).fill_null(False))


def detect_abandoned(steps):
    outcome = (when(col("next_phase").is_null()).then(pl.lit("none"))
               .when(col("next_phase") == "start").then(pl.lit("restarted"))
               .otherwise(pl.lit("late")))
    return steps.filter("abandoned").select(
        kind=pl.lit("abandoned_task"),
        session="session", screen_id="screen_id", route="route",
        element_type=pl.lit(None, dtype=pl.String), element_label_h=pl.lit(None, dtype=pl.String),
        started_at="ts", ended_at="ts", event_count=pl.lit(1, dtype=pl.Int64),
        evidence=pl.concat_list("event_id"),
        detail=pl.struct(task_type="task_type", outcome=outcome).struct.json_encode(),
    )


def detect(events, visits, steps):
    """§5"""
    clicks = events.filter(click).select(
        *CLICKED,
        target=when(col("element_label_h").is_not_null()).then("label " + col("element_label_h"))
        .when(col("element_type").is_not_null()).then("type " + col("element_type")),
        dead=(col("reaction_ms") > DEAD_REACTION_MS).fill_null(col("reaction_observed")),
    )
    return pl.concat([
        detect_rage(clicks), detect_dead(clicks), detect_errors(events), detect_backtracks(visits), detect_abandoned(steps)])


def score(sessions, visits, incidents):
    """§6: the rest of fact_sessions, with the scores in units of 2⁻⁴⁰."""
    kinds = {"rage_click": "rage_clicks", "dead_click": "dead_clicks", "error_click": "error_clicks",
             "backtrack": "backtracks", "abandoned_task": "abandoned_tasks"}
    counts = incidents.group_by("session").agg(
        [(col("kind") == kind).sum().cast(pl.Int64).alias(name) for kind, name in kinds.items()])
    seen = visits.group_by("session", maintain_order=True).agg(
        screen_visits=pl.len().cast(pl.Int64), entry_screen=col("screen_id").first(), exit_screen=col("screen_id").last())
    frustration = (-3.0 + 1.2 * col("rage_clicks") + 0.6 * col("backtracks") + 0.8 * col("error_events")
                   + 1.5 * col("abandoned_tasks") + 0.5 * col("dead_clicks"))
    slow = pl.min_horizontal(col("duration_ms") / 600_000.0, 3.0)
    busy = pl.min_horizontal(col("click_count") / pl.max_horizontal("tasks_started", 1) / 20.0, 3.0)
    back = (pl.max_horizontal(col("screen_visits") - col("unique_screens"), 0)
            / pl.max_horizontal("screen_visits", 1))
    efficiency = 2.0 - 1.0 * slow - 1.0 * busy - 2.0 * back
    units = lambda x: (1.0 / (1.0 + (-x).exp()) * UNIT + 0.5).floor().cast(pl.Int64)
    return (
        sessions.join(counts, on="session", how="left").join(seen, on="session", how="left")
        .with_columns(col(*kinds.values(), "screen_visits").fill_null(0))
        .with_columns(frustration=units(frustration), efficiency=units(efficiency), row_version=pl.lit(1))
    )


def of_units(name):
    return col(name).cast(pl.Float64) / UNIT


def sessions_table(scored):
    return scored.with_columns(
        start_ts=instant("start_ts"), end_ts=instant("end_ts"),
        frustration_score=of_units("frustration"), efficiency_score=of_units("efficiency"),
    ).select(
        "org_id", "product_id", "date", "session_key", "session_id", "session_no", "user_hash", "start_ts", "end_ts",
        "duration_ms", "event_count", "click_count", "screen_visits", "unique_screens", "rage_clicks", "dead_clicks",
        "error_clicks", "backtracks", "context_switches", "tasks_started", "tasks_completed", "tasks_failed",
        "abandoned_tasks", "error_events", "frustration_score", "efficiency_score", "entry_screen", "exit_screen",
        "task_types", "device_type", "os", "browser", "version_tag", "segment", "row_version")


def incidents_table(incidents, sessions):
    of_session = sessions.select("session", "org_id", "product_id", "date", "session_key", "session_id")
    return incidents.join(of_session, on="session").with_columns(
        rule_id=pl.lit("netcrab"), rule_version=pl.lit(1), first_evidence=col("evidence").list.first(),
        started_at=instant("started_at"), ended_at=instant("ended_at"),
    ).with_columns(
        incident_id=hash_text("session_key", "kind", "rule_id", "rule_version", "first_evidence"),
    ).select(
        "org_id", "product_id", "date", "incident_id", "session_key", "session_id", "kind", "rule_id", "rule_version",
        "screen_id", "route", "element_type", "element_label_h", "started_at", "ended_at", "event_count", "evidence",
        "detail")


def hotspots_table(events, visits, incidents, scored):
    """§8"""
    key = ["org_id", "product_id", "date", "screen_id"]
    day = scored.select("session", "org_id", "product_id", "date", "frustration", "efficiency")
    seen = visits.group_by("session", "screen_id").agg(
        visits=pl.len(), dropoffs=col("next_screen").is_null().sum(), time_spent_ms_sum=(col("until") - col("ts")).sum(),
    ).join(day, on="session").group_by(key).agg(
        sessions=pl.len(), visits=col("visits").sum(),
        frustration_sum=of_units_sum("frustration"), efficiency_sum=of_units_sum("efficiency"),
        dropoffs=col("dropoffs").sum(), time_spent_ms_sum=col("time_spent_ms_sum").sum())
    filed = incidents.join(day, on="session").group_by(key).agg(
        rage_clicks=(col("kind") == "rage_click").sum(), dead_clicks=(col("kind") == "dead_click").sum(),
        error_clicks=(col("kind") == "error_click").sum(), backtracks=(col("kind") == "backtrack").sum(),
        abandoned_tasks=(col("kind") == "abandoned_task").sum())
    concerned = pl.concat([table.select("session", "screen_id") for table in (visits, incidents)])
    routes = events.group_by("session", "screen_id").agg(col("route").min()).join(
        concerned, on=["session", "screen_id"], how="semi").join(day, on="session").group_by(key).agg(col("route").min())
    numbers = ["sessions", "visits", "frustration_sum", "efficiency_sum", "rage_clicks", "dead_clicks", "error_clicks",
               "backtracks", "abandoned_tasks", "dropoffs", "time_spent_ms_sum"]
    return seen.join(filed, on=key, how="full", coalesce=True).join(routes, on=key).select(
        *key, "route", *[col(name).fill_null(0) for name in numbers])


def of_units_sum(name):
    # An integer sum past 2⁵³ is still exact; only the last step rounds.
    return col(name).sum().cast(pl.Float64) / UNIT


def flows_table(visits, scored):
    """§9"""
    entries = visits.filter("first").select("session", from_screen=pl.lit(""), to_screen="screen_id")
    moves = visits.select("session", from_screen="screen_id", to_screen=col("next_screen").fill_null(""))
    return (
        pl.concat([entries, moves]).group_by("session", "from_screen", "to_screen").agg(moves=pl.len())
        .join(scored.select("session", "org_id", "product_id", "date", "frustration"), on="session")
        .group_by("org_id", "product_id", "date", "from_screen", "to_screen")
        .agg(col("moves").sum(), sessions=pl.len(), frustration_sum=of_units_sum("frustration"))
    )


def tasks_table(events, steps, sessions):
    """§7"""
    start = col("task_phase") == "start"
    done = (col("next_phase") == "complete").fill_null(False)
    tasks = steps.filter(start | (col("previous_phase") != "start").fill_null(True)).select(
        "session", "i", "task_type", "abandoned",
        started_at=when(start).then("ts"),
        completed_at=when(~start).then("ts").when(done).then("next_ts"),
        success=when(~start).then(col("task_success").fill_null(True)).when(done).then(col("next_success").fill_null(True)),
        until_i=when(~start).then("i").when(done).then("next_i").otherwise(col("next_i") - 1),
        until_ts=when(start & ~done).then(col("ts") + TASK_MS),
    )
    spans = tasks.select("session", "i", "until_i", "until_ts").join(
        events.select("session", "ts", "screen_id", at="i", click=click), on="session"
    ).filter(
        col("at") >= col("i"),
        (col("at") <= col("until_i")).fill_null(True),
        (col("ts") <= col("until_ts")).fill_null(True),
    ).group_by("i").agg(clicks=col("click").sum(), screens=col("screen_id").n_unique())
    return (
        tasks.join(spans, on="i", how="left").sort("i")
        .join(sessions.select("session", "org_id", "product_id", "date", "session_key"), on="session", maintain_order="left")
        .with_columns(task_no=pl.int_range(pl.len()).over("session"), duration_ms=col("completed_at") - col("started_at"),
                      started_at=instant("started_at"), completed_at=instant("completed_at"),
                      flow_complexity=pl.lit(1) + sum((col("screens") > most).cast(pl.Int32) for most in (2, 4, 7, 12)))
        .select("org_id", "product_id", "date", "session_key", "task_no", "task_type", "started_at", "completed_at",
                "duration_ms", "clicks", "screens", "success", "abandoned", "flow_complexity")
    )


def run(path, output, tasks=False):
    os.makedirs(output, exist_ok=True)
    seconds = {}
    mark = time.perf_counter()

    def done(stage):
        nonlocal mark
        now = time.perf_counter()
        seconds[stage], mark = round(now - mark, 3), now

    def write(frame, table):
        frame.write_parquet(os.path.join(output, f"{table}.parquet"))

    events = order_events(path)
    done("order_events")
    events = sessionize(events)
    done("sessionize")
    sessions = summarize_sessions(events)
    visits = find_visits(events, sessions)
    done("sessions")
    steps = task_steps(events)
    incidents = detect(events, visits, steps)
    write(incidents_table(incidents, sessions), "fact_incidents")
    done("detect")
    scored = score(sessions, visits, incidents)
    write(sessions_table(scored), "fact_sessions")
    done("fact_sessions")
    write(hotspots_table(events, visits, incidents, scored), "fact_screen_hotspots")
    done("fact_screen_hotspots")
    write(flows_table(visits, scored), "fact_flows")
    done("fact_flows")
    if tasks:
        write(tasks_table(events, steps, sessions), "fact_tasks")
        done("fact_tasks")
    return seconds


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("events")
    parser.add_argument("output")
    parser.add_argument("--threads", type=int, default=pl.thread_pool_size())
    parser.add_argument("--tasks", action="store_true", help="also fact_tasks, which the timed chain leaves out")
    args = parser.parse_args()
    began = time.perf_counter()
    parts = run(args.events, args.output, args.tasks)
    usage = resource.getrusage(resource.RUSAGE_SELF)
    print(json.dumps({"engine": f"polars {pl.__version__}", "threads": pl.thread_pool_size(),
                      "seconds": round(time.perf_counter() - began, 3),
                      "cpu_seconds": round(usage.ru_utime + usage.ru_stime, 3), "stages": parts}))


if __name__ == "__main__":
    main()
