-- NetCrab's batch chain as ClickHouse does such things best: the events of a session are one sorted
-- array, and every rule of docs/rules.md (sections in the comments) is array functions over it.
-- clickhouse_chain.py puts the paths in for ${input} and ${output} and runs the file stage by stage.
--
-- Null texts are '' here (the rules treat both alike), because groupArray and array functions are much
-- faster on plain strings. A lambda never reads another array by index: ClickHouse copies a captured
-- array for every element, so the tuples carry what the lambda needs.
-- session_key and incident_id are md5 over the same parts, where NetCrab has XXH3-128.

SET output_format_json_escape_forward_slashes = 0, output_format_json_quote_64bit_integers = 0;
SET output_format_parquet_string_as_string = 1, engine_file_truncate_on_insert = 1;
-- A row is a whole session. With blocks of the usual size, the arrays of one step would take gigabytes.
SET min_insert_block_size_rows = 4096, min_insert_block_size_bytes = 0;

-- A score as a whole number of 2⁻⁴⁰, so that sums are exact. round() would take ties to even.
CREATE FUNCTION units AS (x) -> toInt64(floor(1. / (1. + exp(-x)) * 1099511627776. + 0.5));
CREATE FUNCTION of_units AS (units) -> toFloat64(units) / 1099511627776.;
CREATE FUNCTION present AS (text) -> nullIf(text, '');
CREATE FUNCTION moment AS (ms) -> fromUnixTimestamp64Milli(ms, 'UTC');
CREATE FUNCTION hash_text AS (parts) -> lower(hex(MD5(arrayStringConcat(parts, '\x1F'))));


-- @stage order_events
CREATE VIEW input_rows AS
SELECT *, if(session_id = '', user_hash, session_id) AS session_or_user, cityHash64(org_id, product_id, session_or_user, event_id) AS identity
FROM file('${input}', Parquet);

-- §2 Repeats. A hash collision only means that one more event is sorted below.
CREATE TABLE repeated ENGINE = Memory AS
SELECT identity FROM input_rows GROUP BY identity HAVING count() > 1;

CREATE VIEW events AS
SELECT
    org_id, product_id, session_or_user,
    (toUnixTimestamp64Milli(ts), ifNull(seq, 9007199254740992), event_id, event_type, screen_id, route,
     ifNull(element_type, ''), ifNull(element_label_h, ''), ifNull(error_code, ''),
     ifNull(reaction_ms > 2500, reaction_observed),
     ifNull(task_type, ''), ifNull(task_phase, ''), ifNull(task_success, true),
     ifNull(os, ''), ifNull(browser, ''), device_type, ifNull(version_tag, ''), ifNull(segment, ''),
     session_id != '', user_hash)::Tuple(
        ts Int64, seq Int64, event_id String, event_type String, screen_id String, route String,
        element_type String, element_label_h String, error_code String,
        dead Bool,
        task_type String, task_phase String, success Bool,
        os String, browser String, device_type String,
        version_tag String, segment String,
        has_session_id Bool, user_hash String) AS event
FROM (
    SELECT * FROM input_rows WHERE identity NOT IN repeated
    UNION ALL
    SELECT * FROM (SELECT * FROM input_rows WHERE identity IN repeated)
    -- Every column in table order; 1/x separates −0 from 0, as IEEE total order does.
    ORDER BY org_id, product_id, session_or_user, event_id, received_at NULLS LAST, ts,
        session_id, user_hash, event_type, seq NULLS LAST, screen_id, route, app_name NULLS LAST, element_type NULLS LAST,
        element_label_h NULLS LAST, error_code NULLS LAST, os NULLS LAST, browser NULLS LAST, device_type,
        latency_ms NULLS LAST, 1 / latency_ms, page_x NULLS LAST, 1 / page_x, page_y NULLS LAST, 1 / page_y,
        reaction_ms NULLS LAST, 1 / reaction_ms, reaction_observed, event_name NULLS LAST, task_type NULLS LAST,
        task_phase NULLS LAST, task_success NULLS LAST, version_tag NULLS LAST, segment NULLS LAST, extra NULLS LAST
    LIMIT 1 BY org_id, product_id, session_or_user, event_id
);

