-- A page of sessions, newest first.
SELECT session_key, product_id, date, session_id, session_no, user_hash, start_ts, end_ts, duration_ms, event_count,
       click_count, screen_visits, unique_screens, rage_clicks, dead_clicks, error_clicks, backtracks,
       context_switches, tasks_started, tasks_completed, tasks_failed, abandoned_tasks, error_events,
       frustration_score, efficiency_score, entry_screen, exit_screen, task_types, device_type, os, browser,
       version_tag, segment
FROM fact_sessions
WHERE org_id = {org:String} AND product_id = {product:String} AND date BETWEEN {from:Date32} AND {to:Date32}
  AND ({segment:Nullable(String)} IS NULL OR segment = {segment:Nullable(String)})
  AND ({version:Nullable(String)} IS NULL OR version_tag = {version:Nullable(String)})
  AND ({device:Nullable(String)} IS NULL OR device_type = {device:Nullable(String)})
  AND ({task_type:Nullable(String)} IS NULL OR has(task_types, {task_type:Nullable(String)}))
  AND ({after_us:Nullable(Int64)} IS NULL
       OR toUnixTimestamp64Micro(start_ts) < {after_us:Nullable(Int64)}
       OR (toUnixTimestamp64Micro(start_ts) = {after_us:Nullable(Int64)} AND session_key > {after_key:Nullable(String)}))
ORDER BY start_ts DESC, session_key
LIMIT {limit:UInt64}
