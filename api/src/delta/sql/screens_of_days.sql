-- Days of one product that are not cached.
SELECT screen_id, route, sessions, visits, frustration_sum, efficiency_sum,
       rage_clicks, dead_clicks, error_clicks, backtracks, abandoned_tasks, dropoffs, time_spent_ms_sum
FROM fact_screen_hotspots
WHERE org_id = $org AND product_id = $product AND date BETWEEN $from AND $to
