-- Whole days of fact_screen_hotspots, for the cache.
SELECT org_id, product_id, date, screen_id, route, sessions, visits, frustration_sum, efficiency_sum,
       rage_clicks, dead_clicks, error_clicks, backtracks, abandoned_tasks, dropoffs, time_spent_ms_sum
FROM fact_screen_hotspots
WHERE date BETWEEN $from AND $to
ORDER BY date, org_id, product_id, screen_id
