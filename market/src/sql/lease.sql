-- Takes a lease that is free, expired or the holder's own; no row changes otherwise.
INSERT INTO leases (name, holder, until_ms)
VALUES ($1, $2, $3)
ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, until_ms = excluded.until_ms
WHERE leases.holder = excluded.holder OR leases.until_ms <= $4
