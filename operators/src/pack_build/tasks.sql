-- Tasks of the window with their sessions, of products that contribute; without what these excluded.
SELECT
    t.org_id, t.product_id, s.user_hash, t.session_key, t.task_no, t.date, t.task_type, t.flow_complexity, t.clicks,
    t.duration_ms, t.started_at, t.completed_at, s.frustration_score, s.efficiency_score
FROM fact_tasks t
JOIN fact_sessions s
    ON s.org_id = t.org_id AND s.product_id = t.product_id AND s.date = t.date AND s.session_key = t.session_key
JOIN eligible e ON e.org_id = t.org_id AND e.product_id = t.product_id
LEFT ANTI JOIN excluded_segments x
    ON x.org_id = t.org_id AND x.product_id = t.product_id AND x.segment = s.segment
LEFT ANTI JOIN excluded_sessions y
    ON y.org_id = t.org_id AND y.product_id = t.product_id AND y.session_key = t.session_key
WHERE t.date BETWEEN $from AND $to AND s.date BETWEEN $from AND $to
