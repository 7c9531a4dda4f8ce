-- A row for each task in the seven days before or after a release, both of which lie in the window.
WITH released AS (
    SELECT org_id, product_id, day FROM (
        SELECT org_id, product_id, CAST(coalesce(max(released_at), min(first_seen_at)) AS DATE) AS day
        FROM dim_releases GROUP BY org_id, product_id, version_tag
    ) WHERE day BETWEEN CAST($from AS DATE) + INTERVAL '7' DAY AND CAST($to AS DATE) - INTERVAL '6' DAY
),
compared AS (
    SELECT t.*, t.date >= r.day AS after
    FROM released r
    JOIN eligible_tasks t ON r.org_id = t.org_id AND r.product_id = t.product_id
    WHERE t.date >= r.day - INTERVAL '7' DAY AND t.date <= r.day + INTERVAL '6' DAY
)
SELECT
    org_id, product_id, user_hash,
    concat_ws(chr(31), '7', task_type) AS cell,
    concat_ws('/', session_key, CAST(task_no AS VARCHAR), CASE WHEN after THEN 'after' ELSE 'before' END) AS session,
    CASE WHEN NOT after THEN CAST(round(frustration_score * 1000) AS BIGINT) END AS v0,
    CASE WHEN after THEN CAST(round(frustration_score * 1000) AS BIGINT) END AS v1,
    CASE WHEN NOT after THEN CAST(round(efficiency_score * 1000) AS BIGINT) END AS v2,
    CASE WHEN after THEN CAST(round(efficiency_score * 1000) AS BIGINT) END AS v3
FROM compared
