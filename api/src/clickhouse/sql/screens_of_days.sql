-- The sums of a product's days by screen.
SELECT screen_id, min(hotspot.route) AS route, sum(hotspot.sessions) AS sessions, sum(hotspot.visits) AS visits,
       sum(hotspot.frustration_sum) AS frustration_sum, sum(hotspot.efficiency_sum) AS efficiency_sum,
       sum(hotspot.rage_clicks) AS rage_clicks, sum(hotspot.dead_clicks) AS dead_clicks,
       sum(hotspot.error_clicks) AS error_clicks, sum(hotspot.backtracks) AS backtracks,
       sum(hotspot.abandoned_tasks) AS abandoned_tasks, sum(hotspot.dropoffs) AS dropoffs,
       sum(hotspot.time_spent_ms_sum) AS time_spent_ms_sum
FROM fact_screen_hotspots AS hotspot
WHERE org_id = {org:String} AND product_id = {product:String} AND date BETWEEN {from:Date32} AND {to:Date32}
GROUP BY screen_id
