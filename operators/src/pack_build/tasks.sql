-- Tasks of the slice with their sessions, which are held in memory; without what their products excluded.
SELECT
    t.org_id, t.product_id, s.user_hash, t.session_key, t.task_no, t.date, t.task_type, t.flow_complexity, t.clicks,
    t.duration_ms, t.started_at, t.completed_at, s.frustration_score, s.efficiency_score
FROM fact_sessions s
JOIN fact_tasks t
    ON t.session_key = s.session_key AND t.org_id = s.org_id AND t.product_id = s.product_id AND t.date = s.date
LEFT ANTI JOIN excluded_sessions x
    ON x.session_key = t.session_key AND x.org_id = t.org_id AND x.product_id = t.product_id
WHERE t.date BETWEEN $from AND $to AND s.date BETWEEN $from AND $to
    AND t.org_id BETWEEN $first_org AND $last_org AND s.org_id BETWEEN $first_org AND $last_org
    AND contributes(t.org_id, t.product_id, NULL) AND contributes(s.org_id, s.product_id, s.segment)
    AND of_part(s.user_hash)
