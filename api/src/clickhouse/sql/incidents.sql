-- A page of incidents: newest day first, newest first within it.
SELECT incident_id, session_key, session_id, date, kind, rule_id, rule_version, screen_id, route, element_type,
       element_label_h, started_at, ended_at, event_count, evidence, detail
FROM fact_incidents
WHERE org_id = {org:String} AND product_id = {product:String} AND date BETWEEN {from:Date32} AND {to:Date32} /* and of these sessions */ /* and after */
ORDER BY date DESC, started_at DESC, incident_id
LIMIT {limit:UInt64}
