-- fact_screen_hotspots of the chosen sessions alone: docs/rules.md sections 4 and 8, from the
-- sessions, their events and their incidents.
WITH chosen AS (
  SELECT session_key, end_ts, exit_screen, frustration_score, efficiency_score
  FROM fact_sessions
  WHERE org_id = $org AND product_id = $product AND date BETWEEN $from AND $to
    AND ($segment IS NULL OR segment = $segment)
    AND ($version IS NULL OR version_tag = $version)
    AND ($device IS NULL OR device_type = $device)
    AND ($task_type IS NULL OR array_has(task_types, $task_type))
),
events AS (
  SELECT chosen.session_key, position, event_type, screen_id, route, ts
  FROM chosen JOIN events_sessionized AS event ON event.session_key = chosen.session_key
  WHERE org_id = $org AND product_id = $product AND date BETWEEN $from AND $to
),
navigations AS (
  SELECT session_key, position, screen_id, ts,
         lag(screen_id) OVER (PARTITION BY session_key ORDER BY position) AS screen_before
  FROM events
  WHERE event_type = 'navigation'
),
visits AS (
  SELECT session_key, screen_id, ts,
         lead(ts) OVER (PARTITION BY session_key ORDER BY position) AS left_at
  FROM navigations
  WHERE screen_before IS DISTINCT FROM screen_id
),
-- A session's visits to a screen, so that the session counts once.
stays AS (
  SELECT visits.session_key, screen_id,
         count(*) AS visits,
         sum(CAST(coalesce(left_at, end_ts) AS BIGINT) - CAST(ts AS BIGINT)) / 1000 AS time_spent_ms,
         max(CASE WHEN exit_screen = screen_id THEN 1 ELSE 0 END) AS dropoff,
         max(frustration_score) AS frustration_score,
         max(efficiency_score) AS efficiency_score
  FROM visits JOIN chosen ON chosen.session_key = visits.session_key
  GROUP BY visits.session_key, screen_id
),
visited AS (
  SELECT screen_id,
         count(*) AS sessions,
         sum(visits) AS visits,
         sum(frustration_score) AS frustration_sum,
         sum(efficiency_score) AS efficiency_sum,
         sum(dropoff) AS dropoffs,
         sum(time_spent_ms) AS time_spent_ms_sum
  FROM stays
  GROUP BY screen_id
),
filed AS (
  SELECT incident.session_key, screen_id, kind
  FROM chosen JOIN fact_incidents AS incident ON incident.session_key = chosen.session_key
  WHERE org_id = $org AND product_id = $product AND date BETWEEN $from AND $to
),
troubled AS (
  SELECT screen_id,
         sum(CASE WHEN kind = 'rage_click' THEN 1 ELSE 0 END) AS rage_clicks,
         sum(CASE WHEN kind = 'dead_click' THEN 1 ELSE 0 END) AS dead_clicks,
         sum(CASE WHEN kind = 'error_click' THEN 1 ELSE 0 END) AS error_clicks,
         sum(CASE WHEN kind = 'backtrack' THEN 1 ELSE 0 END) AS backtracks,
         sum(CASE WHEN kind = 'abandoned_task' THEN 1 ELSE 0 END) AS abandoned_tasks
  FROM filed
  GROUP BY screen_id
),
concerned AS (
  SELECT session_key, screen_id FROM stays UNION SELECT session_key, screen_id FROM filed
),
routes AS (
  SELECT events.screen_id, min(route) AS route
  FROM events
  JOIN concerned ON concerned.session_key = events.session_key AND concerned.screen_id = events.screen_id
  GROUP BY events.screen_id
),
screens AS (
  SELECT screen_id FROM visited UNION SELECT screen_id FROM troubled
)
SELECT screens.screen_id,
       coalesce(route, '') AS route,
       coalesce(sessions, 0) AS sessions,
       coalesce(visits, 0) AS visits,
       coalesce(frustration_sum, 0.0) AS frustration_sum,
       coalesce(efficiency_sum, 0.0) AS efficiency_sum,
       coalesce(rage_clicks, 0) AS rage_clicks,
       coalesce(dead_clicks, 0) AS dead_clicks,
       coalesce(error_clicks, 0) AS error_clicks,
       coalesce(backtracks, 0) AS backtracks,
       coalesce(abandoned_tasks, 0) AS abandoned_tasks,
       coalesce(dropoffs, 0) AS dropoffs,
       coalesce(time_spent_ms_sum, 0) AS time_spent_ms_sum
FROM screens
LEFT JOIN visited ON visited.screen_id = screens.screen_id
LEFT JOIN troubled ON troubled.screen_id = screens.screen_id
LEFT JOIN routes ON routes.screen_id = screens.screen_id