-- §2 Order: tuples sort by their first fields, (ts, seq, event_id), which differ within a session key.
CREATE TABLE keys ENGINE = Memory AS
SELECT org_id, product_id, session_or_user, arraySort(groupArray(event)) AS events
FROM events
GROUP BY org_id, product_id, session_or_user;


-- @stage sessionize
-- §3 A gap opens a session, and so does an age of 24 h. Only a fold can find the latter: it carries the
-- first and the last time of the open session and collects where sessions open. Session keys that span
-- less than 24 h give it nothing to fold.
CREATE TABLE sessions ENGINE = Memory AS
WITH
    events.ts AS times,
    times[-1] - times[1] >= 86400000 AS is_long,
    arrayFold(
        (state, t, i) -> if(
            t - state.2 > 1800000 OR t - state.1 >= 86400000,
            (t, t, arrayPushBack(state.3, i)),
            (state.1, t, state.3)),
        if(is_long, times, []), if(is_long, arrayEnumerate(times), []),
        (times[1], times[1], []::Array(UInt32))).3 AS aged,
    if(is_long, arrayMap(i -> has(aged, i), arrayEnumerate(times)),
        arrayMap(step -> step > 1800000, arrayDifference(times))) AS opens
SELECT
    org_id, product_id, session_or_user, session_no,
    events[1].ts AS start_ts,
    events[-1].ts AS end_ts,
    toDate(moment(start_ts)) AS date,
    if(events[1].has_session_id, session_or_user, '') AS session_id,
    hash_text([org_id, product_id, session_or_user, events[1].event_id, toString(start_ts)]) AS session_key,
    -- §4 The navigation sequence, and how long each visit lasts.
    arrayFilter(e -> e.event_type = 'navigation', events) AS navigation,
    arrayFilter((e, before) -> e.screen_id != before, navigation,
        arrayPopBack(arrayPushFront(navigation.screen_id, ''))) AS visits,
    if(empty(visits), [], arrayPushBack(arrayPopFront(visits.ts), end_ts)) AS visit_ends,
    events
FROM (
    SELECT org_id, product_id, session_or_user, arraySplit((e, open) -> open, events, opens) AS parts
    FROM keys
)
ARRAY JOIN parts AS events, arrayMap(i -> i - 1, arrayEnumerate(parts)) AS session_no
SETTINGS max_block_size = 4096;

DROP TABLE keys;


-- @stage detect
-- §5 Every kind is an array of incidents with the same fields. It sorts the events by target (screen,
-- type), so that events of one target are neighbours, and compares each with its neighbours.
CREATE FUNCTION incident AS (kind, first, started_at, ended_at, named, detail) -> (
    kind, tupleElement(first, 'screen_id'), tupleElement(first, 'route'),
    tupleElement(first, 'element_type'), tupleElement(first, 'element_label_h'),
    started_at, ended_at, named, detail);
CREATE FUNCTION target AS (e) -> (
    tupleElement(e, 'screen_id'), tupleElement(e, 'element_label_h'),
    if(tupleElement(e, 'element_label_h') = '', tupleElement(e, 'element_type'), ''));

