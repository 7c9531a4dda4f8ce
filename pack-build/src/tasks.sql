-- Tasks of the slice with their sessions, without excluded ones. The sessions are the build side of the join.
WITH sessions AS (
    SELECT s.org_id, s.product_id, s.session_key, s.date, s.user_hash, s.frustration_score, s.efficiency_score
    FROM excluded_sessions x
    RIGHT ANTI JOIN fact_sessions s
        ON s.session_key = x.session_key AND s.org_id = x.org_id AND s.product_id = x.product_id
    WHERE s.date BETWEEN $from AND $to AND s.org_id BETWEEN $first_org AND $last_org
        AND contributes(s.org_id, s.product_id, s.segment) AND in_partition(s.user_hash)
)
SELECT
    t.org_id, t.product_id, s.user_hash, t.session_key, t.task_no, t.date, t.task_type, t.flow_complexity, t.clicks,
    t.duration_ms, t.started_at, t.completed_at, s.frustration_score, s.efficiency_score
FROM sessions s
JOIN fact_tasks t
    ON t.session_key = s.session_key AND t.org_id = s.org_id AND t.product_id = s.product_id AND t.date = s.date
WHERE t.date BETWEEN $from AND $to AND t.org_id BETWEEN $first_org AND $last_org
    AND contributes(t.org_id, t.product_id, NULL)
