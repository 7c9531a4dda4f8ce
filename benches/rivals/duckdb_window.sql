-- NetCrab's batch chain for DuckDB as an analyst who knows SQL would write it from docs/rules.md (its
-- section numbers are in the comments): window functions over the natural columns, one table for each
-- thing the rules define, in the order of the rules.
--
--     SET VARIABLE input = 'events.parquet';   SET VARIABLE output = 'an existing directory';
--
-- duckdb.sql is the same chain tuned by hand. It sorts a few narrow columns, identifies events and
-- sessions by integers, reads the file again wherever it needs other columns, and so takes about half
-- the CPU. Here whole events pass through the windows, and (session_key, place) identifies an event.
-- Tuning that costs no clarity is done here too: what is used twice is a table, threads need not keep
-- the order of rows, and only sessions over 24 h go through the recursion.
--
-- duckdb_chain.py runs the file and times each `-- @stage`. Times are milliseconds since 1970.
-- session_key and incident_id are md5 over the same parts, where NetCrab has XXH3-128.

SET TimeZone = 'UTC';
SET default_null_order = 'nulls_last';
SET preserve_insertion_order = false;

CREATE MACRO sigmoid(x) AS 1e0 / (1e0 + exp(-x));
-- §6 A score as a whole number of 2⁻⁴⁰, so that sums are exact; round() takes ties away from zero.
CREATE MACRO units(score) AS round(score * 1099511627776e0)::BIGINT;
CREATE MACRO of_units(units) AS units::DOUBLE / 1099511627776e0;


-- @stage sessionize
-- §2 Of rows with the same event_id the first counts. §3 Whether a gap comes before an event.
CREATE TEMP TABLE stepped AS
WITH counted AS (
    SELECT
        org_id, product_id, if(session_id = '', user_hash, session_id) AS session_or_user,
        session_id, user_hash, event_id, epoch_ms(ts) AS ts,
        input.seq, event_type, screen_id, route,
        element_type, element_label_h, error_code, os, browser, device_type, reaction_ms, reaction_observed,
        task_type, task_phase, task_success, version_tag, segment
    -- §1 A `seq` that is missing is the place in the file.
    FROM (SELECT * REPLACE (coalesce(seq, file_row_number + 1) AS seq)
          FROM read_parquet(getvariable('input'), file_row_number = true)) AS input
    QUALIFY row_number() OVER (
        PARTITION BY org_id, product_id, session_or_user, event_id
        ORDER BY received_at, input.ts,
            -- every column in table order; DuckDB holds −0 = 0, IEEE total order −0 < 0
            session_id, user_hash, event_type, input.seq, screen_id, route, app_name, element_type, element_label_h,
            error_code, os, browser, device_type,
            latency_ms, NOT signbit(latency_ms), page_x, NOT signbit(page_x), page_y, NOT signbit(page_y),
            reaction_ms, NOT signbit(reaction_ms),
            reaction_observed, event_name, task_type, task_phase, task_success, version_tag, segment, extra
    ) = 1
)
SELECT *, coalesce(ts - lag(ts) OVER in_order > 1800000, true) AS after_gap
FROM counted
WINDOW in_order AS (PARTITION BY org_id, product_id, session_or_user ORDER BY ts, seq, event_id);

-- §3 Length: in a stretch without a gap, the first event 24 h or more after the start of a session opens
-- the next, and the 24 h start again from there.
CREATE TEMP TABLE cuts AS
WITH RECURSIVE
aged AS (
    SELECT org_id, product_id, session_or_user, ts, seq, event_id, max(ts) FILTER (after_gap) OVER in_order AS stretch_start
    FROM stepped
    WINDOW in_order AS (PARTITION BY org_id, product_id, session_or_user ORDER BY ts, seq, event_id)
    QUALIFY ts - stretch_start >= 86400000
),
cut AS (
    SELECT org_id, product_id, session_or_user, stretch_start, min({ts: ts, seq: seq, event_id: event_id}) AS opening
    FROM aged
    GROUP BY ALL
    UNION ALL
    SELECT org_id, product_id, session_or_user, stretch_start, min({ts: aged.ts, seq: aged.seq, event_id: aged.event_id})
    FROM cut
    JOIN aged USING (org_id, product_id, session_or_user, stretch_start)
    WHERE aged.ts - opening.ts >= 86400000
    GROUP BY ALL
)
SELECT org_id, product_id, session_or_user, opening.event_id FROM cut;

