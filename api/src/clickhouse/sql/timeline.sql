-- A page of one session's events, in order.
SELECT position, event_id, ts, event_type, screen_id, route, element_type, element_label_h, error_code, latency_ms,
       reaction_ms, reaction_observed, event_name, task_type, task_phase, task_success
FROM events_sessionized
WHERE org_id = {org:String} AND product_id = {product:String} AND date BETWEEN {from:Date32} AND {to:Date32}
  AND session_key = {session:String} AND position > {after:Int64}
ORDER BY position
LIMIT {limit:UInt64}
