-- The newest day up to a given one on which the product has a session.
SELECT date
FROM fact_sessions
WHERE org_id = {org:String} AND product_id = {product:String} AND date <= {until:Date32}
ORDER BY date DESC
LIMIT 1
