-- Every incident of one session.
SELECT incident_id, session_key, session_id, date, kind, rule_id, rule_version, screen_id, route, element_type,
       element_label_h, started_at, ended_at, event_count, evidence, detail
FROM fact_incidents
WHERE org_id = {org:String} AND product_id = {product:String} AND date BETWEEN {from:Date32} AND {to:Date32} AND session_key = {session:String}
ORDER BY started_at, incident_id