CREATE TEMP TABLE events AS
WITH opened AS (
    SELECT stepped.*, after_gap OR cuts.event_id IS NOT NULL AS opens
    FROM stepped
    LEFT JOIN cuts USING (org_id, product_id, session_or_user, event_id)
),
numbered AS (
    SELECT * EXCLUDE (after_gap, opens),
        row_number() OVER in_order AS place,
        count(*) FILTER (opens) OVER in_order - 1 AS session_no,
        max(ts) FILTER (opens) OVER in_order AS start_ts,
        last_value(if(opens, event_id, NULL) IGNORE NULLS) OVER in_order AS first_event_id
    FROM opened
    WINDOW in_order AS (PARTITION BY org_id, product_id, session_or_user ORDER BY ts, seq, event_id)
)
SELECT * EXCLUDE (session_or_user, start_ts, first_event_id),
    make_timestamp_ms(start_ts)::DATE AS date,
    md5(concat_ws(chr(31), org_id, product_id, session_or_user, first_event_id, start_ts)) AS session_key
FROM numbered;

DROP TABLE stepped;


-- @stage sessions
-- §6 What needs no detector. arg_min skips nulls: it yields the first non-null in order.
CREATE TEMP TABLE sessions AS
SELECT org_id, product_id, date, session_key, session_no,
    arg_min(session_id, place) AS session_id,
    arg_min(user_hash, place) AS user_hash,
    min(ts) AS start_ts,
    max(ts) AS end_ts,
    max(ts) - min(ts) AS duration_ms,
    count(*) AS event_count,
    count(*) FILTER (event_type = 'click') AS click_count,
    count(*) FILTER (event_type = 'focus_change') AS context_switches,
    count(*) FILTER (task_phase = 'start') AS tasks_started,
    count(*) FILTER (task_phase = 'complete' AND task_success IS DISTINCT FROM false) AS tasks_completed,
    count(*) FILTER (task_phase = 'complete' AND task_success = false) AS tasks_failed,
    count(error_code) AS error_events,
    count(DISTINCT screen_id) AS unique_screens,
    coalesce(list(DISTINCT task_type ORDER BY task_type) FILTER (task_type IS NOT NULL), []) AS task_types,
    arg_min(device_type, place) AS device_type,
    arg_min(os, place) AS os,
    arg_min(browser, place) AS browser,
    arg_min(version_tag, place) AS version_tag,
    arg_min(segment, place) AS segment
FROM events
GROUP BY org_id, product_id, date, session_key, session_no;

-- §4
CREATE TEMP TABLE visits AS
WITH navigation AS (
    SELECT session_key, place, ts, event_id, screen_id, route
    FROM events
    WHERE event_type = 'navigation'
    QUALIFY screen_id IS DISTINCT FROM lag(screen_id) OVER (PARTITION BY session_key ORDER BY place)
)
SELECT *,
    row_number() OVER in_order AS visit_no,
    lead(screen_id) OVER in_order AS next_screen,
    lead(ts) OVER in_order AS next_ts
FROM navigation
WINDOW in_order AS (PARTITION BY session_key ORDER BY place);


-- @stage detect
-- §5 Each kind yields its incidents with the same columns.
CREATE TEMP TABLE clicks AS
SELECT session_key, place, ts, event_id, screen_id, route, element_type, element_label_h,
    CASE WHEN element_label_h IS NOT NULL THEN 'label ' || element_label_h
         WHEN element_type IS NOT NULL THEN 'type ' || element_type END AS target,
    coalesce(reaction_ms > 2500, reaction_observed) AS dead
FROM events
WHERE event_type = 'click';

