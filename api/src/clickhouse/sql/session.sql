-- One session by its key, which names it among all.
SELECT session_key, product_id, date, session_id, session_no, user_hash, start_ts, end_ts, duration_ms, event_count,
       click_count, screen_visits, unique_screens, rage_clicks, dead_clicks, error_clicks, backtracks,
       context_switches, tasks_started, tasks_completed, tasks_failed, abandoned_tasks, error_events,
       frustration_score, efficiency_score, entry_screen, exit_screen, task_types, device_type, os, browser,
       version_tag, segment
FROM fact_sessions
WHERE org_id = {org:String} AND session_key = {session:String} /* and there */
LIMIT 1
