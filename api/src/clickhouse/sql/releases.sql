-- Releases of a product, newest first.
SELECT org_id, product_id, version_tag, first_seen_at, released_at
FROM dim_releases
WHERE org_id = {org:String} AND product_id = {product:String}
ORDER BY first_seen_at DESC, version_tag
