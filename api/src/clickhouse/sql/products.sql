-- The organisation's products, by name.
SELECT product_id, min(date) AS first_day, max(date) AS last_day, count() AS sessions
FROM fact_sessions
WHERE org_id = {org:String}
GROUP BY product_id
ORDER BY product_id
