-- Objectives of service: how many requests of each minute counted for an objective and how many of them were good, by
-- metering/objectives. A minute that is counted again replaces its row: readers use FINAL. `objective` is metering_objective.counts.
CREATE TABLE IF NOT EXISTS objective_minutes
(
    objective UInt64,
    minute DateTime('UTC') CODEC(Delta, ZSTD),
    good UInt64 CODEC(T64, ZSTD),
    total UInt64 CODEC(T64, ZSTD),
    version UInt64 CODEC(ZSTD) -- when it was counted, in epoch us
)
ENGINE = ReplacingMergeTree(version)
PARTITION BY toYYYYMM(minute)
ORDER BY (objective, minute)
TTL minute + INTERVAL 100 DAY;

-- The same by the hour, added up anew from its minutes whenever one of them is: thirty days are 720 rows.
CREATE TABLE IF NOT EXISTS objective_hours
(
    objective UInt64,
    hour DateTime('UTC') CODEC(Delta, ZSTD),
    good UInt64 CODEC(T64, ZSTD),
    total UInt64 CODEC(T64, ZSTD),
    version UInt64 CODEC(ZSTD)
)
ENGINE = ReplacingMergeTree(version)
PARTITION BY toYear(hour)
ORDER BY (objective, hour)
TTL hour + INTERVAL 400 DAY;

-- The slowest of each cell of time, tenant, model and so on; 0: none says how long it took. The k slowest requests of a range lie in the
-- k cells with the highest values, whatever it is narrowed to: so they are found exactly, by reading these rows and then k cells of
-- `requests` (metering/slow_requests.py). `requests` says how many that are.
DROP VIEW IF EXISTS requests_to_slowest;

CREATE TABLE IF NOT EXISTS slowest_minute
(
    minute DateTime('UTC') CODEC(Delta, ZSTD),
    tenant LowCardinality(String),
    model LowCardinality(String),
    tier LowCardinality(String),
    region LowCardinality(String),
    cluster LowCardinality(String),
    ttft_ms SimpleAggregateFunction(max, Float32) CODEC(ZSTD),
    tpot_ms SimpleAggregateFunction(max, Float32) CODEC(ZSTD),
    e2e_ms SimpleAggregateFunction(max, Float32) CODEC(ZSTD),
    requests SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD)
)
ENGINE = AggregatingMergeTree
PARTITION BY toYYYYMM(minute)
ORDER BY (minute, tenant, model, tier, region, cluster)
TTL minute + INTERVAL 35 DAY
SETTINGS non_replicated_deduplication_window = 10000;

CREATE TABLE IF NOT EXISTS slowest_hour
(
    hour DateTime('UTC') CODEC(Delta, ZSTD),
    tenant LowCardinality(String),
    model LowCardinality(String),
    tier LowCardinality(String),
    region LowCardinality(String),
    cluster LowCardinality(String),
    ttft_ms SimpleAggregateFunction(max, Float32) CODEC(ZSTD),
    tpot_ms SimpleAggregateFunction(max, Float32) CODEC(ZSTD),
    e2e_ms SimpleAggregateFunction(max, Float32) CODEC(ZSTD),
    requests SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD)
)
ENGINE = AggregatingMergeTree
PARTITION BY toYYYYMM(hour)
ORDER BY (hour, tenant, model, tier, region, cluster)
SETTINGS non_replicated_deduplication_window = 10000;

CREATE TABLE IF NOT EXISTS slowest_day
(
    day DateTime('UTC') CODEC(Delta, ZSTD),
    tenant LowCardinality(String),
    model LowCardinality(String),
    tier LowCardinality(String),
    region LowCardinality(String),
    cluster LowCardinality(String),
    ttft_ms SimpleAggregateFunction(max, Float32) CODEC(ZSTD),
    tpot_ms SimpleAggregateFunction(max, Float32) CODEC(ZSTD),
    e2e_ms SimpleAggregateFunction(max, Float32) CODEC(ZSTD),
    requests SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD)
)
ENGINE = AggregatingMergeTree
PARTITION BY toYear(day)
ORDER BY (day, tenant, model, tier, region, cluster)
SETTINGS non_replicated_deduplication_window = 10000;

CREATE MATERIALIZED VIEW IF NOT EXISTS slowest_minute_to_hour TO slowest_hour AS
SELECT toStartOfHour(m.minute) AS hour, tenant, model, tier, region, cluster,
    max(m.ttft_ms) AS ttft_ms, max(m.tpot_ms) AS tpot_ms, max(m.e2e_ms) AS e2e_ms, sum(m.requests) AS requests
FROM slowest_minute AS m
GROUP BY hour, tenant, model, tier, region, cluster;

CREATE MATERIALIZED VIEW IF NOT EXISTS slowest_hour_to_day TO slowest_day AS
SELECT toStartOfDay(h.hour) AS day, tenant, model, tier, region, cluster,
    max(h.ttft_ms) AS ttft_ms, max(h.tpot_ms) AS tpot_ms, max(h.e2e_ms) AS e2e_ms, sum(h.requests) AS requests
FROM slowest_hour AS h
GROUP BY day, tenant, model, tier, region, cluster;

-- What was there before, through the views above. Migrations run while nothing is ingested.
TRUNCATE TABLE slowest_minute;
TRUNCATE TABLE slowest_hour;
TRUNCATE TABLE slowest_day;

INSERT INTO slowest_minute (minute, tenant, model, tier, region, cluster, ttft_ms, tpot_ms, e2e_ms, requests)
SELECT toStartOfMinute(toDateTime(r.time, 'UTC')) AS minute, tenant, model, tier, region, cluster,
    ifNull(max(r.ttft_ms), 0) AS ttft_ms, ifNull(max(r.tpot_ms), 0) AS tpot_ms, ifNull(max(r.e2e_ms), 0) AS e2e_ms,
    count() AS requests
FROM requests AS r
WHERE NOT observed
GROUP BY minute, tenant, model, tier, region, cluster
SETTINGS max_bytes_before_external_group_by = 1000000000, max_partitions_per_insert_block = 0;

CREATE MATERIALIZED VIEW IF NOT EXISTS requests_to_slowest TO slowest_minute AS
SELECT toStartOfMinute(toDateTime(r.time, 'UTC')) AS minute, tenant, model, tier, region, cluster,
    ifNull(max(r.ttft_ms), 0) AS ttft_ms, ifNull(max(r.tpot_ms), 0) AS tpot_ms, ifNull(max(r.e2e_ms), 0) AS e2e_ms,
    count() AS requests
FROM requests AS r
WHERE NOT observed
GROUP BY minute, tenant, model, tier, region, cluster;
