-- Whole days of fact_flows, for the cache.
SELECT org_id, product_id, date, from_screen, to_screen, moves, sessions, frustration_sum
FROM fact_flows
WHERE date BETWEEN $from AND $to
ORDER BY date, org_id, product_id, from_screen, to_screen
