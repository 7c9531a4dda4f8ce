-- NetCrab's batch chain for DuckDB, tuned by hand and written from docs/rules.md alone (its section
-- numbers are in the comments). It is the oracle for correctness and a rival for speed.
--
--     SET VARIABLE input = 'events.parquet';   SET VARIABLE output = 'an existing directory';
--
-- One table per step. Each `-- @stage` line begins a part that duckdb_chain.py runs and times;
-- it runs `fact_tasks` on request.
--
-- `row` (the row's number in the file) identifies an event, `place` is its order within the session
-- key, and `session` (the row of the first event) identifies a session. They are integers because joins
-- and windows on integers are several times faster than on texts. Times are milliseconds since 1970.
-- session_key and incident_id are md5 over the same parts, where NetCrab has XXH3-128.

SET TimeZone = 'UTC';
SET default_null_order = 'nulls_last';
SET preserve_insertion_order = false;

CREATE MACRO session_or_user_of(session_id, user_hash) AS if(session_id = '', user_hash, session_id);
-- A score as a whole number of 2⁻⁴⁰, so that sums are exact; round() takes ties away from zero.
CREATE MACRO units(score) AS round(score * 1099511627776e0)::BIGINT;
CREATE MACRO of_units(units) AS units::DOUBLE / 1099511627776e0;
CREATE MACRO sigmoid(x) AS 1e0 / (1e0 + exp(-x));
CREATE MACRO moment(ms) AS make_timestamp_ms(ms)::TIMESTAMPTZ;


-- @stage order_events
-- §1 A `seq` that is missing is the place in the file.
-- §2 Repeats: rows of one session key with the same event_id. They are few, and only they are sorted
-- by every column.
CREATE TEMP TABLE repeated AS
SELECT org_id, product_id, session_or_user_of(session_id, user_hash) AS session_or_user, event_id
FROM read_parquet(getvariable('input'))
GROUP BY ALL
HAVING count(*) > 1;

CREATE TEMP TABLE superseded AS
SELECT row
FROM (SELECT * REPLACE (coalesce(seq, file_row_number + 1) AS seq),
             session_or_user_of(session_id, user_hash) AS session_or_user, file_row_number AS row
      FROM read_parquet(getvariable('input'), file_row_number = true))
SEMI JOIN repeated USING (org_id, product_id, session_or_user, event_id)
QUALIFY row_number() OVER (
    PARTITION BY org_id, product_id, session_or_user, event_id
    ORDER BY received_at, ts,
        -- every column in table order; DuckDB holds −0 = 0, IEEE total order −0 < 0
        session_id, user_hash, event_type, seq, screen_id, route, app_name, element_type, element_label_h,
        error_code, os, browser, device_type,
        latency_ms, NOT signbit(latency_ms), page_x, NOT signbit(page_x), page_y, NOT signbit(page_y),
        reaction_ms, NOT signbit(reaction_ms),
        reaction_observed, event_name, task_type, task_phase, task_success, version_tag, segment, extra
) > 1;

-- §2 Order, and §3 the events that come after a gap.
CREATE TEMP TABLE ordered AS
SELECT
    row, ts,
    first_value(row) OVER key AS key_row,
    row_number() OVER key AS place,
    coalesce(ts - lag(ts) OVER key > 1800000, true) AS after_gap
FROM (SELECT file_row_number AS row, org_id, product_id, session_or_user_of(session_id, user_hash) AS session_or_user,
             event_id, coalesce(seq, file_row_number + 1) AS seq, epoch_ms(ts) AS ts
      FROM read_parquet(getvariable('input'), file_row_number = true))
ANTI JOIN superseded USING (row)
WINDOW key AS (PARTITION BY org_id, product_id, session_or_user ORDER BY ts, seq, event_id);


-- @stage sessionize
-- §3 Stretches without a gap. One shorter than 24 h is one session.
CREATE TEMP TABLE stretched AS
SELECT row, ts, key_row, place,
    last_value(CASE WHEN after_gap THEN row END IGNORE NULLS) OVER (PARTITION BY key_row ORDER BY place) AS stretch
FROM ordered;

CREATE TEMP TABLE long_stretches AS
SELECT stretch, min(ts) AS first_ts, min(place) AS first_place
FROM stretched
GROUP BY stretch
HAVING max(ts) - min(ts) >= 86400000;

-- In a longer one, the first event 24 h or more after the start of a session opens the next,
-- and the 24 h start again from there.
CREATE TEMP TABLE openings AS
WITH RECURSIVE aged AS (
    SELECT stretch, first_ts AS ts, first_place AS place
    FROM long_stretches
    UNION ALL
    SELECT stretch, min(later.ts), min(later.place)
    FROM aged
    JOIN (SELECT stretch, ts, place FROM stretched SEMI JOIN long_stretches USING (stretch)) AS later USING (stretch)
    WHERE later.ts - aged.ts >= 86400000
    GROUP BY stretch, aged.place
)
SELECT stretch, place FROM aged;

CREATE TEMP TABLE numbered AS
SELECT row, key_row, place, stretch AS session
FROM stretched
ANTI JOIN long_stretches USING (stretch)
UNION ALL
SELECT row, key_row, place,
    last_value(CASE WHEN openings.place IS NOT NULL THEN row END IGNORE NULLS) OVER (PARTITION BY stretch ORDER BY place)
FROM (SELECT * FROM stretched SEMI JOIN long_stretches USING (stretch))
LEFT JOIN openings USING (stretch, place);

CREATE TEMP TABLE events AS
SELECT
    row, session, place, key_row,
    org_id, product_id, session_or_user_of(session_id, user_hash) AS session_or_user, session_id, user_hash, event_id,
    epoch_ms(ts) AS ts, event_type, screen_id, route, element_type, element_label_h, error_code,
    os, browser, device_type, reaction_ms, reaction_observed,
    task_type, task_phase, task_success, version_tag, segment
FROM (SELECT *, file_row_number AS row FROM read_parquet(getvariable('input'), file_row_number = true))
JOIN numbered USING (row);


-- @stage sessions
-- §6 What needs no detector. arg_min skips nulls: it yields the first non-null in order.
CREATE TEMP TABLE sessions AS
WITH totals AS (
    SELECT
        session,
        any_value(key_row) AS key_row,
        min(place) AS first_place,
        any_value(org_id) AS org_id,
        any_value(product_id) AS product_id,
        any_value(session_or_user) AS session_or_user,
        arg_min(event_id, place) AS first_event_id,
        arg_min(session_id, place) AS session_id,
        arg_min(user_hash, place) AS user_hash,
        min(ts) AS start_ts,
        max(ts) AS end_ts,
        count(*) AS event_count,
        count(*) FILTER (event_type = 'click') AS click_count,
        count(*) FILTER (event_type = 'focus_change') AS context_switches,
        count(*) FILTER (task_phase = 'start') AS tasks_started,
        count(*) FILTER (task_phase = 'complete' AND task_success IS DISTINCT FROM false) AS tasks_completed,
        count(*) FILTER (task_phase = 'complete' AND task_success = false) AS tasks_failed,
        count(error_code) AS error_events,
        coalesce(list_sort(list(DISTINCT task_type) FILTER (task_type IS NOT NULL)), []) AS task_types,
        arg_min(device_type, place) AS device_type,
        arg_min(os, place) AS os,
        arg_min(browser, place) AS browser,
        arg_min(version_tag, place) AS version_tag,
        arg_min(segment, place) AS segment
    FROM events
    GROUP BY session
)
SELECT *,
    make_timestamp_ms(start_ts)::DATE AS date,
    row_number() OVER (PARTITION BY key_row ORDER BY first_place) - 1 AS session_no,
    md5(concat_ws(chr(31), org_id, product_id, session_or_user, first_event_id, start_ts)) AS session_key
FROM totals;

-- The screens of a session, over all its events.
CREATE TEMP TABLE screens AS
SELECT session, screen_id, min(route) AS route
FROM events
GROUP BY session, screen_id;

-- §4
CREATE TEMP TABLE visits AS
WITH navigation AS (
    SELECT row, session, place, ts, screen_id
    FROM events
    WHERE event_type = 'navigation'
    QUALIFY screen_id IS DISTINCT FROM lag(screen_id) OVER (PARTITION BY session ORDER BY place)
)
SELECT
    row, session, ts, screen_id,
    row_number() OVER visit_order AS visit_no,
    lead(ts) OVER visit_order AS next_ts,
    lead(row, 1) OVER visit_order AS second_row,
    lead(row, 2) OVER visit_order AS third_row,
    lead(screen_id, 1) OVER visit_order AS second_screen,
    lead(screen_id, 2) OVER visit_order AS third_screen,
    lead(ts, 2) OVER visit_order AS third_ts
FROM navigation
WINDOW visit_order AS (PARTITION BY session ORDER BY place);


-- @stage detect
-- §5 Each kind yields its incidents with the same columns. first_row identifies the first event;
-- evidence has all of them in order (cut to 50 at the end).
CREATE TEMP TABLE clicks AS
SELECT row, session, place, ts, screen_id,
    CASE WHEN element_label_h IS NOT NULL THEN 'label ' || element_label_h
         WHEN element_type IS NOT NULL THEN 'type ' || element_type END AS target,
    coalesce(reaction_ms > 2500, reaction_observed) AS dead
FROM events
WHERE event_type = 'click';

CREATE TEMP TABLE rage_clicks AS
WITH counted AS (
    SELECT row, session, screen_id, target,
        row_number() OVER on_target AS i,
        ts - lag(ts, 2) OVER on_target <= 1000 AS qualifies
    FROM clicks
    WHERE target IS NOT NULL
    WINDOW on_target AS (PARTITION BY session, screen_id, target ORDER BY place)
),
qualifying AS (
    SELECT session, screen_id, target, i,
        coalesce(i - lag(i) OVER (PARTITION BY session, screen_id, target ORDER BY i) > 2, true) AS opens
    FROM counted
    WHERE qualifies
),
in_runs AS (
    SELECT session, screen_id, target, i,
        count(*) FILTER (opens) OVER (PARTITION BY session, screen_id, target ORDER BY i) AS run
    FROM qualifying
),
runs AS (
    SELECT session, screen_id, target, min(i) - 2 AS from_i, max(i) AS to_i
    FROM in_runs
    GROUP BY session, screen_id, target, run
)
SELECT 'rage_click' AS kind, session,
    arg_min(row, i) AS first_row,
    min(ts) AS started_at,
    max(ts) AS ended_at,
    count(*) AS event_count,
    list(event_id ORDER BY i) AS evidence,
    format('{{"clicks":{}}}', count(*)) AS detail
FROM runs
JOIN counted USING (session, screen_id, target)
JOIN (SELECT row, ts, event_id FROM events) USING (row)
WHERE i BETWEEN from_i AND to_i
GROUP BY session, screen_id, target, from_i;

CREATE TEMP TABLE dead_clicks AS
WITH dead AS (
    SELECT row, session, place, ts, screen_id, target,
        -- Clicks without a target form one partition for each screen.
        coalesce(ts - lag(ts) OVER (PARTITION BY session, screen_id, target ORDER BY place) > 2500, true) AS opens
    FROM clicks
    WHERE dead
),
in_runs AS (
    SELECT *, count(*) FILTER (opens) OVER (PARTITION BY session, screen_id, target ORDER BY place) AS run
    FROM dead
)
SELECT 'dead_click' AS kind, session,
    arg_min(row, place) AS first_row,
    min(ts) AS started_at,
    max(ts) AS ended_at,
    count(*) AS event_count,
    list(event_id ORDER BY place) AS evidence,
    format('{{"clicks":{}}}', count(*)) AS detail
FROM in_runs
JOIN (SELECT row, event_id FROM events) USING (row)
GROUP BY session, screen_id, target, run;

CREATE TEMP TABLE error_clicks AS
WITH errors AS (
    SELECT session, place, ts, screen_id, event_id, error_code
    FROM events
    WHERE error_code IS NOT NULL
),
owned AS (
    -- The nearest click strictly before the error on its screen.
    SELECT clicks.row, clicks.ts AS click_ts, errors.*
    FROM errors
    ASOF JOIN clicks
        ON clicks.session = errors.session AND clicks.screen_id = errors.screen_id AND clicks.place < errors.place
    WHERE errors.ts - clicks.ts <= 1000
)
SELECT 'error_click' AS kind, session,
    row AS first_row,
    click_ts AS started_at,
    max(ts) AS ended_at,
    1 + count(*) AS event_count,
    [any_value(click_id)] || list(event_id ORDER BY place) AS evidence,
    format('{{"errors":{},"error_code":{},"delay_ms":{}}}',
        count(*), to_json(arg_min(error_code, place))::VARCHAR, min(ts) - click_ts) AS detail
FROM owned
JOIN (SELECT row, event_id AS click_id FROM events) USING (row)
GROUP BY session, row, click_ts;

CREATE TEMP TABLE backtracks AS
SELECT 'backtrack' AS kind, visits.session,
    visits.row AS first_row,
    next_ts AS started_at,
    third_ts AS ended_at,
    3 AS event_count,
    [first.event_id, second.event_id, third.event_id] AS evidence,
    format('{{"via_screen":{},"stay_ms":{}}}', to_json(second_screen)::VARCHAR, third_ts - next_ts) AS detail
FROM visits
JOIN events AS first ON first.row = visits.row
JOIN events AS second ON second.row = second_row
JOIN events AS third ON third.row = third_row
WHERE third_screen = visits.screen_id AND third_ts - next_ts <= 20000;

-- §5 and §7: what follows and precedes each start and completion among those of its task_type.
CREATE TEMP TABLE task_steps AS
SELECT
    row, session, place, ts, event_id, task_type, task_phase, task_success,
    lag(task_phase) OVER of_type AS previous_phase,
    lead(task_phase) OVER of_type AS next_phase,
    lead(place) OVER of_type AS next_place,
    lead(ts) OVER of_type AS next_ts,
    lead(task_success) OVER of_type AS next_success
FROM events
WHERE task_phase IS NOT NULL
WINDOW of_type AS (PARTITION BY session, task_type ORDER BY place);

CREATE TEMP TABLE abandoned_tasks AS
SELECT 'abandoned_task' AS kind, session,
    row AS first_row,
    ts AS started_at,
    ts AS ended_at,
    1 AS event_count,
    [event_id] AS evidence,
    format('{{"task_type":{},"outcome":"{}"}}', to_json(task_type)::VARCHAR,
        CASE next_phase WHEN 'start' THEN 'restarted' WHEN 'complete' THEN 'late' ELSE 'none' END) AS detail
FROM task_steps
WHERE task_phase = 'start' AND NOT coalesce(next_phase = 'complete' AND next_ts - ts <= 900000, false);

CREATE TEMP TABLE incidents AS
SELECT
    org_id, product_id, date, session_key, sessions.session_id, kind,
    'netcrab' AS rule_id, 1 AS rule_version,
    screen_id, route,
    CASE WHEN kind NOT IN ('backtrack', 'abandoned_task') THEN element_type END AS element_type,
    CASE WHEN kind NOT IN ('backtrack', 'abandoned_task') THEN element_label_h END AS element_label_h,
    started_at, ended_at, found.event_count,
    evidence[:50] AS evidence,
    detail, found.session
FROM (
    FROM rage_clicks
    UNION ALL FROM dead_clicks
    UNION ALL FROM error_clicks
    UNION ALL FROM backtracks
    UNION ALL FROM abandoned_tasks
) AS found
JOIN sessions USING (session)
JOIN (SELECT row, screen_id, route, element_type, element_label_h FROM events) AS first ON first.row = first_row;

COPY (
    SELECT org_id, product_id, date,
        md5(concat_ws(chr(31), session_key, kind, rule_id, rule_version, evidence[1])) AS incident_id,
        session_key, session_id, kind, rule_id, rule_version, screen_id, route, element_type, element_label_h,
        moment(started_at) AS started_at, moment(ended_at) AS ended_at, event_count, evidence, detail
    FROM incidents
) TO (getvariable('output') || '/fact_incidents.parquet') (FORMAT parquet);


-- @stage fact_sessions
CREATE TEMP TABLE scored AS
WITH incident_counts AS (
    SELECT session,
        count(*) FILTER (kind = 'rage_click') AS rage_clicks,
        count(*) FILTER (kind = 'dead_click') AS dead_clicks,
        count(*) FILTER (kind = 'error_click') AS error_clicks,
        count(*) FILTER (kind = 'backtrack') AS backtracks,
        count(*) FILTER (kind = 'abandoned_task') AS abandoned_tasks
    FROM incidents
    GROUP BY session
),
visit_totals AS (
    SELECT session, count(*) AS screen_visits,
        arg_min(screen_id, visit_no) AS entry_screen,
        arg_max(screen_id, visit_no) AS exit_screen
    FROM visits
    GROUP BY session
),
screen_totals AS (
    SELECT session, count(*) AS unique_screens FROM screens GROUP BY session
),
counted AS (
    SELECT
        sessions.*,
        end_ts - start_ts AS duration_ms,
        coalesce(screen_visits, 0) AS screen_visits,
        unique_screens, entry_screen, exit_screen,
        coalesce(rage_clicks, 0) AS rage_clicks,
        coalesce(dead_clicks, 0) AS dead_clicks,
        coalesce(error_clicks, 0) AS error_clicks,
        coalesce(backtracks, 0) AS backtracks,
        coalesce(abandoned_tasks, 0) AS abandoned_tasks
    FROM sessions
    JOIN screen_totals USING (session)
    LEFT JOIN visit_totals USING (session)
    LEFT JOIN incident_counts USING (session)
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
        moment(start_ts) AS start_ts, moment(end_ts) AS end_ts, duration_ms,
        event_count, click_count, screen_visits, unique_screens,
        rage_clicks, dead_clicks, error_clicks, backtracks, context_switches,
        tasks_started, tasks_completed, tasks_failed, abandoned_tasks, error_events,
        of_units(frustration) AS frustration_score, of_units(efficiency) AS efficiency_score,
        entry_screen, exit_screen, task_types, device_type, os, browser, version_tag, segment,
        1 AS row_version
    FROM scored
) TO (getvariable('output') || '/fact_sessions.parquet') (FORMAT parquet);


-- @stage fact_screen_hotspots
-- §8 Additive parts, one row per screen of a session; the sum of their full join is the table.
COPY (
    WITH parts AS (
        SELECT session, screen_id,
            1 AS sessions, count(*) AS visits,
            sum(coalesce(next_ts, end_ts) - ts) AS time_spent_ms,
            count(*) FILTER (next_ts IS NULL) AS dropoffs,
            any_value(frustration) AS frustration, any_value(efficiency) AS efficiency,
            0 AS rage_clicks, 0 AS dead_clicks, 0 AS error_clicks, 0 AS backtracks, 0 AS abandoned_tasks
        FROM visits
        JOIN scored USING (session)
        GROUP BY session, screen_id
        UNION ALL
        SELECT session, screen_id,
            0, 0, 0, 0, 0, 0,
            count(*) FILTER (kind = 'rage_click'), count(*) FILTER (kind = 'dead_click'),
            count(*) FILTER (kind = 'error_click'), count(*) FILTER (kind = 'backtrack'),
            count(*) FILTER (kind = 'abandoned_task')
        FROM incidents
        GROUP BY session, screen_id
    ),
    -- Over the events of sessions that visited the screen or have an incident there.
    routes AS (
        SELECT org_id, product_id, date, screen_id, min(route) AS route
        FROM screens
        SEMI JOIN parts USING (session, screen_id)
        JOIN sessions USING (session)
        GROUP BY ALL
    )
    SELECT org_id, product_id, date, screen_id, any_value(route) AS route,
        sum(sessions)::BIGINT AS sessions, sum(visits)::BIGINT AS visits,
        of_units(sum(frustration)) AS frustration_sum, of_units(sum(efficiency)) AS efficiency_sum,
        sum(parts.rage_clicks)::BIGINT AS rage_clicks, sum(parts.dead_clicks)::BIGINT AS dead_clicks,
        sum(parts.error_clicks)::BIGINT AS error_clicks, sum(parts.backtracks)::BIGINT AS backtracks,
        sum(parts.abandoned_tasks)::BIGINT AS abandoned_tasks,
        sum(dropoffs)::BIGINT AS dropoffs, sum(time_spent_ms)::BIGINT AS time_spent_ms_sum
    FROM parts
    JOIN (SELECT session, org_id, product_id, date FROM sessions) USING (session)
    JOIN routes USING (org_id, product_id, date, screen_id)
    GROUP BY ALL
) TO (getvariable('output') || '/fact_screen_hotspots.parquet') (FORMAT parquet);


-- @stage fact_flows
-- §9
COPY (
    WITH moves AS (
        SELECT session, '' AS from_screen, screen_id AS to_screen FROM visits WHERE visit_no = 1
        UNION ALL
        SELECT session, screen_id, coalesce(second_screen, '') FROM visits
    ),
    by_session AS (
        SELECT session, from_screen, to_screen, count(*) AS moves FROM moves GROUP BY ALL
    )
    SELECT org_id, product_id, date, from_screen, to_screen,
        sum(moves)::BIGINT AS moves, count(*) AS sessions, of_units(sum(frustration)) AS frustration_sum
    FROM by_session
    JOIN scored USING (session)
    GROUP BY org_id, product_id, date, from_screen, to_screen
) TO (getvariable('output') || '/fact_flows.parquet') (FORMAT parquet);


-- @stage fact_tasks
-- §7
COPY (
    WITH tasks AS (
        SELECT session, place, task_type, ts AS started_at, abandoned.first_row IS NOT NULL AS abandoned,
            CASE WHEN next_phase = 'complete' THEN next_ts END AS completed_at,
            CASE WHEN next_phase = 'complete' THEN next_success IS DISTINCT FROM false END AS success,
            -- The span: up to the completion; else before the next start and within 15 min.
            CASE WHEN next_phase = 'complete' THEN next_place
                 WHEN next_phase = 'start' THEN next_place - 1 END AS to_place,
            CASE WHEN next_phase IS DISTINCT FROM 'complete' THEN ts + 900000 END AS to_ts
        FROM task_steps
        LEFT JOIN (SELECT first_row FROM abandoned_tasks) AS abandoned ON first_row = row
        WHERE task_phase = 'start'
        UNION ALL
        -- A completion that no start owns spans itself.
        SELECT session, place, task_type, NULL, false, ts, task_success IS DISTINCT FROM false, place, NULL
        FROM task_steps
        WHERE task_phase = 'complete' AND previous_phase IS DISTINCT FROM 'start'
    ),
    spanned AS (
        SELECT session, tasks.place,
            count(*) FILTER (event_type = 'click') AS clicks,
            count(DISTINCT screen_id) AS screens
        FROM tasks
        JOIN events USING (session)
        WHERE events.place >= tasks.place
            AND (to_place IS NULL OR events.place <= to_place)
            AND (to_ts IS NULL OR events.ts <= to_ts)
        GROUP BY session, tasks.place
    )
    SELECT org_id, product_id, date, session_key,
        row_number() OVER (PARTITION BY session ORDER BY place) - 1 AS task_no,
        task_type, moment(started_at) AS started_at, moment(completed_at) AS completed_at,
        completed_at - started_at AS duration_ms,
        clicks, screens, success, abandoned,
        CASE WHEN screens <= 2 THEN 1 WHEN screens <= 4 THEN 2 WHEN screens <= 7 THEN 3
             WHEN screens <= 12 THEN 4 ELSE 5 END AS flow_complexity
    FROM tasks
    JOIN spanned USING (session, place)
    JOIN sessions USING (session)
) TO (getvariable('output') || '/fact_tasks.parquet') (FORMAT parquet);
