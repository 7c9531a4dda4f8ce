-- A page of incidents of the chosen sessions: newest day first, newest first within it.
SELECT incident_id, session_key, session_id, date, kind, rule_id, rule_version, screen_id, route, element_type,
       element_label_h, started_at, ended_at, event_count, evidence, detail
FROM fact_incidents
WHERE org_id = $org AND product_id = $product AND date BETWEEN $from AND $to
  AND ($kind IS NULL OR kind = $kind)
  AND ($screen IS NULL OR screen_id = $screen)
  AND ($after_date IS NULL OR date < $after_date
       OR (date = $after_date AND started_at < $after_ts)
       OR (date = $after_date AND started_at = $after_ts AND incident_id > $after_key))
  AND session_key IN (
    SELECT session_key
    FROM fact_sessions
    WHERE org_id = $org AND product_id = $product AND date BETWEEN $from AND $to
      AND ($segment IS NULL OR segment = $segment)
      AND ($version IS NULL OR version_tag = $version)
      AND ($device IS NULL OR device_type = $device)
      AND ($task_type IS NULL OR array_has(task_types, $task_type))
  )
ORDER BY date DESC, started_at DESC, incident_id
LIMIT $limit