-- Three clicks in a row on a target within a second are a triple. A run is every click of a chain of
-- triples; it opens where a triple begins that shares no click but its last with one before it.
CREATE TEMP TABLE rage_clicks AS
WITH triples AS (
    SELECT *,
        coalesce(lead(ts, 2) OVER on_target - ts <= 1000, false) AS is_first,
        coalesce(lead(ts) OVER on_target - lag(ts) OVER on_target <= 1000, false) AS is_second,
        coalesce(ts - lag(ts, 2) OVER on_target <= 1000, false) AS is_third
    FROM clicks
    WHERE target IS NOT NULL
    WINDOW on_target AS (PARTITION BY session_key, screen_id, target ORDER BY place)
),
in_runs AS (
    SELECT *, count(*) FILTER (is_first AND NOT is_second AND NOT is_third)
        OVER (PARTITION BY session_key, screen_id, target ORDER BY place) AS run
    FROM triples
    WHERE is_first OR is_second OR is_third
)
SELECT 'rage_click' AS kind, session_key, screen_id,
    first(route ORDER BY place) AS route,
    first(element_type ORDER BY place) AS element_type,
    first(element_label_h ORDER BY place) AS element_label_h,
    min(ts) AS started_at,
    max(ts) AS ended_at,
    list(event_id ORDER BY place) AS named,
    format('{{"clicks":{}}}', count(*)) AS detail
FROM in_runs
GROUP BY session_key, screen_id, target, run;

CREATE TEMP TABLE dead_clicks AS
WITH dead AS (
    SELECT *,
        -- Clicks without a target form one partition for each screen.
        coalesce(ts - lag(ts) OVER (PARTITION BY session_key, screen_id, target ORDER BY place) > 2500, true) AS opens
    FROM clicks
    WHERE dead
),
in_runs AS (
    SELECT *, count(*) FILTER (opens) OVER (PARTITION BY session_key, screen_id, target ORDER BY place) AS run
    FROM dead
)
SELECT 'dead_click' AS kind, session_key, screen_id,
    first(route ORDER BY place) AS route,
    first(element_type ORDER BY place) AS element_type,
    first(element_label_h ORDER BY place) AS element_label_h,
    min(ts) AS started_at,
    max(ts) AS ended_at,
    list(event_id ORDER BY place) AS named,
    format('{{"clicks":{}}}', count(*)) AS detail
FROM in_runs
GROUP BY session_key, screen_id, target, run;

CREATE TEMP TABLE error_clicks AS
WITH owned AS (
    -- The nearest click strictly before the error on its screen.
    SELECT clicks.*, errors.ts AS error_ts, errors.place AS error_place, errors.event_id AS error_id, errors.error_code
    FROM (SELECT * FROM events WHERE error_code IS NOT NULL) AS errors
    ASOF JOIN clicks
        ON clicks.session_key = errors.session_key AND clicks.screen_id = errors.screen_id AND clicks.place < errors.place
    WHERE errors.ts - clicks.ts <= 1000
)
SELECT 'error_click' AS kind, session_key, screen_id, route, element_type, element_label_h,
    ts AS started_at,
    max(error_ts) AS ended_at,
    [event_id] || list(error_id ORDER BY error_place) AS named,
    format('{{"errors":{},"error_code":{},"delay_ms":{}}}',
        count(*), to_json(arg_min(error_code, error_place))::VARCHAR, min(error_ts) - ts) AS detail
FROM owned
GROUP BY session_key, screen_id, route, element_type, element_label_h, ts, event_id;

CREATE TEMP TABLE backtracks AS
WITH triples AS (
    SELECT *,
        lead(event_id) OVER in_order AS second_id,
        lead(event_id, 2) OVER in_order AS third_id,
        lead(screen_id, 2) OVER in_order AS third_screen,
        lead(ts, 2) OVER in_order AS third_ts
    FROM visits
    WINDOW in_order AS (PARTITION BY session_key ORDER BY visit_no)
)
SELECT 'backtrack' AS kind, session_key, screen_id, route,
    NULL AS element_type, NULL AS element_label_h,
    next_ts AS started_at,
    third_ts AS ended_at,
    [event_id, second_id, third_id] AS named,
    format('{{"via_screen":{},"stay_ms":{}}}', to_json(next_screen)::VARCHAR, third_ts - next_ts) AS detail
FROM triples
WHERE third_screen = screen_id AND third_ts - next_ts <= 20000;

