-- Days of one product that are not cached.
SELECT from_screen, to_screen, moves, sessions, frustration_sum
FROM fact_flows
WHERE org_id = $org AND product_id = $product AND date BETWEEN $from AND $to
