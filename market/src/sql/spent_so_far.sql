-- What a pack has spent about one unit in one period.
SELECT COALESCE(SUM(rho), 0.0) AS rho, COALESCE(SUM(delta), 0.0) AS delta
FROM privacy_ledger
WHERE pack_id = $1 AND unit = $2 AND period = $3
