-- Versions of a pack, without their results; whoever asks adds which, or in what order.
SELECT pack_id, version, major, minor, kind, definition, schema_digest, method, input, window_from, window_to,
       length(result) AS result_bytes, status, created_at_ms, activated_at_ms, deprecated_at_ms, revoked_at_ms
FROM pack_versions
WHERE pack_id = $1