CREATE TEMP TABLE abandoned_tasks AS
WITH steps AS (
    SELECT *,
        lead(task_phase) OVER of_type AS next_phase,
        lead(ts) OVER of_type AS next_ts
    FROM events
    WHERE task_phase IS NOT NULL
    WINDOW of_type AS (PARTITION BY session_key, task_type ORDER BY place)
)
SELECT 'abandoned_task' AS kind, session_key, screen_id, route,
    NULL AS element_type, NULL AS element_label_h,
    ts AS started_at,
    ts AS ended_at,
    [event_id] AS named,
    format('{{"task_type":{},"outcome":"{}"}}', to_json(task_type)::VARCHAR,
        CASE next_phase WHEN 'start' THEN 'restarted' WHEN 'complete' THEN 'late' ELSE 'none' END) AS detail
FROM steps
WHERE task_phase = 'start' AND NOT coalesce(next_phase = 'complete' AND next_ts - ts <= 900000, false);

CREATE TEMP TABLE incidents AS
SELECT
    org_id, product_id, date,
    md5(concat_ws(chr(31), session_key, kind, 'netcrab', 1, named[1])) AS incident_id,
    session_key, session_id, kind, 'netcrab' AS rule_id, 1 AS rule_version,
    screen_id, route, element_type, element_label_h,
    make_timestamp_ms(started_at)::TIMESTAMPTZ AS started_at, make_timestamp_ms(ended_at)::TIMESTAMPTZ AS ended_at,
    len(named) AS event_count, named[:50] AS evidence, detail
FROM (
    FROM rage_clicks
    UNION ALL FROM dead_clicks
    UNION ALL FROM error_clicks
    UNION ALL FROM backtracks
    UNION ALL FROM abandoned_tasks
)
JOIN sessions USING (session_key);

COPY incidents TO (getvariable('output') || '/fact_incidents.parquet') (FORMAT parquet);


-- @stage fact_sessions
CREATE TEMP TABLE scored AS
WITH incident_counts AS (
    SELECT session_key,
        count(*) FILTER (kind = 'rage_click') AS rage_clicks,
        count(*) FILTER (kind = 'dead_click') AS dead_clicks,
        count(*) FILTER (kind = 'error_click') AS error_clicks,
        count(*) FILTER (kind = 'backtrack') AS backtracks,
        count(*) FILTER (kind = 'abandoned_task') AS abandoned_tasks
    FROM incidents
    GROUP BY session_key
),
visit_counts AS (
    SELECT session_key, count(*) AS screen_visits,
        arg_min(screen_id, visit_no) AS entry_screen,
        arg_max(screen_id, visit_no) AS exit_screen
    FROM visits
    GROUP BY session_key
),
counted AS (
    SELECT sessions.*,
        coalesce(screen_visits, 0) AS screen_visits,
        entry_screen, exit_screen,
        coalesce(rage_clicks, 0) AS rage_clicks,
        coalesce(dead_clicks, 0) AS dead_clicks,
        coalesce(error_clicks, 0) AS error_clicks,
        coalesce(backtracks, 0) AS backtracks,
        coalesce(abandoned_tasks, 0) AS abandoned_tasks
    FROM sessions
    LEFT JOIN visit_counts USING (session_key)
    LEFT JOIN incident_counts USING (session_key)
)
SELECT *,
    units(sigmoid(-3e0 + 1.2e0 * rage_clicks + 0.6e0 * backtracks + 0.8e0 * error_events
        + 1.5e0 * abandoned_tasks + 0.5e0 * dead_clicks)) AS frustration,
    units(sigmoid(2e0
        - 1e0 * least(duration_ms / 600000e0, 3e0)
        - 1e0 * least(click_count::DOUBLE / greatest(tasks_started, 1) / 20e0, 3e0)
        - 2e0 * (greatest(screen_visits - unique_screens, 0)::DOUBLE / greatest(screen_visits, 1)))) AS efficiency
FROM counted;

