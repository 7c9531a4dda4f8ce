-- What a pack has spent by unit and period, with the budget of the last spend.
SELECT sums.unit, sums.period, sums.rho, sums.delta, sums.versions, last.rho_budget, last.delta_budget
FROM (
    SELECT unit, period, SUM(rho) AS rho, SUM(delta) AS delta, COUNT(DISTINCT version) AS versions, MAX(entry) AS entry
    FROM privacy_ledger
    WHERE pack_id = $1
    GROUP BY unit, period
) AS sums
JOIN privacy_ledger AS last ON last.entry = sums.entry
