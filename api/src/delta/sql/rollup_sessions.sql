-- Sessions by owner, day and version: the part of fact_sessions that is cached.
SELECT org_id, product_id, date, version_tag,
       count(*) AS sessions,
       sum(frustration_score) AS frustration_sum,
       sum(efficiency_score) AS efficiency_sum
FROM fact_sessions
WHERE date BETWEEN $from AND $to
GROUP BY org_id, product_id, date, version_tag
ORDER BY date, org_id, product_id, version_tag
