-- The chosen sessions by day and version.
SELECT date, version_tag,
       count() AS sessions,
       sum(frustration_score) AS frustration_sum,
       sum(efficiency_score) AS efficiency_sum
FROM fact_sessions
WHERE org_id = {org:String} AND product_id = {product:String} AND date BETWEEN {from:Date32} AND {to:Date32} /* and of these values */
GROUP BY date, version_tag
ORDER BY date, version_tag
