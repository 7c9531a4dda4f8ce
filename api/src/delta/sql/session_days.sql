-- The chosen sessions by day and version.
SELECT date, version_tag,
       count(*) AS sessions,
       sum(frustration_score) AS frustration_sum,
       sum(efficiency_score) AS efficiency_sum
FROM fact_sessions
WHERE org_id = $org AND product_id = $product AND date BETWEEN $from AND $to
  AND ($segment IS NULL OR segment = $segment)
  AND ($version IS NULL OR version_tag = $version)
  AND ($device IS NULL OR device_type = $device)
  AND ($task_type IS NULL OR array_has(task_types, $task_type))
GROUP BY date, version_tag
ORDER BY date, version_tag
