-- The vertical of an organisation, whether it is known or new.
INSERT INTO org_settings (org_id, vertical, changed_at_ms)
VALUES ($1, $2, $3)
ON CONFLICT (org_id) DO UPDATE SET vertical = excluded.vertical, changed_at_ms = excluded.changed_at_ms
