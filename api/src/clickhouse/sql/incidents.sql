-- A page of incidents of any session: newest day first, newest first within it.
SELECT incident_id, session_key, session_id, date, kind, rule_id, rule_version, screen_id, route, element_type,
       element_label_h, started_at, ended_at, event_count, evidence, detail
FROM fact_incidents
WHERE org_id = {org:String} AND product_id = {product:String} AND date BETWEEN {from:Date32} AND {to:Date32}
  AND ({kind:Nullable(String)} IS NULL OR kind = {kind:Nullable(String)})
  AND ({screen:Nullable(String)} IS NULL OR screen_id = {screen:Nullable(String)})
  AND ({after_date:Nullable(Date32)} IS NULL
       OR date < {after_date:Nullable(Date32)}
       OR (date = {after_date:Nullable(Date32)}
           AND (toUnixTimestamp64Micro(started_at) < {after_us:Nullable(Int64)}
                OR (toUnixTimestamp64Micro(started_at) = {after_us:Nullable(Int64)}
                    AND incident_id > {after_key:Nullable(String)}))))
ORDER BY date DESC, started_at DESC, incident_id
LIMIT {limit:UInt64}
