-- fact_flows of the chosen sessions alone: docs/rules.md sections 4 and 9.
WITH chosen AS (
  SELECT session_key, frustration_score
  FROM fact_sessions
  WHERE org_id = $org AND product_id = $product AND date BETWEEN $from AND $to
    AND ($segment IS NULL OR segment = $segment)
    AND ($version IS NULL OR version_tag = $version)
    AND ($device IS NULL OR device_type = $device)
    AND ($task_type IS NULL OR array_has(task_types, $task_type))
),
navigations AS (
  SELECT chosen.session_key, position, screen_id, frustration_score,
         lag(screen_id) OVER (PARTITION BY chosen.session_key ORDER BY position) AS screen_before
  FROM chosen JOIN events_sessionized AS event ON event.session_key = chosen.session_key
  WHERE org_id = $org AND product_id = $product AND date BETWEEN $from AND $to
    AND event_type = 'navigation'
),
visits AS (
  SELECT session_key, frustration_score, screen_id, screen_before,
         lead(screen_id) OVER (PARTITION BY session_key ORDER BY position) AS screen_after
  FROM navigations
  WHERE screen_before IS DISTINCT FROM screen_id
),
-- Each visit is reached by a move; the last one is left by one more.
steps AS (
  SELECT session_key, frustration_score, coalesce(screen_before, '') AS from_screen, screen_id AS to_screen
  FROM visits
  UNION ALL
  SELECT session_key, frustration_score, screen_id AS from_screen, '' AS to_screen
  FROM visits
  WHERE screen_after IS NULL
),
-- A session's moves between two screens, so that the session counts once.
moves AS (
  SELECT session_key, from_screen, to_screen, count(*) AS moves, max(frustration_score) AS frustration_score
  FROM steps
  GROUP BY session_key, from_screen, to_screen
)
SELECT from_screen, to_screen,
       sum(moves) AS moves,
       count(*) AS sessions,
       sum(frustration_score) AS frustration_sum
FROM moves
GROUP BY from_screen, to_screen