CREATE TABLE incidents ENGINE = Memory AS
WITH
    arrayFilter(e -> e.event_type = 'click', events) AS clicks,

    -- rage_click: k qualifies with the two before it on its target; a run begins where neither of those
    -- qualifies; a click is named when it or one of the next two qualifies.
    arraySort(e -> (target(e), e.ts, e.seq, e.event_id),
        arrayFilter(e -> e.element_label_h != '' OR e.element_type != '', clicks)) AS targeted,
    arrayMap(e -> target(e), targeted) AS targets,
    arrayMap((t, target, t_2, target_2) -> target = target_2 AND t - t_2 <= 1000,
        targeted.ts, targets,
        arrayShiftRight(targeted.ts, 2), arrayShiftRight(targets, 2, ('', '', ''))) AS qualifies,
    arrayMap((q, q_1, q_2) -> q AND NOT q_1 AND NOT q_2,
        qualifies, arrayShiftRight(qualifies, 1), arrayShiftRight(qualifies, 2)) AS begins,
    arrayMap((q, q_1, q_2) -> q OR q_1 OR q_2,
        qualifies, arrayShiftLeft(qualifies, 1), arrayShiftLeft(qualifies, 2)) AS is_named,
    arrayMap(run -> incident('rage_click', run[1], run[1].ts, run[-1].ts, run.event_id,
            concat('{"clicks":', toString(length(run)), '}')),
        arraySplit((e, opens) -> opens,
            arrayFilter((e, named) -> named, targeted, is_named),
            arrayFilter((opens, named) -> named, arrayShiftLeft(begins, 2), is_named))) AS rage_clicks,

    -- dead_click: a click without a target counts as a click on its screen.
    arraySort(e -> (target(e), e.ts, e.seq, e.event_id), arrayFilter(e -> e.dead, clicks)) AS dead_ones,
    arrayMap(e -> target(e), dead_ones) AS dead_targets,
    arrayMap(run -> incident('dead_click', run[1], run[1].ts, run[-1].ts, run.event_id,
            concat('{"clicks":', toString(length(run)), '}')),
        arraySplit((e, target, t_1, target_1) -> target != target_1 OR e.ts - t_1 > 2500,
            dead_ones, dead_targets,
            arrayShiftRight(dead_ones.ts, 1), arrayShiftRight(dead_targets, 1, ('', '', '')))) AS dead_clicks,

    -- error_click: clicks and errors by screen; an error's owner is the last click strictly before it.
    arraySort(e -> (e.screen_id, e.ts, e.seq, e.event_id),
        arrayFilter(e -> e.event_type = 'click' OR e.error_code != '',
            if(arrayExists(e -> e.error_code != '', events), events, []))) AS near,
    arrayFill(e -> e.event_type = 'click', near) AS last_click,
    arrayFilter(x -> x.2.error_code != ''
            AND x.1.event_type = 'click' AND x.1.screen_id = x.2.screen_id
            AND x.2.ts - x.1.ts <= 1000,
        arrayZip(arrayPopBack(last_click), arrayPopFront(near))) AS owned,
    arrayMap(run -> incident('error_click', run[1].1, run[1].1.ts, run[-1].2.ts,
            arrayPushFront(run.2.event_id, run[1].1.event_id),
            concat('{"errors":', toString(length(run)), ',"error_code":', toJSONString(run[1].2.error_code),
                ',"delay_ms":', toString(run[1].2.ts - run[1].1.ts), '}')),
        arraySplit((x, owner_1) -> x.1.event_id != owner_1, owned, arrayShiftRight(owned.1.event_id, 1))) AS error_clicks,

    -- backtrack: every three visits in a row.
    greatest(toInt64(length(visits)) - 2, 0) AS triples,
    arrayMap(x -> incident('backtrack', x.1, x.2.ts, x.3.ts, [x.1.event_id, x.2.event_id, x.3.event_id],
            concat('{"via_screen":', toJSONString(x.2.screen_id), ',"stay_ms":', toString(x.3.ts - x.2.ts), '}')),
        arrayFilter(x -> x.1.screen_id = x.3.screen_id AND x.3.ts - x.2.ts <= 20000,
            arrayZip(arraySlice(visits, 1, triples), arraySlice(visits, 2, triples), arraySlice(visits, 3, triples)))
    ) AS backtracks,

    -- abandoned_task: each start and completion meets the next of its type.
    arraySort(e -> (e.task_type, e.ts, e.seq, e.event_id), arrayFilter(e -> e.task_phase != '', events)) AS steps,
    arrayMap((e, type_1, phase_1, t_1) -> multiIf(
            e.task_phase != 'start', '',
            type_1 != e.task_type, 'none',
            phase_1 = 'start', 'restarted',
            t_1 - e.ts > 900000, 'late', ''),
        steps, arrayShiftLeft(steps.task_type, 1), arrayShiftLeft(steps.task_phase, 1), arrayShiftLeft(steps.ts, 1)
    ) AS outcomes,
    arrayMap(x -> incident('abandoned_task', x.1, x.1.ts, x.1.ts, [x.1.event_id],
            concat('{"task_type":', toJSONString(x.1.task_type), ',"outcome":"', x.2, '"}')),
        arrayFilter(x -> x.2 != '', arrayZip(steps, outcomes))) AS abandoned_tasks
