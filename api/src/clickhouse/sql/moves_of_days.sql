-- The sums of a product's days by move.
SELECT from_screen, to_screen, sum(flow.moves) AS moves, sum(flow.sessions) AS sessions,
       sum(flow.frustration_sum) AS frustration_sum
FROM fact_flows AS flow
WHERE org_id = {org:String} AND product_id = {product:String} AND date BETWEEN {from:Date32} AND {to:Date32}
GROUP BY from_screen, to_screen
