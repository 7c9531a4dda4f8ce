-- fact_screen_hotspots of the chosen sessions alone: docs/rules.md sections 4 and 8, from the
-- sessions, their events and their incidents.
WITH chosen AS (
  SELECT session_key, end_ts, exit_screen, frustration_score, efficiency_score
  FROM fact_sessions
  WHERE org_id = {org:String} AND product_id = {product:String} AND date BETWEEN {from:Date32} AND {to:Date32}
    AND ({segment:Nullable(String)} IS NULL OR segment = {segment:Nullable(String)})
    AND ({version:Nullable(String)} IS NULL OR version_tag = {version:Nullable(String)})
    AND ({device:Nullable(String)} IS NULL OR device_type = {device:Nullable(String)})
    AND ({task_type:Nullable(String)} IS NULL OR has(task_types, {task_type:Nullable(String)}))
),
events AS (
  SELECT session_key, position, event_type, screen_id, route, ts
  FROM events_sessionized
  WHERE org_id = {org:String} AND product_id = {product:String} AND date BETWEEN {from:Date32} AND {to:Date32} AND session_key IN (SELECT session_key FROM chosen)
),
navigations AS (
  SELECT session_key, position, screen_id, ts, screen_id = screen_before AND place > 1 AS stays
  FROM (
    SELECT session_key, position, screen_id, ts,
           row_number() OVER (PARTITION BY session_key ORDER BY position) AS place,
           lagInFrame(screen_id) OVER (PARTITION BY session_key ORDER BY position ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) AS screen_before
    FROM events
    WHERE event_type = 'navigation'
  )
),
visits AS (
  SELECT session_key, screen_id, ts,
         leadInFrame(toNullable(ts)) OVER (PARTITION BY session_key ORDER BY position ROWS BETWEEN CURRENT ROW AND 1 FOLLOWING) AS left_at
  FROM navigations
  WHERE NOT stays
),
-- A session's visits to a screen, so that the session counts once.
stays AS (
  SELECT visits.session_key AS session_key, visits.screen_id AS screen_id,
         count() AS visits,
         sum(toUnixTimestamp64Milli(coalesce(visits.left_at, chosen.end_ts)) - toUnixTimestamp64Milli(visits.ts)) AS time_spent_ms,
         max(ifNull(chosen.exit_screen = visits.screen_id, 0)) AS dropoff,
         max(chosen.frustration_score) AS frustration_score,
         max(chosen.efficiency_score) AS efficiency_score
  FROM visits JOIN chosen ON chosen.session_key = visits.session_key
  GROUP BY visits.session_key, visits.screen_id
),
visited AS (
  SELECT screen_id,
         count() AS sessions,
         sum(stays.visits) AS visits,
         sum(stays.frustration_score) AS frustration_sum,
         sum(stays.efficiency_score) AS efficiency_sum,
         sum(stays.dropoff) AS dropoffs,
         sum(stays.time_spent_ms) AS time_spent_ms_sum
  FROM stays
  GROUP BY screen_id
),
filed AS (
  SELECT session_key, screen_id, kind
  FROM fact_incidents
  WHERE org_id = {org:String} AND product_id = {product:String} AND date BETWEEN {from:Date32} AND {to:Date32} AND session_key IN (SELECT session_key FROM chosen)
),
troubled AS (
  SELECT screen_id,
         countIf(kind = 'rage_click') AS rage_clicks,
         countIf(kind = 'dead_click') AS dead_clicks,
         countIf(kind = 'error_click') AS error_clicks,
         countIf(kind = 'backtrack') AS backtracks,
         countIf(kind = 'abandoned_task') AS abandoned_tasks
  FROM filed
  GROUP BY screen_id
),
routes AS (
  SELECT screen_id, min(events.route) AS route
  FROM events
  WHERE (session_key, screen_id) IN (
    SELECT session_key, screen_id FROM stays UNION ALL SELECT session_key, screen_id FROM filed
  )
  GROUP BY screen_id
)
SELECT screens.screen_id AS screen_id, routes.route AS route, visited.sessions AS sessions, visited.visits AS visits,
       visited.frustration_sum AS frustration_sum, visited.efficiency_sum AS efficiency_sum,
       troubled.rage_clicks AS rage_clicks, troubled.dead_clicks AS dead_clicks,
       troubled.error_clicks AS error_clicks, troubled.backtracks AS backtracks,
       troubled.abandoned_tasks AS abandoned_tasks, visited.dropoffs AS dropoffs,
       visited.time_spent_ms_sum AS time_spent_ms_sum
FROM (SELECT screen_id FROM visited UNION DISTINCT SELECT screen_id FROM troubled) AS screens
LEFT JOIN visited ON visited.screen_id = screens.screen_id
LEFT JOIN troubled ON troubled.screen_id = screens.screen_id
LEFT JOIN routes ON routes.screen_id = screens.screen_id