SELECT
    org_id, product_id, date, session_key, session_id,
    kind, screen_id, route, element_type, element_label_h, started_at, ended_at,
    length(named) AS event_count, arraySlice(named, 1, 50) AS evidence, detail
FROM (
    SELECT org_id, product_id, date, session_key, session_id,
        arrayJoin(arrayConcat(rage_clicks, dead_clicks, error_clicks, backtracks, abandoned_tasks)) AS found,
        found.1 AS kind, found.2 AS screen_id, found.3 AS route,
        if(kind IN ('backtrack', 'abandoned_task'), NULL, present(found.4)) AS element_type,
        if(kind IN ('backtrack', 'abandoned_task'), NULL, present(found.5)) AS element_label_h,
        found.6 AS started_at, found.7 AS ended_at, found.8 AS named, found.9 AS detail
    FROM sessions
);

INSERT INTO FUNCTION file('${output}/fact_incidents.parquet', Parquet)
SELECT org_id, product_id, date,
    hash_text([session_key, kind, 'netcrab', '1', evidence[1]]) AS incident_id,
    session_key, session_id, kind, 'netcrab' AS rule_id, 1 AS rule_version,
    screen_id, route, element_type, element_label_h,
    moment(started_at) AS started_at, moment(ended_at) AS ended_at, event_count, evidence, detail
FROM incidents;


-- @stage fact_sessions
CREATE TABLE scored ENGINE = Memory AS
SELECT *,
    units(-3. + 1.2 * rage_clicks + 0.6 * backtracks + 0.8 * error_events + 1.5 * abandoned_tasks + 0.5 * dead_clicks)
        AS frustration,
    units(2.
        - 1. * least(duration_ms / 600000., 3.)
        - 1. * least(click_count / greatest(tasks_started, 1) / 20., 3.)
        - 2. * (greatest(toInt64(screen_visits) - toInt64(unique_screens), 0) / greatest(screen_visits, 1))) AS efficiency
FROM (
    SELECT
        org_id, product_id, date, session_key, session_id, session_no, start_ts, end_ts, visits, visit_ends,
        events[1].user_hash AS user_hash,
        end_ts - start_ts AS duration_ms,
        length(events) AS event_count,
        countEqual(events.event_type, 'click') AS click_count,
        length(visits) AS screen_visits,
        length(arrayDistinct(events.screen_id)) AS unique_screens,
        countEqual(events.event_type, 'focus_change') AS context_switches,
        countEqual(events.task_phase, 'start') AS tasks_started,
        arrayCount(e -> e.task_phase = 'complete' AND e.success, events) AS tasks_completed,
        arrayCount(e -> e.task_phase = 'complete' AND NOT e.success, events) AS tasks_failed,
        arrayCount(code -> code != '', events.error_code) AS error_events,
        present(visits[1].screen_id) AS entry_screen,
        present(visits[-1].screen_id) AS exit_screen,
        arraySort(arrayDistinct(arrayFilter(type -> type != '', events.task_type))) AS task_types,
        events[1].device_type AS device_type,
        present(arrayFirst(x -> x != '', events.os)) AS os,
        present(arrayFirst(x -> x != '', events.browser)) AS browser,
        present(arrayFirst(x -> x != '', events.version_tag)) AS version_tag,
        present(arrayFirst(x -> x != '', events.segment)) AS segment
    FROM sessions
) AS s
LEFT JOIN (
    SELECT session_key,
        countIf(kind = 'rage_click') AS rage_clicks,
        countIf(kind = 'dead_click') AS dead_clicks,
        countIf(kind = 'error_click') AS error_clicks,
        countIf(kind = 'backtrack') AS backtracks,
        countIf(kind = 'abandoned_task') AS abandoned_tasks
    FROM incidents
    GROUP BY session_key
) AS counts USING (session_key);

