-- A row for each task, in the cell of its day, type and complexity.
SELECT
    org_id, product_id, user_hash,
    concat_ws(chr(31), CAST(date AS VARCHAR), task_type, CAST(flow_complexity AS VARCHAR)) AS cell,
    concat_ws('/', session_key, CAST(task_no AS VARCHAR)) AS session,
    clicks AS v0,
    CAST(round(duration_ms / 100.0) AS BIGINT) AS v1,
    CAST(round(frustration_score * 1000) AS BIGINT) AS v2
FROM eligible_tasks
