-- Every release of every product, for the cache.
SELECT org_id, product_id, version_tag, min(first_seen_at) AS first_seen_at, max(released_at) AS released_at
FROM dim_releases
GROUP BY org_id, product_id, version_tag
ORDER BY org_id, product_id, first_seen_at DESC, version_tag