INSERT INTO FUNCTION file('${output}/fact_sessions.parquet', Parquet)
SELECT org_id, product_id, date, session_key, session_id, session_no, user_hash,
    moment(start_ts) AS start_ts, moment(end_ts) AS end_ts, duration_ms,
    event_count, click_count, screen_visits, unique_screens,
    rage_clicks, dead_clicks, error_clicks, backtracks, context_switches,
    tasks_started, tasks_completed, tasks_failed, abandoned_tasks, error_events,
    of_units(frustration) AS frustration_score, of_units(efficiency) AS efficiency_score,
    entry_screen, exit_screen, task_types, device_type, os, browser, version_tag, segment,
    1 AS row_version
FROM scored;


-- @stage fact_screen_hotspots
-- §8 Additive parts, one row per screen of a session or per incident.
INSERT INTO FUNCTION file('${output}/fact_screen_hotspots.parquet', Parquet)
WITH parts AS (
    SELECT org_id, product_id, date, visit.screen_id AS screen_id,
        1 AS sessions, count() AS visits, any(frustration) AS frustration, any(efficiency) AS efficiency,
        0 AS rage_clicks, 0 AS dead_clicks, 0 AS error_clicks, 0 AS backtracks, 0 AS abandoned_tasks,
        sum(is_last) AS dropoffs, sum(until - visit.ts) AS time_spent_ms
    FROM scored
    ARRAY JOIN scored.visits AS visit, visit_ends AS until,
        arrayMap(i -> i = screen_visits, arrayEnumerate(scored.visits)) AS is_last
    GROUP BY org_id, product_id, date, session_key, screen_id
    UNION ALL
    SELECT org_id, product_id, date, screen_id, 0, 0, 0, 0,
        kind = 'rage_click', kind = 'dead_click', kind = 'error_click', kind = 'backtrack', kind = 'abandoned_task', 0, 0
    FROM incidents
),
-- Over the events of sessions that visited the screen or have an incident there.
concerned AS (
    SELECT session_key, visit.screen_id AS screen_id FROM scored ARRAY JOIN scored.visits AS visit
    UNION ALL
    SELECT session_key, screen_id FROM incidents
),
routes AS (
    SELECT org_id, product_id, date, event.screen_id AS screen_id, min(event.route) AS route
    FROM sessions
    ARRAY JOIN arrayDistinct(arrayMap(e -> (e.screen_id, e.route)::Tuple(screen_id String, route String), events)) AS event
    WHERE (session_key, event.screen_id) IN (SELECT session_key, screen_id FROM concerned)
    GROUP BY org_id, product_id, date, screen_id
)
SELECT org_id, product_id, date, screen_id, any(routes.route) AS route,
    sum(parts.sessions) AS sessions, sum(parts.visits) AS visits,
    of_units(sum(frustration)) AS frustration_sum, of_units(sum(efficiency)) AS efficiency_sum,
    sum(parts.rage_clicks) AS rage_clicks, sum(parts.dead_clicks) AS dead_clicks,
    sum(parts.error_clicks) AS error_clicks, sum(parts.backtracks) AS backtracks,
    sum(parts.abandoned_tasks) AS abandoned_tasks,
    sum(parts.dropoffs) AS dropoffs, sum(parts.time_spent_ms) AS time_spent_ms_sum
