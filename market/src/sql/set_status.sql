-- A version's status, and when it became so.
UPDATE pack_versions SET
    status = $3,
    activated_at_ms = CASE WHEN $3 = 'active' THEN $4 ELSE activated_at_ms END,
    deprecated_at_ms = CASE WHEN $3 = 'deprecated' THEN $4 ELSE deprecated_at_ms END,
    revoked_at_ms = CASE WHEN $3 = 'revoked' THEN $4 ELSE revoked_at_ms END
WHERE pack_id = $1 AND version = $2
