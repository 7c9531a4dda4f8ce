-- Made from schema/ by `cargo test -p netcrab-schema`.

CREATE TABLE IF NOT EXISTS events_raw
(
    `org_id` LowCardinality(String) COMMENT 'Organisation the product belongs to.',
    `product_id` LowCardinality(String) COMMENT 'Product that was used.',
    `session_id` String CODEC(ZSTD) COMMENT 'Random, from the SDK; where empty, user_hash takes its place in the session key.',
    `user_hash` String CODEC(ZSTD) COMMENT 'Visitor, not reversible.',
    `event_id` String CODEC(ZSTD) COMMENT 'Unique per organisation; the de-duplication key.',
    `ts` DateTime64(3, 'UTC') CODEC(Delta, ZSTD) COMMENT 'When it happened.',
    `received_at` Nullable(DateTime64(3, 'UTC')) CODEC(Delta, ZSTD) COMMENT 'When the ingestion API took it.',
    `event_type` LowCardinality(String) COMMENT 'What kind of interaction.',
    `screen_id` LowCardinality(String) COMMENT 'Named place in the product.',
    `route` LowCardinality(String) COMMENT 'Path without ids or query, `/leads/:id`.',
    `app_name` LowCardinality(Nullable(String)) COMMENT 'Application within the product.',
    `element_type` LowCardinality(Nullable(String)) COMMENT 'Type of the element, `button`.',
    `element_label_h` LowCardinality(Nullable(String)) COMMENT 'Hash of the element\'s label.',
    `error_code` LowCardinality(Nullable(String)) COMMENT 'Error the visitor met.',
    `os` LowCardinality(Nullable(String)) COMMENT 'Operating system.',
    `browser` LowCardinality(Nullable(String)) COMMENT 'Browser.',
    `device_type` LowCardinality(String) COMMENT 'Kind of device.',
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
    `extra` Nullable(String) CODEC(ZSTD) COMMENT 'Whatever else the sender knows.',
    `date` Date32 COMMENT 'Day of ts.'
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(date)
ORDER BY (org_id, product_id, event_id)
SETTINGS non_replicated_deduplication_window = 1000;

CREATE TABLE IF NOT EXISTS events_sessionized
(
    `org_id` LowCardinality(String) COMMENT 'Organisation the product belongs to.',
    `product_id` LowCardinality(String) COMMENT 'Product that was used.',
    `session_id` String CODEC(ZSTD) COMMENT 'Random, from the SDK; where empty, user_hash takes its place in the session key.',
    `user_hash` String CODEC(ZSTD) COMMENT 'Visitor, not reversible.',
    `event_id` String CODEC(ZSTD) COMMENT 'Unique per organisation; the de-duplication key.',
    `ts` DateTime64(3, 'UTC') CODEC(Delta, ZSTD) COMMENT 'When it happened.',
    `received_at` Nullable(DateTime64(3, 'UTC')) CODEC(Delta, ZSTD) COMMENT 'When the ingestion API took it.',
    `event_type` LowCardinality(String) COMMENT 'What kind of interaction.',
    `screen_id` LowCardinality(String) COMMENT 'Named place in the product.',
    `route` LowCardinality(String) COMMENT 'Path without ids or query, `/leads/:id`.',
    `app_name` LowCardinality(Nullable(String)) COMMENT 'Application within the product.',
    `element_type` LowCardinality(Nullable(String)) COMMENT 'Type of the element, `button`.',
    `element_label_h` LowCardinality(Nullable(String)) COMMENT 'Hash of the element\'s label.',
    `error_code` LowCardinality(Nullable(String)) COMMENT 'Error the visitor met.',
    `os` LowCardinality(Nullable(String)) COMMENT 'Operating system.',
    `browser` LowCardinality(Nullable(String)) COMMENT 'Browser.',
    `device_type` LowCardinality(String) COMMENT 'Kind of device.',
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
    `extra` Nullable(String) CODEC(ZSTD) COMMENT 'Whatever else the sender knows.',
    `date` Date32 COMMENT 'Day of the session\'s first event.',
    `session_key` String CODEC(ZSTD) COMMENT 'Stable hash of the session: its key, first ts and first event_id.',
    `session_no` Int64 COMMENT 'Number of the session within its key, from 0.',
    `position` Int64 COMMENT 'Number of the event within its session, from 0.'
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(date)
ORDER BY (org_id, product_id, session_key, position)
SETTINGS non_replicated_deduplication_window = 1000;

CREATE TABLE IF NOT EXISTS fact_sessions
(
    `org_id` LowCardinality(String) COMMENT 'Organisation the product belongs to.',
    `product_id` LowCardinality(String) COMMENT 'Product that was used.',
    `date` Date32 COMMENT 'Day of the session\'s first event.',
    `session_key` String CODEC(ZSTD) COMMENT 'Stable hash of the session: its key, first ts and first event_id.',
    `session_id` String CODEC(ZSTD) COMMENT 'Session id as sent; empty where the sender has none.',
    `session_no` Int64 COMMENT 'Number of the session within its key, from 0.',
    `user_hash` String CODEC(ZSTD) COMMENT 'Visitor, not reversible; of the first event.',
    `start_ts` DateTime64(3, 'UTC') CODEC(Delta, ZSTD) COMMENT 'Time of the first event.',
    `end_ts` DateTime64(3, 'UTC') CODEC(Delta, ZSTD) COMMENT 'Time of the last event.',
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
    `task_types` Array(String) CODEC(ZSTD) COMMENT 'Distinct task types, sorted.',
    `device_type` LowCardinality(Nullable(String)) COMMENT 'First one seen in the session.',
    `os` LowCardinality(Nullable(String)) COMMENT 'First one seen in the session.',
    `browser` LowCardinality(Nullable(String)) COMMENT 'First one seen in the session.',
    `version_tag` LowCardinality(Nullable(String)) COMMENT 'Release of the product; first one seen in the session.',
    `segment` LowCardinality(Nullable(String)) COMMENT 'Visitor segment; first one seen in the session.',
    `row_version` Int64 COMMENT 'Higher replaces lower: 0 provisional, 1 closed, then one more for each repair.'
)
ENGINE = ReplacingMergeTree(row_version)
PARTITION BY toYYYYMM(date)
ORDER BY (org_id, product_id, date, session_key)
SETTINGS non_replicated_deduplication_window = 1000;

CREATE TABLE IF NOT EXISTS fact_incidents
(
    `org_id` LowCardinality(String) COMMENT 'Organisation the product belongs to.',
    `product_id` LowCardinality(String) COMMENT 'Product that was used.',
    `date` Date32 COMMENT 'Day of the session\'s first event.',
    `incident_id` String CODEC(ZSTD) COMMENT 'Stable hash of session, kind, rule and first event.',
    `session_key` String CODEC(ZSTD) COMMENT 'Stable hash of the session: its key, first ts and first event_id.',
    `session_id` String CODEC(ZSTD) COMMENT 'Session id as sent; empty where the sender has none.',
    `kind` LowCardinality(String) COMMENT 'Which detector found it.',
    `rule_id` LowCardinality(String) COMMENT 'Rule set that found it.',
    `rule_version` LowCardinality(String) COMMENT 'Version of the rule set.',
    `screen_id` LowCardinality(String) COMMENT 'Screen it is filed under.',
    `route` LowCardinality(String) COMMENT 'Route of the first event named.',
    `element_type` LowCardinality(Nullable(String)) COMMENT 'Type of the element clicked; null for backtracks and tasks.',
    `element_label_h` LowCardinality(Nullable(String)) COMMENT 'Hash of the label clicked; null for backtracks and tasks.',
    `started_at` DateTime64(3, 'UTC') CODEC(Delta, ZSTD) COMMENT 'When it began.',
    `ended_at` DateTime64(3, 'UTC') CODEC(Delta, ZSTD) COMMENT 'When it ended.',
    `event_count` Int64 COMMENT 'Events the rule names.',
    `evidence` Array(String) CODEC(ZSTD) COMMENT 'The events the rule names, in order, at most 50.',
    `detail` String CODEC(ZSTD) COMMENT 'Numbers of the kind; see docs/rules.md.',
    `row_version` Int64 COMMENT 'As in fact_sessions.'
)
ENGINE = ReplacingMergeTree(row_version)
PARTITION BY toYYYYMM(date)
ORDER BY (org_id, product_id, date, incident_id)
SETTINGS non_replicated_deduplication_window = 1000;

CREATE TABLE IF NOT EXISTS fact_tasks
(
    `org_id` LowCardinality(String) COMMENT 'Organisation the product belongs to.',
    `product_id` LowCardinality(String) COMMENT 'Product that was used.',
    `date` Date32 COMMENT 'Day of the session\'s first event.',
    `session_key` String CODEC(ZSTD) COMMENT 'Stable hash of the session: its key, first ts and first event_id.',
    `task_no` Int64 COMMENT 'Number of the task within its session, from 0.',
    `task_type` LowCardinality(String) COMMENT 'What the visitor set out to do.',
    `started_at` Nullable(DateTime64(3, 'UTC')) CODEC(Delta, ZSTD) COMMENT 'Time of the start; null for a completion without one.',
    `completed_at` Nullable(DateTime64(3, 'UTC')) CODEC(Delta, ZSTD) COMMENT 'Time of the completion; null without one.',
    `duration_ms` Nullable(Int64) COMMENT 'completed_at − started_at.',
    `clicks` Int64 COMMENT 'Clicks between start and end.',
    `screens` Int64 COMMENT 'Distinct screens between start and end.',
    `success` Nullable(Bool) COMMENT 'task_success is not false; null without a completion.',
    `abandoned` Bool COMMENT 'An abandoned_task incident was filed for it.',
    `flow_complexity` Int32 COMMENT 'By screens: ≤ 2, ≤ 4, ≤ 7, ≤ 12, more.'
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(date)
ORDER BY (org_id, product_id, date, session_key, task_no)
SETTINGS non_replicated_deduplication_window = 1000;

CREATE TABLE IF NOT EXISTS fact_screen_hotspots
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
    `time_spent_ms_sum` SimpleAggregateFunction(sum, Int64) COMMENT 'Length of its visits; divide by visits.'
)
ENGINE = AggregatingMergeTree
PARTITION BY toYYYYMM(date)
ORDER BY (org_id, product_id, date, screen_id)
SETTINGS non_replicated_deduplication_window = 1000;

CREATE TABLE IF NOT EXISTS fact_flows
(
    `org_id` LowCardinality(String) COMMENT 'Organisation the product belongs to.',
    `product_id` LowCardinality(String) COMMENT 'Product that was used.',
    `date` Date32 COMMENT 'Day of the session\'s first event.',
    `from_screen` LowCardinality(String) COMMENT 'Screen left; empty = entry.',
    `to_screen` LowCardinality(String) COMMENT 'Screen reached; empty = exit.',
    `moves` SimpleAggregateFunction(sum, Int64) COMMENT 'How often.',
    `sessions` SimpleAggregateFunction(sum, Int64) COMMENT 'Sessions that made the move.',
    `frustration_sum` SimpleAggregateFunction(sum, Float64) COMMENT 'Over those sessions, once each; divide by sessions.'
)
ENGINE = AggregatingMergeTree
PARTITION BY toYYYYMM(date)
ORDER BY (org_id, product_id, date, from_screen, to_screen)
SETTINGS non_replicated_deduplication_window = 1000;

CREATE TABLE IF NOT EXISTS dim_task_types
(
    `org_id` LowCardinality(String) COMMENT 'Organisation the product belongs to.',
    `product_id` LowCardinality(String) COMMENT 'Product that was used.',
    `task_type` LowCardinality(String) COMMENT 'The task type.',
    `first_seen_at` SimpleAggregateFunction(min, DateTime64(3, 'UTC')) CODEC(Delta, ZSTD) COMMENT 'Time of its first event.',
    `last_seen_at` SimpleAggregateFunction(max, DateTime64(3, 'UTC')) CODEC(Delta, ZSTD) COMMENT 'Time of its last event.',
    `starts` SimpleAggregateFunction(sum, Int64) COMMENT 'Starts in all history.',
    `completions` SimpleAggregateFunction(sum, Int64) COMMENT 'Completions in all history, failed ones included.'
)
ENGINE = AggregatingMergeTree
ORDER BY (org_id, product_id, task_type)
SETTINGS non_replicated_deduplication_window = 1000;

CREATE TABLE IF NOT EXISTS dim_releases
(
    `org_id` LowCardinality(String) COMMENT 'Organisation the product belongs to.',
    `product_id` LowCardinality(String) COMMENT 'Product that was used.',
    `version_tag` LowCardinality(String) COMMENT 'The release.',
    `first_seen_at` SimpleAggregateFunction(min, DateTime64(3, 'UTC')) CODEC(Delta, ZSTD) COMMENT 'Time of the first event that carries it.',
    `released_at` SimpleAggregateFunction(max, Nullable(DateTime64(3, 'UTC'))) CODEC(Delta, ZSTD) COMMENT 'When it was released, where somebody recorded it.'
)
ENGINE = AggregatingMergeTree
ORDER BY (org_id, product_id, version_tag)
SETTINGS non_replicated_deduplication_window = 1000;

CREATE TABLE IF NOT EXISTS rejects
(
    `file` LowCardinality(String) COMMENT 'File it stood in.',
    `line` Int64 COMMENT 'Line of a text file, row of a Parquet file.',
    `reason` LowCardinality(String) COMMENT 'Stable name of the fault.',
    `field` LowCardinality(Nullable(String)) COMMENT 'Column or key at fault; never its value.'
)
ENGINE = MergeTree
ORDER BY (file, line)
SETTINGS non_replicated_deduplication_window = 1000;
