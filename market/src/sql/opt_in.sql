-- An opt-in in place of the one that stood.
INSERT INTO pack_opt_ins (org_id, category, product_id, excluded_paths, excluded_segments, opted_in_at_ms)
VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (org_id, category, product_id) DO UPDATE SET
    excluded_paths = excluded.excluded_paths,
    excluded_segments = excluded.excluded_segments,
    opted_in_at_ms = excluded.opted_in_at_ms