FROM parts
JOIN routes USING (org_id, product_id, date, screen_id)
GROUP BY org_id, product_id, date, screen_id;


-- @stage fact_flows
-- §9
INSERT INTO FUNCTION file('${output}/fact_flows.parquet', Parquet)
SELECT org_id, product_id, date, from_screen, to_screen,
    sum(times) AS moves, count() AS sessions, of_units(sum(score)) AS frustration_sum
FROM (
    SELECT org_id, product_id, date, session_key, from_screen, to_screen, count() AS times, any(frustration) AS score
    FROM scored
    ARRAY JOIN arrayPushFront(visits.screen_id, '') AS from_screen, arrayPushBack(visits.screen_id, '') AS to_screen
    WHERE notEmpty(visits)
    GROUP BY org_id, product_id, date, session_key, from_screen, to_screen
)
GROUP BY org_id, product_id, date, from_screen, to_screen;


-- @stage fact_tasks
-- §7 A completion right after a start of its type belongs to that start; any other step is a row.
INSERT INTO FUNCTION file('${output}/fact_tasks.parquet', Parquet)
WITH
    arraySort(x -> (x.1.task_type, x.2),
        arrayFilter(x -> x.1.task_phase != '', arrayZip(events, arrayEnumerate(events)))) AS steps,
    arrayZip(steps.2, steps.1.task_type, steps.1.task_phase, steps.1.ts, steps.1.success) AS here,
    arrayZip(arrayShiftLeft(steps.2, 1), arrayShiftLeft(steps.1.task_type, 1), arrayShiftLeft(steps.1.task_phase, 1),
        arrayShiftLeft(steps.1.ts, 1), arrayShiftLeft(steps.1.success, 1)) AS next,
    arrayZip(arrayShiftRight(steps.1.task_type, 1), arrayShiftRight(steps.1.task_phase, 1)) AS previous,
    -- (here, next or '' where there is none of the type), in the order of the first event
    arraySort(x -> x.1.1, arrayFilter(x -> NOT (x.1.3 = 'complete' AND x.3 = (x.1.2, 'start')),
        arrayZip(here, next, previous))) AS tasks
SELECT org_id, product_id, date, session_key, task_no, task.1.2 AS task_type,
    if(is_start, moment(task.1.4), NULL) AS started_at,
    multiIf(NOT is_start, moment(task.1.4), next_phase = 'complete', moment(task.2.4), NULL) AS completed_at,
    if(is_start AND next_phase = 'complete', task.2.4 - task.1.4, NULL) AS duration_ms,
    arrayCount(e -> e.event_type = 'click', span) AS clicks,
    length(arrayDistinct(span.screen_id)) AS screens,
    multiIf(NOT is_start, task.1.5, next_phase = 'complete', task.2.5, NULL) AS success,
    (is_start AND NOT (next_phase = 'complete' AND task.2.4 - task.1.4 <= 900000))::Bool AS abandoned,
    multiIf(screens <= 2, 1, screens <= 4, 2, screens <= 7, 3, screens <= 12, 4, 5) AS flow_complexity
FROM (
    SELECT org_id, product_id, date, session_key, task, task_no,
        task.1.3 = 'start' AS is_start,
        if(task.2.2 = task.1.2, task.2.3, '') AS next_phase,
        multiIf(NOT is_start, task.1.1, next_phase = 'complete', task.2.1,
            next_phase = 'start', task.2.1 - 1, length(events)) AS to_place,
        arrayFilter(e -> NOT is_start OR next_phase = 'complete' OR e.ts - task.1.4 <= 900000,
            arraySlice(events, task.1.1, to_place - task.1.1 + 1)) AS span
    FROM sessions
    ARRAY JOIN tasks AS task, arrayMap(i -> i - 1, arrayEnumerate(tasks)) AS task_no
);