COPY (
    SELECT org_id, product_id, date, session_key, session_id, session_no, user_hash,
        make_timestamp_ms(start_ts)::TIMESTAMPTZ AS start_ts, make_timestamp_ms(end_ts)::TIMESTAMPTZ AS end_ts,
        duration_ms, event_count, click_count, screen_visits, unique_screens,
        rage_clicks, dead_clicks, error_clicks, backtracks, context_switches,
        tasks_started, tasks_completed, tasks_failed, abandoned_tasks, error_events,
        of_units(frustration) AS frustration_score, of_units(efficiency) AS efficiency_score,
        entry_screen, exit_screen, task_types, device_type, os, browser, version_tag, segment,
        1 AS row_version
    FROM scored
) TO (getvariable('output') || '/fact_sessions.parquet') (FORMAT parquet);


-- @stage fact_screen_hotspots
-- §8
COPY (
    WITH visited AS (
        SELECT session_key, screen_id,
            count(*) AS visits,
            count(*) FILTER (next_ts IS NULL) AS dropoffs,
            sum(coalesce(next_ts, end_ts) - ts) AS time_spent_ms
        FROM visits
        JOIN sessions USING (session_key)
        GROUP BY session_key, screen_id
    ),
    visited_by_day AS (
        SELECT org_id, product_id, date, screen_id,
            count(*) AS sessions, sum(visits) AS visits,
            sum(frustration) AS frustration, sum(efficiency) AS efficiency,
            sum(dropoffs) AS dropoffs, sum(time_spent_ms) AS time_spent_ms
        FROM visited
        JOIN scored USING (session_key)
        GROUP BY ALL
    ),
    filed_by_day AS (
        SELECT org_id, product_id, date, screen_id,
            count(*) FILTER (kind = 'rage_click') AS rage_clicks,
            count(*) FILTER (kind = 'dead_click') AS dead_clicks,
            count(*) FILTER (kind = 'error_click') AS error_clicks,
            count(*) FILTER (kind = 'backtrack') AS backtracks,
            count(*) FILTER (kind = 'abandoned_task') AS abandoned_tasks
        FROM incidents
        GROUP BY ALL
    ),
    -- Over the events of sessions that visited the screen or have an incident there.
    concerned AS (
        SELECT session_key, screen_id FROM visited UNION SELECT session_key, screen_id FROM incidents
    ),
    routes AS (
        SELECT org_id, product_id, date, screen_id, min(route) AS route
        FROM events
        SEMI JOIN concerned USING (session_key, screen_id)
        GROUP BY ALL
    )
    SELECT org_id, product_id, date, screen_id, route,
        coalesce(sessions, 0) AS sessions, coalesce(visits, 0)::BIGINT AS visits,
        of_units(coalesce(frustration, 0)) AS frustration_sum, of_units(coalesce(efficiency, 0)) AS efficiency_sum,
        coalesce(rage_clicks, 0) AS rage_clicks, coalesce(dead_clicks, 0) AS dead_clicks,
        coalesce(error_clicks, 0) AS error_clicks, coalesce(backtracks, 0) AS backtracks,
        coalesce(abandoned_tasks, 0) AS abandoned_tasks,
        coalesce(dropoffs, 0)::BIGINT AS dropoffs, coalesce(time_spent_ms, 0)::BIGINT AS time_spent_ms_sum
    FROM visited_by_day
    FULL JOIN filed_by_day USING (org_id, product_id, date, screen_id)
    JOIN routes USING (org_id, product_id, date, screen_id)
) TO (getvariable('output') || '/fact_screen_hotspots.parquet') (FORMAT parquet);


-- @stage fact_flows
-- §9
COPY (
    WITH moves AS (
        SELECT session_key, '' AS from_screen, screen_id AS to_screen FROM visits WHERE visit_no = 1
        UNION ALL
        SELECT session_key, screen_id, coalesce(next_screen, '') FROM visits
    ),
    by_session AS (
        SELECT session_key, from_screen, to_screen, count(*) AS moves FROM moves GROUP BY ALL
    )
    SELECT org_id, product_id, date, from_screen, to_screen,
        sum(moves)::BIGINT AS moves, count(*) AS sessions, of_units(sum(frustration)) AS frustration_sum
    FROM by_session
    JOIN scored USING (session_key)
    GROUP BY org_id, product_id, date, from_screen, to_screen
) TO (getvariable('output') || '/fact_flows.parquet') (FORMAT parquet);
