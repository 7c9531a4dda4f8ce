-- fact_flows of the chosen sessions alone: docs/rules.md sections 4 and 9.
WITH chosen AS (
  SELECT session_key, end_ts, exit_screen, frustration_score, efficiency_score
  FROM fact_sessions
  WHERE org_id = {org:String} AND product_id = {product:String} AND date BETWEEN {from:Date32} AND {to:Date32}
    AND ({segment:Nullable(String)} IS NULL OR segment = {segment:Nullable(String)})
    AND ({version:Nullable(String)} IS NULL OR version_tag = {version:Nullable(String)})
    AND ({device:Nullable(String)} IS NULL OR device_type = {device:Nullable(String)})
    AND ({task_type:Nullable(String)} IS NULL OR has(task_types, {task_type:Nullable(String)}))
),
navigations AS (
  SELECT session_key, position, screen_id, place, screen_before, screen_id = screen_before AND place > 1 AS stays
  FROM (
    SELECT session_key, position, screen_id,
           row_number() OVER (PARTITION BY session_key ORDER BY position) AS place,
           lagInFrame(screen_id) OVER (PARTITION BY session_key ORDER BY position ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) AS screen_before
    FROM events_sessionized
    WHERE org_id = {org:String} AND product_id = {product:String} AND date BETWEEN {from:Date32} AND {to:Date32} AND event_type = 'navigation' AND session_key IN (SELECT session_key FROM chosen)
  )
),
visits AS (
  SELECT session_key, screen_id, if(place = 1, '', toString(screen_before)) AS screen_before,
         row_number() OVER (PARTITION BY session_key ORDER BY position DESC) = 1 AS is_last
  FROM navigations
  WHERE NOT stays
),
-- Each visit is reached by a move; the last one is left by one more.
steps AS (
  SELECT session_key, screen_before AS from_screen, toString(screen_id) AS to_screen FROM visits
  UNION ALL
  SELECT session_key, toString(screen_id) AS from_screen, '' AS to_screen FROM visits WHERE is_last
),
-- A session's moves between two screens, so that the session counts once.
of_sessions AS (
  SELECT session_key, from_screen, to_screen, count() AS moves
  FROM steps
  GROUP BY session_key, from_screen, to_screen
)
SELECT from_screen, to_screen,
       sum(of_sessions.moves) AS moves,
       count() AS sessions,
       sum(chosen.frustration_score) AS frustration_sum
FROM of_sessions JOIN chosen ON chosen.session_key = of_sessions.session_key
GROUP BY from_screen, to_screen
