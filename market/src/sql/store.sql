-- A version as it was built, a draft.
INSERT INTO pack_versions (pack_id, version, major, minor, kind, definition, schema_digest, method, input, window_from,
                           window_to, result, status, created_at_ms)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, 'draft', $13)
