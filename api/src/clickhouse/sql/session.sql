-- One session by its key, which names it among all.
SELECT session_key, product_id, date, session_id, session_no, user_hash, start_ts, end_ts, duration_ms, event_count,
       click_count, screen_visits, unique_screens, rage_clicks, dead_clicks, error_clicks, backtracks,
       context_switches, tasks_started, tasks_completed, tasks_failed, abandoned_tasks, error_events,
       frustration_score, efficiency_score, entry_screen, exit_screen, task_types, device_type, os, browser,
       version_tag, segment
FROM fact_sessions
WHERE org_id = {org:String} AND session_key = {session:String}
  AND ({product:Nullable(String)} IS NULL OR product_id = {product:Nullable(String)})
  AND ({from:Nullable(Date32)} IS NULL OR date BETWEEN {from:Nullable(Date32)} AND {to:Nullable(Date32)})
LIMIT 1
