-- A row for each opt-in of each organisation; one without an opt-in for those that have none.
SELECT org_settings.org_id, org_settings.vertical, pack_opt_ins.category, pack_opt_ins.product_id,
       pack_opt_ins.excluded_paths, pack_opt_ins.excluded_segments
FROM org_settings
LEFT JOIN pack_opt_ins ON pack_opt_ins.org_id = org_settings.org_id
