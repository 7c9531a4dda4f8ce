-- Sessions with an event on a path that their product excludes.
SELECT DISTINCT org_id, product_id, session_key
FROM events_sessionized
WHERE date BETWEEN $from AND $to AND org_id BETWEEN $first_org AND $last_org AND path_excluded(org_id, product_id, route)
