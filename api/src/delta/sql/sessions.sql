-- A page of sessions, newest first.
SELECT session_key, product_id, date, session_id, session_no, user_hash, start_ts, end_ts, duration_ms, event_count,
       click_count, screen_visits, unique_screens, rage_clicks, dead_clicks, error_clicks, backtracks,
       context_switches, tasks_started, tasks_completed, tasks_failed, abandoned_tasks, error_events,
       frustration_score, efficiency_score, entry_screen, exit_screen, task_types, device_type, os, browser,
       version_tag, segment
FROM fact_sessions
WHERE org_id = $org AND product_id = $product AND date BETWEEN $from AND $to
  AND ($segment IS NULL OR segment = $segment)
  AND ($version IS NULL OR version_tag = $version)
  AND ($device IS NULL OR device_type = $device)
  AND ($task_type IS NULL OR array_has(task_types, $task_type))
  AND ($after_ts IS NULL OR start_ts < $after_ts OR (start_ts = $after_ts AND session_key > $after_key))
ORDER BY start_ts DESC, session_key
LIMIT $limit
