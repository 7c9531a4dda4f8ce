-- Sessions that touched a path which their product keeps to itself.
SELECT DISTINCT org_id, product_id, session_key
FROM events_sessionized
WHERE date BETWEEN $from AND $to AND org_id BETWEEN $first_org AND $last_org AND kept_out(org_id, product_id, route)
