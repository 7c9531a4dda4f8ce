"""A year of tables for tests/suite/speed.rs: 5 organisations x 3 products x 365 days.

    "$(scripts/python.sh)" api/tests/speed_tables.py FOLDER

40 screens a day (219 000 hotspot rows), 120 moves, 13 700 sessions (5 million rows), 2 incidents for
each fifth session; events for the last seven days, 20 a session. Numbers follow from row numbers, so
every run writes the same tables. Files are laid out as docs/api.md asks a sink to.
"""

import sys
from pathlib import Path

import duckdb
from deltalake import BloomFilterProperties, ColumnProperties, WriterProperties, write_deltalake

DAYS, SESSIONS_A_DAY, EVENT_DAYS, EVENTS_A_SESSION = 365, 13_700, 7, 20
OWNER = "'org' || org AS org_id, 'product' || product AS product_id, (DATE '2025-11-24' + :day::INTEGER)::DATE AS date"
KEY = "md5((:day * 100000 + n)::VARCHAR)"
START = "(DATE '2025-11-24' + :day::INTEGER)::TIMESTAMPTZ + (n * 6) * INTERVAL 1 SECOND"

HOTSPOTS = f"""
SELECT {OWNER}, 'screen' || lpad(s::VARCHAR, 2, '0') AS screen_id, '/screen/' || s AS route,
       100 + (s * 7 + :day) % 50 AS sessions, 150 + (s * 11 + :day) % 70 AS visits,
       (100 + (s * 7 + :day) % 50) * (0.05 + ((s * 13 + :day * 3) % 40) / 100.0)::DOUBLE AS frustration_sum,
       (100 + (s * 7 + :day) % 50) * 0.6::DOUBLE AS efficiency_sum,
       (s * 3 + :day) % 9 AS rage_clicks, (s + :day) % 7 AS dead_clicks, s % 3 AS error_clicks, :day % 5 AS backtracks, s % 4 AS abandoned_tasks,
       s % 20 AS dropoffs, 900000 + s AS time_spent_ms_sum
FROM range(5) o(org), range(3) p(product), range(40) q(s) ORDER BY ALL"""
FLOWS = f"""
SELECT {OWNER}, 'screen' || lpad((m // 3)::VARCHAR, 2, '0') AS from_screen,
       'screen' || lpad(((m // 3 + m % 3 + 1) % 40)::VARCHAR, 2, '0') AS to_screen,
       50 + (m + :day) % 30 AS moves, 40 + (m + :day) % 20 AS sessions, ((m + :day) % 20)::DOUBLE / 2 AS frustration_sum
FROM range(5) o(org), range(3) p(product), range(120) q(m) ORDER BY ALL"""
SESSIONS = f"""
SELECT {OWNER}, {KEY} AS session_key, 's' || n AS session_id, 0 AS session_no, md5((n % 4000)::VARCHAR) AS user_hash,
       {START} AS start_ts, {START} + INTERVAL 4 MINUTE AS end_ts, 240000 AS duration_ms, 20 AS event_count,
       9 AS click_count, 6 AS screen_visits, 5 AS unique_screens, n % 7 // 6 AS rage_clicks, n % 5 // 4 AS dead_clicks,
       0 AS error_clicks, 0 AS backtracks, 1 AS context_switches, 1 AS tasks_started, 1 AS tasks_completed,
       0 AS tasks_failed, 0 AS abandoned_tasks, 0 AS error_events,
       (0.047 + (n % 37) / 60.0)::DOUBLE AS frustration_score, (0.4 + (n % 31) / 60.0)::DOUBLE AS efficiency_score,
       'screen00' AS entry_screen, 'screen' || lpad((n % 40)::VARCHAR, 2, '0') AS exit_screen,
       ['task' || n % 4] AS task_types, ['desktop', 'mobile', 'tablet'][n % 3 + 1] AS device_type, 'linux' AS os,
       'firefox' AS browser, '2.' || :day // 30 AS version_tag, ['trial', 'paid', 'free'][n % 3 + 1] AS segment,
       1 AS row_version
FROM (SELECT n, n % 5 AS org, n // 5 % 3 AS product FROM range({SESSIONS_A_DAY}) r(n))
ORDER BY org_id, product_id, start_ts"""
INCIDENTS = f"""
SELECT {OWNER}, md5(i::VARCHAR || {KEY}) AS incident_id, {KEY} AS session_key, 's' || n AS session_id,
       ['rage_click', 'dead_click'][i + 1] AS kind, 'netcrab' AS rule_id, '1' AS rule_version,
       'screen' || lpad((n % 40)::VARCHAR, 2, '0') AS screen_id, '/screen' AS route, 'button' AS element_type,
       NULL::VARCHAR AS element_label_h, {START} + INTERVAL 1 MINUTE AS started_at,
       {START} + INTERVAL 1 MINUTE AS ended_at, 3 AS event_count, [session_id || '-3'] AS evidence,
       '{{"clicks":3}}' AS detail, 1 AS row_version
FROM (SELECT n * 5 AS n, n * 5 % 5 AS org, n % 3 AS product, i FROM range({SESSIONS_A_DAY} // 5) r(n), range(2) k(i))
ORDER BY org_id, product_id, started_at, incident_id"""
EVENTS = f"""
SELECT org_id, product_id, 's' || n AS session_id, 'u' AS user_hash, session_id || '-' || e AS event_id,
       start_ts + e * INTERVAL 12 SECOND AS ts, NULL::TIMESTAMPTZ AS received_at,
       ['navigation', 'click', 'scroll'][e % 3 + 1] AS event_type,
       'screen' || lpad(((n + e // 3 * 7) % 40)::VARCHAR, 2, '0') AS screen_id, '/screen' AS route,
       NULL::VARCHAR AS app_name, 'button' AS element_type, NULL::VARCHAR AS element_label_h,
       NULL::VARCHAR AS error_code, 'linux' AS os, 'firefox' AS browser, 'desktop' AS device_type,
       NULL::FLOAT AS latency_ms, NULL::FLOAT AS page_x, NULL::FLOAT AS page_y, 100::FLOAT AS reaction_ms,
       true AS reaction_observed, NULL::VARCHAR AS event_name, NULL::VARCHAR AS task_type, NULL::VARCHAR AS task_phase,
       NULL::BOOLEAN AS task_success, NULL::VARCHAR AS version_tag, NULL::VARCHAR AS segment, NULL::VARCHAR AS extra,
       date, session_key, 0 AS session_no, e AS position
FROM (SELECT {OWNER}, n, {KEY} AS session_key, {START} AS start_ts
      FROM (SELECT n, n % 5 AS org, n // 5 % 3 AS product FROM range({SESSIONS_A_DAY}) r(n))), range({EVENTS_A_SESSION}) k(e)
ORDER BY org_id, product_id, session_key, position"""
RELEASES = """
SELECT 'org' || org AS org_id, 'product' || product AS product_id, '2.' || r AS version_tag,
       (DATE '2025-11-24' + r::INTEGER * 30)::TIMESTAMPTZ AS first_seen_at, NULL::TIMESTAMPTZ AS released_at
FROM range(5) o(org), range(3) p(product), range(13) q(r)"""

BLOOM = ColumnProperties(bloom_filter_properties=BloomFilterProperties(True, fpp=0.01, ndv=20_000))
LAYOUT = WriterProperties(
    compression="ZSTD",
    max_row_group_size=65_536,
    data_page_row_count_limit=2_048,
    write_batch_size=2_048,
    column_properties={"session_key": BLOOM},
)


def main(folder: Path) -> None:
    db = duckdb.connect()
    db.execute("SET TimeZone = 'UTC'")
    daily = {
        "fact_screen_hotspots": (HOTSPOTS, 0),
        "fact_flows": (FLOWS, 0),
        "fact_sessions": (SESSIONS, 0),
        "fact_incidents": (INCIDENTS, 0),
        "events_sessionized": (EVENTS, DAYS - EVENT_DAYS),
    }
    for name, (sql, first) in daily.items():
        for day in range(first, DAYS):
            rows = db.execute(sql.replace(":day", str(day))).to_arrow_table()
            write_deltalake(folder / name, rows, partition_by=["date"], mode="append", writer_properties=LAYOUT)
        print(name, flush=True)
    write_deltalake(folder / "dim_releases", db.execute(RELEASES).to_arrow_table())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
