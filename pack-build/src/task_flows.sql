-- A row for each completed task, in the cell of its type and archetype: the step types of its screens, in order.
SELECT
    t.org_id, t.product_id, t.user_hash,
    concat_ws(chr(31), t.task_type, archetype(e.position, e.screen_id)) AS cell,
    concat_ws('/', t.session_key, CAST(t.task_no AS VARCHAR)) AS session,
    CAST(round(t.duration_ms / 100.0) AS BIGINT) AS v0,
    CAST(round(t.frustration_score * 1000) AS BIGINT) AS v1
FROM eligible_tasks t
JOIN events_sessionized e
    ON e.org_id = t.org_id AND e.product_id = t.product_id AND e.session_key = t.session_key
    AND e.ts BETWEEN t.started_at AND t.completed_at
WHERE t.completed_at IS NOT NULL AND t.started_at IS NOT NULL AND e.date BETWEEN $from AND $to
    AND e.org_id BETWEEN $first_org AND $last_org
GROUP BY
    t.org_id, t.product_id, t.user_hash, t.session_key, t.task_no, t.task_type, t.duration_ms, t.frustration_score
