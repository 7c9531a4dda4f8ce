-- The three worst screens of the product that has the worst one, among screens that matter (≥ 1 % of the product's visits).
WITH screens AS (
    SELECT org_id, product_id, screen_id,
           sum(frustration_sum) / sum(sessions) AS friction,
           sum(sessions) AS sessions, sum(visits) AS visits,
           sum(rage_clicks) AS rage_clicks, sum(backtracks) AS backtracks
    FROM fact_screen_hotspots
    GROUP BY org_id, product_id, screen_id
    HAVING sum(sessions) > 0
),
busy AS (
    SELECT *, sum(visits) OVER (PARTITION BY org_id, product_id) AS product_visits FROM screens
),
ranked AS (
    SELECT *, max(friction) OVER (PARTITION BY org_id, product_id) AS worst FROM busy WHERE visits * 100 >= product_visits
)
SELECT org_id, product_id, screen_id, friction, sessions, rage_clicks, backtracks
FROM ranked
ORDER BY worst DESC, org_id, product_id, friction DESC, screen_id
LIMIT 3
