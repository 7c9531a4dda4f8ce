-- Generated from schema/ by `UPDATE_DOCS=1 cargo test -p netcrab-schema`.

CREATE TABLE IF NOT EXISTS events_raw_rows
(
    `org_id` LowCardinality(String) COMMENT 'Organisation the product belongs to.',
    `product_id` LowCardinality(String) COMMENT 'Product that was used.',
    `session_id` String COMMENT 'Random, from the SDK; where empty, user_hash takes its place in the session key.' CODEC(ZSTD),
    `user_hash` String COMMENT 'Visitor, not reversible.' CODEC(ZSTD),
    `event_id` String COMMENT 'Unique per organisation; the de-duplication key.' CODEC(ZSTD),
    `ts` DateTime64(3, 'UTC') COMMENT 'When it happened.' CODEC(Delta, ZSTD),
    `received_at` Nullable(DateTime64(3, 'UTC')) COMMENT 'When the ingestion API took it.' CODEC(Delta, ZSTD),
    `event_type` LowCardinality(String) COMMENT 'What kind of interaction.',
    `seq` Nullable(Int64) COMMENT 'Order among events of one instant: the sender\'s counter, else the place in the file or batch.',
    `screen_id` LowCardinality(String) COMMENT 'Named place in the product.',
    `route` LowCardinality(String) COMMENT 'Path without ids or query, `/leads/:id`.',
    `app_name` LowCardinality(Nullable(String)) COMMENT 'Application within the product.',
    `element_type` LowCardinality(Nullable(String)) COMMENT 'Type of the element, `button`.',
    `element_label_h` LowCardinality(Nullable(String)) COMMENT 'Hash of the element\'s label.',
    `error_code` LowCardinality(Nullable(String)) COMMENT 'Error the visitor met.',
    `os` LowCardinality(Nullable(String)) COMMENT 'Operating system.',
    `browser` LowCardinality(Nullable(String)) COMMENT 'Browser.',
    `device_type` LowCardinality(String) COMMENT 'Kind of device; absent is unknown.',
    `latency_ms` Nullable(Float32) COMMENT 'How long the product took to answer.',
    `page_x` Nullable(Float32) COMMENT 'Where a click fell, from the left.',
    `page_y` Nullable(Float32) COMMENT 'Where a click fell, from the top.',
    `reaction_ms` Nullable(Float32) COMMENT 'Until the page first visibly reacted to a click; null with reaction_observed means not within 2.5 s.',
    `reaction_observed` Bool COMMENT 'The SDK watched for a reaction.',
    `event_name` LowCardinality(Nullable(String)) COMMENT 'Name of a custom event.',
    `task_type` LowCardinality(Nullable(String)) COMMENT 'Task begun or completed; comes with task_phase.',
    `task_phase` LowCardinality(Nullable(String)) COMMENT 'Whether the task begins or ends here.',
    `task_success` Nullable(Bool) COMMENT 'Of a completion.',
    `version_tag` LowCardinality(Nullable(String)) COMMENT 'Release of the product.',
    `segment` LowCardinality(Nullable(String)) COMMENT 'Visitor segment.',
    `extra` Nullable(String) COMMENT 'Whatever else the sender knows.' CODEC(ZSTD),
    `date` Date32 COMMENT 'Day of ts.',
    `shard` UInt32 COMMENT 'The shard that wrote it.',
    `epoch` UInt64 COMMENT 'The epoch that wrote it.'
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(date)
ORDER BY (org_id, product_id, ts, event_id)
SETTINGS non_replicated_deduplication_window = 1000;

CREATE OR REPLACE VIEW events_raw AS
SELECT
    `org_id`,
    `product_id`,
    `session_id`,
    `user_hash`,
    `event_id`,
    `ts`,
    `received_at`,
    `event_type`,
    `seq`,
    `screen_id`,
    `route`,
    `app_name`,
    `element_type`,
    `element_label_h`,
    `error_code`,
    `os`,
    `browser`,
    `device_type`,
    `latency_ms`,
    `page_x`,
    `page_y`,
    `reaction_ms`,
    `reaction_observed`,
    `event_name`,
    `task_type`,
    `task_phase`,
    `task_success`,
    `version_tag`,
    `segment`,
    `extra`,
    `date`
FROM events_raw_rows;

CREATE TABLE IF NOT EXISTS events_sessionized_rows
(
    `org_id` LowCardinality(String) COMMENT 'Organisation the product belongs to.',
    `product_id` LowCardinality(String) COMMENT 'Product that was used.',
    `session_id` String COMMENT 'Random, from the SDK; where empty, user_hash takes its place in the session key.' CODEC(ZSTD),
    `user_hash` String COMMENT 'Visitor, not reversible.' CODEC(ZSTD),
    `event_id` String COMMENT 'Unique per organisation; the de-duplication key.' CODEC(ZSTD),
    `ts` DateTime64(3, 'UTC') COMMENT 'When it happened.' CODEC(Delta, ZSTD),
    `received_at` Nullable(DateTime64(3, 'UTC')) COMMENT 'When the ingestion API took it.' CODEC(Delta, ZSTD),
    `event_type` LowCardinality(String) COMMENT 'What kind of interaction.',
    `seq` Nullable(Int64) COMMENT 'Order among events of one instant: the sender\'s counter, else the place in the file or batch.',
    `screen_id` LowCardinality(String) COMMENT 'Named place in the product.',
    `route` LowCardinality(String) COMMENT 'Path without ids or query, `/leads/:id`.',
    `app_name` LowCardinality(Nullable(String)) COMMENT 'Application within the product.',
    `element_type` LowCardinality(Nullable(String)) COMMENT 'Type of the element, `button`.',
    `element_label_h` LowCardinality(Nullable(String)) COMMENT 'Hash of the element\'s label.',
    `error_code` LowCardinality(Nullable(String)) COMMENT 'Error the visitor met.',
    `os` LowCardinality(Nullable(String)) COMMENT 'Operating system.',
    `browser` LowCardinality(Nullable(String)) COMMENT 'Browser.',
    `device_type` LowCardinality(String) COMMENT 'Kind of device; absent is unknown.',
    `latency_ms` Nullable(Float32) COMMENT 'How long the product took to answer.',
    `page_x` Nullable(Float32) COMMENT 'Where a click fell, from the left.',
    `page_y` Nullable(Float32) COMMENT 'Where a click fell, from the top.',
    `reaction_ms` Nullable(Float32) COMMENT 'Until the page first visibly reacted to a click; null with reaction_observed means not within 2.5 s.',
    `reaction_observed` Bool COMMENT 'The SDK watched for a reaction.',
    `event_name` LowCardinality(Nullable(String)) COMMENT 'Name of a custom event.',
    `task_type` LowCardinality(Nullable(String)) COMMENT 'Task begun or completed; comes with task_phase.',
    `task_phase` LowCardinality(Nullable(String)) COMMENT 'Whether the task begins or ends here.',
    `task_success` Nullable(Bool) COMMENT 'Of a completion.',
    `version_tag` LowCardinality(Nullable(String)) COMMENT 'Release of the product.',
    `segment` LowCardinality(Nullable(String)) COMMENT 'Visitor segment.',
    `extra` Nullable(String) COMMENT 'Whatever else the sender knows.' CODEC(ZSTD),
    `date` Date32 COMMENT 'Day of the session\'s first event.',
    `session_key` String COMMENT 'Stable hash of the session: its key, first ts and first event_id.' CODEC(ZSTD),
    `session_no` Int64 COMMENT 'Number of the session within its key, from 0.',
    `position` Int64 COMMENT 'Number of the event within its session, from 0.',
    `shard` UInt32 COMMENT 'The shard that wrote it.',
    `version` UInt64 COMMENT 'Of the rows with one key the highest holds.',
    `gone` UInt8 COMMENT '1: the row left the table.'
)
ENGINE = ReplacingMergeTree(version, gone)
PARTITION BY toYYYYMM(date)
ORDER BY (org_id, product_id, date, session_key, position)
SETTINGS non_replicated_deduplication_window = 1000;

CREATE OR REPLACE VIEW events_sessionized AS
SELECT
    `org_id`,
    `product_id`,
    `session_id`,
    `user_hash`,
    `event_id`,
    `ts`,
    `received_at`,
    `event_type`,
    `seq`,
    `screen_id`,
    `route`,
    `app_name`,
    `element_type`,
    `element_label_h`,
    `error_code`,
    `os`,
    `browser`,
    `device_type`,
    `latency_ms`,
    `page_x`,
    `page_y`,
    `reaction_ms`,
    `reaction_observed`,
    `event_name`,
    `task_type`,
    `task_phase`,
    `task_success`,
    `version_tag`,
    `segment`,
    `extra`,
    `date`,
    `session_key`,
    `session_no`,
    `position`
FROM events_sessionized_rows FINAL
SETTINGS do_not_merge_across_partitions_select_final = 1;

CREATE TABLE IF NOT EXISTS fact_sessions_rows
(
    `org_id` LowCardinality(String) COMMENT 'Organisation the product belongs to.',
    `product_id` LowCardinality(String) COMMENT 'Product that was used.',
    `date` Date32 COMMENT 'Day of the session\'s first event.',
    `session_key` String COMMENT 'Stable hash of the session: its key, first ts and first event_id.' CODEC(ZSTD),
    `session_id` String COMMENT 'Session id as sent; empty where the sender has none.' CODEC(ZSTD),
    `session_no` Int64 COMMENT 'Number of the session within its key, from 0.',
    `user_hash` String COMMENT 'Visitor, not reversible; of the first event.' CODEC(ZSTD),
    `start_ts` DateTime64(3, 'UTC') COMMENT 'Time of the first event.' CODEC(Delta, ZSTD),
    `end_ts` DateTime64(3, 'UTC') COMMENT 'Time of the last event.' CODEC(Delta, ZSTD),
    `duration_ms` Int64 COMMENT 'end_ts − start_ts.',
    `event_count` Int64 COMMENT 'Events, repeats counted once.',
    `click_count` Int64 COMMENT 'Events of type click.',
    `screen_visits` Int64 COMMENT 'Entries of the navigation sequence.',
    `unique_screens` Int64 COMMENT 'Distinct screens over all events.',
    `rage_clicks` Int64 COMMENT 'Incidents of kind rage_click.',
    `dead_clicks` Int64 COMMENT 'Incidents of kind dead_click.',
    `error_clicks` Int64 COMMENT 'Incidents of kind error_click.',
    `backtracks` Int64 COMMENT 'Incidents of kind backtrack.',
    `context_switches` Int64 COMMENT 'Events of type focus_change.',
    `tasks_started` Int64 COMMENT 'Task starts.',
    `tasks_completed` Int64 COMMENT 'Completions whose task_success is not false.',
    `tasks_failed` Int64 COMMENT 'Completions whose task_success is false.',
    `abandoned_tasks` Int64 COMMENT 'Incidents of kind abandoned_task.',
    `error_events` Int64 COMMENT 'Events with an error_code.',
    `frustration_score` Float64 COMMENT 'sigmoid of the weighted incidents; 0.047 without any.',
    `efficiency_score` Float64 COMMENT 'sigmoid of duration, clicks for each task, and screens seen again.',
    `entry_screen` LowCardinality(Nullable(String)) COMMENT 'Screen of the first visit; null without visits.',
    `exit_screen` LowCardinality(Nullable(String)) COMMENT 'Screen of the last visit; null without visits.',
    `task_types` Array(String) COMMENT 'Distinct task types, sorted.' CODEC(ZSTD),
    `device_type` LowCardinality(Nullable(String)) COMMENT 'First one seen in the session.',
    `os` LowCardinality(Nullable(String)) COMMENT 'First one seen in the session.',
    `browser` LowCardinality(Nullable(String)) COMMENT 'First one seen in the session.',
    `version_tag` LowCardinality(Nullable(String)) COMMENT 'Release of the product; first one seen in the session.',
    `segment` LowCardinality(Nullable(String)) COMMENT 'Visitor segment; first one seen in the session.',
    `row_version` Int64 COMMENT 'Higher replaces lower: 0 provisional, 1 closed, then one more for each repair.',
    `shard` UInt32 COMMENT 'The shard that wrote it.',
    `version` UInt64 COMMENT 'Of the rows with one key the highest holds.',
    `gone` UInt8 COMMENT '1: the row left the table.'
)
ENGINE = ReplacingMergeTree(version, gone)
PARTITION BY toYYYYMM(date)
ORDER BY (org_id, product_id, date, session_key)
SETTINGS non_replicated_deduplication_window = 1000;

CREATE OR REPLACE VIEW fact_sessions AS
SELECT
    `org_id`,
    `product_id`,
    `date`,
    `session_key`,
    `session_id`,
    `session_no`,
    `user_hash`,
    `start_ts`,
    `end_ts`,
    `duration_ms`,
    `event_count`,
    `click_count`,
    `screen_visits`,
    `unique_screens`,
    `rage_clicks`,
    `dead_clicks`,
    `error_clicks`,
    `backtracks`,
    `context_switches`,
    `tasks_started`,
    `tasks_completed`,
    `tasks_failed`,
    `abandoned_tasks`,
    `error_events`,
    `frustration_score`,
    `efficiency_score`,
    `entry_screen`,
    `exit_screen`,
    `task_types`,
    `device_type`,
    `os`,
    `browser`,
    `version_tag`,
    `segment`,
    `row_version`
FROM fact_sessions_rows FINAL
SETTINGS do_not_merge_across_partitions_select_final = 1;

CREATE TABLE IF NOT EXISTS fact_incidents_rows
(
    `org_id` LowCardinality(String) COMMENT 'Organisation the product belongs to.',
    `product_id` LowCardinality(String) COMMENT 'Product that was used.',
    `date` Date32 COMMENT 'Day of the session\'s first event.',
    `incident_id` String COMMENT 'Stable hash of session, kind, rule and first event.' CODEC(ZSTD),
    `session_key` String COMMENT 'Stable hash of the session: its key, first ts and first event_id.' CODEC(ZSTD),
    `session_id` String COMMENT 'Session id as sent; empty where the sender has none.' CODEC(ZSTD),
    `kind` LowCardinality(String) COMMENT 'Which detector found it.',
    `rule_id` LowCardinality(String) COMMENT 'Rule set that found it.',
    `rule_version` LowCardinality(String) COMMENT 'Version of the rule set.',
    `screen_id` LowCardinality(String) COMMENT 'Screen it is filed under.',
    `route` LowCardinality(String) COMMENT 'Route of the first event named.',
    `element_type` LowCardinality(Nullable(String)) COMMENT 'Type of the element clicked; null for backtracks and tasks.',
    `element_label_h` LowCardinality(Nullable(String)) COMMENT 'Hash of the label clicked; null for backtracks and tasks.',
    `started_at` DateTime64(3, 'UTC') COMMENT 'When it began.' CODEC(Delta, ZSTD),
    `ended_at` DateTime64(3, 'UTC') COMMENT 'When it ended.' CODEC(Delta, ZSTD),
    `event_count` Int64 COMMENT 'Events the rule names.',
    `evidence` Array(String) COMMENT 'The events the rule names, in order, at most 50.' CODEC(ZSTD),
    `detail` String COMMENT 'Numbers of the kind; see docs/rules.md.' CODEC(ZSTD),
    `row_version` Int64 COMMENT 'As in fact_sessions.',
    `shard` UInt32 COMMENT 'The shard that wrote it.',
    `version` UInt64 COMMENT 'Of the rows with one key the highest holds.',
    `gone` UInt8 COMMENT '1: the row left the table.'
)
ENGINE = ReplacingMergeTree(version, gone)
PARTITION BY toYYYYMM(date)
ORDER BY (org_id, product_id, date, incident_id)
SETTINGS non_replicated_deduplication_window = 1000;

CREATE OR REPLACE VIEW fact_incidents AS
SELECT
    `org_id`,
    `product_id`,
    `date`,
    `incident_id`,
    `session_key`,
    `session_id`,
    `kind`,
    `rule_id`,
    `rule_version`,
    `screen_id`,
    `route`,
    `element_type`,
    `element_label_h`,
    `started_at`,
    `ended_at`,
    `event_count`,
    `evidence`,
    `detail`,
    `row_version`
FROM fact_incidents_rows FINAL
SETTINGS do_not_merge_across_partitions_select_final = 1;

CREATE TABLE IF NOT EXISTS fact_tasks_rows
(
    `org_id` LowCardinality(String) COMMENT 'Organisation the product belongs to.',
    `product_id` LowCardinality(String) COMMENT 'Product that was used.',
    `date` Date32 COMMENT 'Day of the session\'s first event.',
    `session_key` String COMMENT 'Stable hash of the session: its key, first ts and first event_id.' CODEC(ZSTD),
    `task_no` Int64 COMMENT 'Number of the task within its session, from 0.',
    `task_type` LowCardinality(String) COMMENT 'What the visitor set out to do.',
    `started_at` Nullable(DateTime64(3, 'UTC')) COMMENT 'Time of the start; null for a completion without one.' CODEC(Delta, ZSTD),
    `completed_at` Nullable(DateTime64(3, 'UTC')) COMMENT 'Time of the completion; null without one.' CODEC(Delta, ZSTD),
    `duration_ms` Nullable(Int64) COMMENT 'completed_at − started_at.',
    `clicks` Int64 COMMENT 'Clicks between start and end.',
    `screens` Int64 COMMENT 'Distinct screens between start and end.',
    `success` Nullable(Bool) COMMENT 'task_success is not false; null without a completion.',
    `abandoned` Bool COMMENT 'An abandoned_task incident was filed for it.',
    `flow_complexity` Int32 COMMENT 'By screens: ≤ 2, ≤ 4, ≤ 7, ≤ 12, more.',
    `shard` UInt32 COMMENT 'The shard that wrote it.',
    `version` UInt64 COMMENT 'Of the rows with one key the highest holds.',
    `gone` UInt8 COMMENT '1: the row left the table.'
)
ENGINE = ReplacingMergeTree(version, gone)
PARTITION BY toYYYYMM(date)
ORDER BY (org_id, product_id, date, session_key, task_no)
SETTINGS non_replicated_deduplication_window = 1000;

CREATE OR REPLACE VIEW fact_tasks AS
SELECT
    `org_id`,
    `product_id`,
    `date`,
    `session_key`,
    `task_no`,
    `task_type`,
    `started_at`,
    `completed_at`,
    `duration_ms`,
    `clicks`,
    `screens`,
    `success`,
    `abandoned`,
    `flow_complexity`
FROM fact_tasks_rows FINAL
SETTINGS do_not_merge_across_partitions_select_final = 1;

CREATE TABLE IF NOT EXISTS fact_screen_hotspots_rows
(
    `org_id` LowCardinality(String) COMMENT 'Organisation the product belongs to.',
    `product_id` LowCardinality(String) COMMENT 'Product that was used.',
    `date` Date32 COMMENT 'Day of the session\'s first event.',
    `screen_id` LowCardinality(String) COMMENT 'The screen.',
    `route` SimpleAggregateFunction(min, LowCardinality(String)) COMMENT 'Alphabetically first route on it in these sessions.',
    `sessions` SimpleAggregateFunction(sum, Int64) COMMENT 'Sessions that visited it.',
    `visits` SimpleAggregateFunction(sum, Int64) COMMENT 'Visits to it.',
    `frustration_sum` SimpleAggregateFunction(sum, Float64) COMMENT 'Over the sessions that visited it; divide by sessions.',
    `efficiency_sum` SimpleAggregateFunction(sum, Float64) COMMENT 'Over the sessions that visited it; divide by sessions.',
    `rage_clicks` SimpleAggregateFunction(sum, Int64) COMMENT 'Filed under it.',
    `dead_clicks` SimpleAggregateFunction(sum, Int64) COMMENT 'Filed under it.',
    `error_clicks` SimpleAggregateFunction(sum, Int64) COMMENT 'Filed under it.',
    `backtracks` SimpleAggregateFunction(sum, Int64) COMMENT 'Filed under it.',
    `abandoned_tasks` SimpleAggregateFunction(sum, Int64) COMMENT 'Filed under it.',
    `dropoffs` SimpleAggregateFunction(sum, Int64) COMMENT 'Sessions whose last visit is here.',
    `time_spent_ms_sum` SimpleAggregateFunction(sum, Int64) COMMENT 'Length of its visits; divide by visits.',
    `shard` UInt32 COMMENT 'The shard that wrote it.',
    `epoch` SimpleAggregateFunction(max, UInt64) COMMENT 'The epoch that wrote it.'
)
ENGINE = AggregatingMergeTree
PARTITION BY toYYYYMM(date)
ORDER BY (org_id, product_id, date, screen_id, shard)
SETTINGS non_replicated_deduplication_window = 1000;

CREATE OR REPLACE VIEW fact_screen_hotspots AS
SELECT
    `org_id`,
    `product_id`,
    `date`,
    `screen_id`,
    min(`route`) AS `route`,
    sum(`sessions`) AS `sessions`,
    sum(`visits`) AS `visits`,
    sum(`frustration_sum`) AS `frustration_sum`,
    sum(`efficiency_sum`) AS `efficiency_sum`,
    sum(`rage_clicks`) AS `rage_clicks`,
    sum(`dead_clicks`) AS `dead_clicks`,
    sum(`error_clicks`) AS `error_clicks`,
    sum(`backtracks`) AS `backtracks`,
    sum(`abandoned_tasks`) AS `abandoned_tasks`,
    sum(`dropoffs`) AS `dropoffs`,
    sum(`time_spent_ms_sum`) AS `time_spent_ms_sum`
FROM fact_screen_hotspots_rows
GROUP BY org_id, product_id, date, screen_id
HAVING `sessions` <> 0 OR `visits` <> 0 OR `rage_clicks` <> 0 OR `dead_clicks` <> 0 OR `error_clicks` <> 0 OR `backtracks` <> 0 OR `abandoned_tasks` <> 0 OR `dropoffs` <> 0 OR `time_spent_ms_sum` <> 0;

CREATE TABLE IF NOT EXISTS fact_flows_rows
(
    `org_id` LowCardinality(String) COMMENT 'Organisation the product belongs to.',
    `product_id` LowCardinality(String) COMMENT 'Product that was used.',
    `date` Date32 COMMENT 'Day of the session\'s first event.',
    `from_screen` LowCardinality(String) COMMENT 'Screen left; empty = entry.',
    `to_screen` LowCardinality(String) COMMENT 'Screen reached; empty = exit.',
    `moves` SimpleAggregateFunction(sum, Int64) COMMENT 'How often.',
    `sessions` SimpleAggregateFunction(sum, Int64) COMMENT 'Sessions that made the move.',
    `frustration_sum` SimpleAggregateFunction(sum, Float64) COMMENT 'Over those sessions, once each; divide by sessions.',
    `shard` UInt32 COMMENT 'The shard that wrote it.',
    `epoch` SimpleAggregateFunction(max, UInt64) COMMENT 'The epoch that wrote it.'
)
ENGINE = AggregatingMergeTree
PARTITION BY toYYYYMM(date)
ORDER BY (org_id, product_id, date, from_screen, to_screen, shard)
SETTINGS non_replicated_deduplication_window = 1000;

CREATE OR REPLACE VIEW fact_flows AS
SELECT
    `org_id`,
    `product_id`,
    `date`,
    `from_screen`,
    `to_screen`,
    sum(`moves`) AS `moves`,
    sum(`sessions`) AS `sessions`,
    sum(`frustration_sum`) AS `frustration_sum`
FROM fact_flows_rows
GROUP BY org_id, product_id, date, from_screen, to_screen
HAVING `moves` <> 0 OR `sessions` <> 0;

CREATE TABLE IF NOT EXISTS dim_task_types_rows
(
    `org_id` LowCardinality(String) COMMENT 'Organisation the product belongs to.',
    `product_id` LowCardinality(String) COMMENT 'Product that was used.',
    `task_type` LowCardinality(String) COMMENT 'The task type.',
    `first_seen_at` SimpleAggregateFunction(min, DateTime64(3, 'UTC')) COMMENT 'Time of its first event.' CODEC(Delta, ZSTD),
    `last_seen_at` SimpleAggregateFunction(max, DateTime64(3, 'UTC')) COMMENT 'Time of its last event.' CODEC(Delta, ZSTD),
    `starts` SimpleAggregateFunction(sum, Int64) COMMENT 'Starts in all history.',
    `completions` SimpleAggregateFunction(sum, Int64) COMMENT 'Completions in all history, failed ones included.'
)
ENGINE = AggregatingMergeTree
ORDER BY (org_id, product_id, task_type)
SETTINGS non_replicated_deduplication_window = 1000;

CREATE OR REPLACE VIEW dim_task_types AS
SELECT
    `org_id`,
    `product_id`,
    `task_type`,
    min(`first_seen_at`) AS `first_seen_at`,
    max(`last_seen_at`) AS `last_seen_at`,
    sum(`starts`) AS `starts`,
    sum(`completions`) AS `completions`
FROM dim_task_types_rows
GROUP BY org_id, product_id, task_type
HAVING `starts` <> 0 OR `completions` <> 0;

CREATE TABLE IF NOT EXISTS dim_releases_rows
(
    `org_id` LowCardinality(String) COMMENT 'Organisation the product belongs to.',
    `product_id` LowCardinality(String) COMMENT 'Product that was used.',
    `version_tag` LowCardinality(String) COMMENT 'The release.',
    `first_seen_at` SimpleAggregateFunction(min, DateTime64(3, 'UTC')) COMMENT 'Time of the first event that carries it.' CODEC(Delta, ZSTD),
    `released_at` SimpleAggregateFunction(max, Nullable(DateTime64(3, 'UTC'))) COMMENT 'When it was released, where somebody recorded it.' CODEC(Delta, ZSTD)
)
ENGINE = AggregatingMergeTree
ORDER BY (org_id, product_id, version_tag)
SETTINGS non_replicated_deduplication_window = 1000;

CREATE OR REPLACE VIEW dim_releases AS
SELECT
    `org_id`,
    `product_id`,
    `version_tag`,
    min(`first_seen_at`) AS `first_seen_at`,
    max(`released_at`) AS `released_at`
FROM dim_releases_rows
GROUP BY org_id, product_id, version_tag;

CREATE TABLE IF NOT EXISTS rejects_rows
(
    `file` LowCardinality(String) COMMENT 'File it stood in.',
    `line` Int64 COMMENT 'Line of a text file, row of a Parquet file.',
    `reason` LowCardinality(String) COMMENT 'Stable name of the fault.',
    `field` LowCardinality(Nullable(String)) COMMENT 'Column or key at fault; never its value.',
    `shard` UInt32 COMMENT 'The shard that wrote it.',
    `epoch` UInt64 COMMENT 'The epoch that wrote it.'
)
ENGINE = MergeTree
ORDER BY (file, line)
SETTINGS non_replicated_deduplication_window = 1000;

CREATE OR REPLACE VIEW rejects AS
SELECT
    `file`,
    `line`,
    `reason`,
    `field`
FROM rejects_rows;

CREATE TABLE IF NOT EXISTS mp_ux_friction_daily_rows
(
    `pack_id` LowCardinality(String) COMMENT 'The pack.',
    `version` LowCardinality(String) COMMENT 'The version; it never changes.',
    `date` Date32 COMMENT 'The day.',
    `vertical` LowCardinality(String) COMMENT 'The vertical.',
    `task_type` LowCardinality(String) COMMENT 'What visitors set out to do; OTHER where several were brought together.',
    `flow_complexity` Int64 COMMENT 'By screens: ≤ 2, ≤ 4, ≤ 7, ≤ 12, more.',
    `median_clicks` Nullable(Float64) COMMENT 'Median of clicks in the task.',
    `median_clicks_moe95` Nullable(Float64) COMMENT 'Its margin of error, for the noise on it.',
    `median_duration_s` Nullable(Float64) COMMENT 'Median of the time a completed task took.',
    `median_duration_s_moe95` Nullable(Float64) COMMENT 'Its margin of error, for the noise on it.',
    `mean_frict_score` Nullable(Float64) COMMENT 'Mean of the session\'s frustration score.',
    `mean_frict_score_moe95` Nullable(Float64) COMMENT 'Its margin of error, for the noise on it.',
    `p90_frict_score` Nullable(Float64) COMMENT 'A tenth of the sessions had a higher one.',
    `p90_frict_score_moe95` Nullable(Float64) COMMENT 'Its margin of error, for the noise on it.',
    `sample_sessions` Nullable(Int64) COMMENT 'Sessions counted, after all bounds.',
    `sample_sessions_moe95` Nullable(Int64) COMMENT 'Its margin of error, for the noise on it.',
    `org_count` Nullable(Int64) COMMENT 'Organisations counted, those with few visitors in part.',
    `org_count_moe95` Nullable(Int64) COMMENT 'Its margin of error, for the noise on it.',
    `shard` UInt32 COMMENT 'The shard that wrote it.',
    `epoch` UInt64 COMMENT 'The epoch that wrote it.'
)
ENGINE = MergeTree
ORDER BY (pack_id, version, date, task_type, flow_complexity)
SETTINGS non_replicated_deduplication_window = 1000;

CREATE OR REPLACE VIEW mp_ux_friction_daily AS
SELECT
    `pack_id`,
    `version`,
    `date`,
    `vertical`,
    `task_type`,
    `flow_complexity`,
    `median_clicks`,
    `median_clicks_moe95`,
    `median_duration_s`,
    `median_duration_s_moe95`,
    `mean_frict_score`,
    `mean_frict_score_moe95`,
    `p90_frict_score`,
    `p90_frict_score_moe95`,
    `sample_sessions`,
    `sample_sessions_moe95`,
    `org_count`,
    `org_count_moe95`
FROM mp_ux_friction_daily_rows;

CREATE TABLE IF NOT EXISTS mp_task_flows_rows
(
    `pack_id` LowCardinality(String) COMMENT 'The pack.',
    `version` LowCardinality(String) COMMENT 'The version; it never changes.',
    `date_window` LowCardinality(String) COMMENT 'The days that it covers.',
    `vertical` LowCardinality(String) COMMENT 'The vertical.',
    `task_type` LowCardinality(String) COMMENT 'What visitors set out to do; OTHER where several were brought together.',
    `archetype_id` String COMMENT 'Stable id of the archetype.' CODEC(ZSTD),
    `archetype_label` Nullable(String) COMMENT 'The steps that its sessions share, in order.' CODEC(ZSTD),
    `steps` Nullable(Int64) COMMENT 'How many steps it has; 0 for OTHER.',
    `avg_duration_s` Nullable(Float64) COMMENT 'Mean of the time a completed task took, those above 900 as 900.',
    `avg_duration_s_moe95` Nullable(Float64) COMMENT 'Its margin of error, for the noise on it.',
    `avg_frict_score` Nullable(Float64) COMMENT 'Mean of the session\'s frustration score.',
    `avg_frict_score_moe95` Nullable(Float64) COMMENT 'Its margin of error, for the noise on it.',
    `sample_sessions` Nullable(Int64) COMMENT 'Sessions counted, after all bounds.',
    `sample_sessions_moe95` Nullable(Int64) COMMENT 'Its margin of error, for the noise on it.',
    `org_count` Nullable(Int64) COMMENT 'Organisations counted, those with few visitors in part.',
    `org_count_moe95` Nullable(Int64) COMMENT 'Its margin of error, for the noise on it.',
    `shard` UInt32 COMMENT 'The shard that wrote it.',
    `epoch` UInt64 COMMENT 'The epoch that wrote it.'
)
ENGINE = MergeTree
ORDER BY (pack_id, version, date_window, task_type, archetype_id)
SETTINGS non_replicated_deduplication_window = 1000;

CREATE OR REPLACE VIEW mp_task_flows AS
SELECT
    `pack_id`,
    `version`,
    `date_window`,
    `vertical`,
    `task_type`,
    `archetype_id`,
    `archetype_label`,
    `steps`,
    `avg_duration_s`,
    `avg_duration_s_moe95`,
    `avg_frict_score`,
    `avg_frict_score_moe95`,
    `sample_sessions`,
    `sample_sessions_moe95`,
    `org_count`,
    `org_count_moe95`
FROM mp_task_flows_rows;

CREATE TABLE IF NOT EXISTS mp_release_deltas_rows
(
    `pack_id` LowCardinality(String) COMMENT 'The pack.',
    `version` LowCardinality(String) COMMENT 'The version; it never changes.',
    `date_window` LowCardinality(String) COMMENT 'The days that it covers.',
    `vertical` LowCardinality(String) COMMENT 'The vertical.',
    `release_window` LowCardinality(String) COMMENT 'Days before and after a release that are compared.',
    `task_type` LowCardinality(String) COMMENT 'What visitors set out to do; OTHER where several were brought together.',
    `friction_delta` Nullable(Float64) COMMENT 'Mean frustration score after, less before.',
    `friction_delta_moe95` Nullable(Float64) COMMENT 'Its margin of error, for the noise on it.',
    `efficiency_delta` Nullable(Float64) COMMENT 'Mean efficiency score after, less before.',
    `efficiency_delta_moe95` Nullable(Float64) COMMENT 'Its margin of error, for the noise on it.',
    `sample_sessions` Nullable(Int64) COMMENT 'Sessions counted, after all bounds.',
    `sample_sessions_moe95` Nullable(Int64) COMMENT 'Its margin of error, for the noise on it.',
    `org_count` Nullable(Int64) COMMENT 'Organisations counted, those with few visitors in part.',
    `org_count_moe95` Nullable(Int64) COMMENT 'Its margin of error, for the noise on it.',
    `shard` UInt32 COMMENT 'The shard that wrote it.',
    `epoch` UInt64 COMMENT 'The epoch that wrote it.'
)
ENGINE = MergeTree
ORDER BY (pack_id, version, date_window, release_window, task_type)
SETTINGS non_replicated_deduplication_window = 1000;

CREATE OR REPLACE VIEW mp_release_deltas AS
SELECT
    `pack_id`,
    `version`,
    `date_window`,
    `vertical`,
    `release_window`,
    `task_type`,
    `friction_delta`,
    `friction_delta_moe95`,
    `efficiency_delta`,
    `efficiency_delta_moe95`,
    `sample_sessions`,
    `sample_sessions_moe95`,
    `org_count`,
    `org_count_moe95`
FROM mp_release_deltas_rows;

CREATE TABLE IF NOT EXISTS mp_insight_reports_rows
(
    `pack_id` LowCardinality(String) COMMENT 'The pack.',
    `version` LowCardinality(String) COMMENT 'The version; it never changes.',
    `report_date` Date32 COMMENT 'The last day of the packs it is made from.',
    `vertical` LowCardinality(String) COMMENT 'The vertical.',
    `report_type` LowCardinality(String) COMMENT 'What it is about.',
    `insights` Nullable(String) COMMENT 'Its findings.' CODEC(ZSTD),
    `sample_sessions` Nullable(Int64) COMMENT 'Sessions of the rows it is made from.',
    `org_count` Nullable(Int64) COMMENT 'Fewest organisations of a row it is made from.',
    `shard` UInt32 COMMENT 'The shard that wrote it.',
    `epoch` UInt64 COMMENT 'The epoch that wrote it.'
)
ENGINE = MergeTree
ORDER BY (pack_id, version, report_date, report_type)
SETTINGS non_replicated_deduplication_window = 1000;

CREATE OR REPLACE VIEW mp_insight_reports AS
SELECT
    `pack_id`,
    `version`,
    `report_date`,
    `vertical`,
    `report_type`,
    `insights`,
    `sample_sessions`,
    `org_count`
FROM mp_insight_reports_rows;

CREATE TABLE IF NOT EXISTS netcrab_positions
(
    `table` String COMMENT 'The table.',
    `writer` String COMMENT 'Who writes: a shard, a run or a backfill.',
    `number` Int64 COMMENT 'Its last transaction that the table holds.'
)
ENGINE = ReplacingMergeTree(number)
ORDER BY (table, writer);
