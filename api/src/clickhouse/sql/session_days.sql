-- The chosen sessions by day and version.
SELECT date, version_tag,
       count() AS sessions,
       sum(frustration_score) AS frustration_sum,
       sum(efficiency_score) AS efficiency_sum
FROM fact_sessions
WHERE org_id = {org:String} AND product_id = {product:String} AND date BETWEEN {from:Date32} AND {to:Date32}
  AND ({segment:Nullable(String)} IS NULL OR segment = {segment:Nullable(String)})
  AND ({version:Nullable(String)} IS NULL OR version_tag = {version:Nullable(String)})
  AND ({device:Nullable(String)} IS NULL OR device_type = {device:Nullable(String)})
  AND ({task_type:Nullable(String)} IS NULL OR has(task_types, {task_type:Nullable(String)}))
GROUP BY date, version_tag
ORDER BY date, version_tag
