-- One spend.
INSERT INTO privacy_ledger (pack_id, version, unit, period, rho, delta, rho_budget, delta_budget, at_ms)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
