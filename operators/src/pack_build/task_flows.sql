-- A row for each completed task: in the cell of its type and archetype, the step types of its screens in order.
WITH named AS (
    SELECT
        t.org_id, t.product_id, t.user_hash, t.session_key, t.task_no, t.task_type, t.duration_ms, t.frustration_score,
        e.position, step_type(e.screen_id) AS step
    FROM eligible_tasks t
    JOIN events_sessionized e
        ON e.org_id = t.org_id AND e.product_id = t.product_id AND e.session_key = t.session_key
        AND e.ts BETWEEN t.started_at AND t.completed_at
    WHERE t.completed_at IS NOT NULL AND t.started_at IS NOT NULL AND e.date BETWEEN $from AND $to
        AND e.org_id BETWEEN $first_org AND $last_org
),
moved AS (
    SELECT *, lag(step) OVER (PARTITION BY org_id, product_id, session_key, task_no ORDER BY position) AS before FROM named
),
ordered AS (
    SELECT
        org_id, product_id, user_hash, session_key, task_no, task_type, duration_ms, frustration_score, step, position,
        row_number() OVER (PARTITION BY org_id, product_id, session_key, task_no ORDER BY position) AS place
    FROM moved WHERE step IS DISTINCT FROM before
)
SELECT
    org_id, product_id, user_hash,
    concat_ws(chr(31), task_type, string_agg(step, ' > ' ORDER BY place)) AS cell,
    concat_ws('/', session_key, CAST(task_no AS VARCHAR)) AS session,
    CAST(round(duration_ms / 100.0) AS BIGINT) AS v0,
    CAST(round(frustration_score * 1000) AS BIGINT) AS v1
FROM ordered
WHERE place <= 6
GROUP BY org_id, product_id, user_hash, session_key, task_no, task_type, duration_ms, frustration_score
