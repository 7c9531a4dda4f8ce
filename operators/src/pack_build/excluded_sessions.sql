-- Sessions that touched a path which their product keeps to itself.
SELECT DISTINCT e.org_id, e.product_id, e.session_key
FROM events_sessionized e
JOIN excluded_paths p ON p.org_id = e.org_id AND p.product_id = e.product_id
WHERE starts_with(e.route, p.path) AND e.date BETWEEN $from AND $to
