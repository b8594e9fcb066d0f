-- What service was given, in rollups that can be filtered by region, cluster, model, tenant and tier, and read over 90 days in milliseconds.
-- Reading and merging one sketch costs microseconds, so a chart may merge some thousands and no more: hence one row per step for what is
-- asked most, and small granules, since all of a granule's sketches are read where one of them is wanted.
--
--   requests -> requests_minute -> requests_hour  -> tenant_day                   (everything)
--                                                 -> tenants_hour -> tenants_day  (by tenant alone)
--                               -> tenants_minute                                 (the same, of the last day)
--                               -> service_minute -> service_hour -> service_day  (without tenants)
--                                                                 -> cuts_hour -> cuts_day (by one dimension but the tenant, or by some)
--                                                 -> cuts_minute                  (the same, of the last day)
--
-- Minutes by tenant and by cut are made for what was used in the last 26 hours and kept for two days: a replay of months would otherwise write
-- hundreds of sketches for each of its requests. Earlier minutes are read from requests_minute and service_minute.
--
-- Sketches of lengths are kept beside those of latencies where that is cheap, so that any of them can be drawn as a spread: a state of
-- quantilesDD answers for any levels, not only for those in its type. They come from the requests themselves, past the tables of everything,
-- whose rows are so many that two more sketches in each would cost more than all the rest.
--
-- Migrations run while nothing is ingested (`up` and docker-compose see to that), so what is copied here cannot miss an event. All of it can
-- be repeated: views through which new rows come are dropped first and made last, and what is copied is put into a table that is empty.
DROP VIEW IF EXISTS requests_to_minute;
DROP VIEW IF EXISTS requests_minute_to_hour;
DROP VIEW IF EXISTS requests_hour_to_tenant_day;
DROP VIEW IF EXISTS requests_minute_to_tenants;
DROP VIEW IF EXISTS requests_hour_to_tenants;
DROP VIEW IF EXISTS requests_minute_to_service;
DROP VIEW IF EXISTS requests_to_service_lengths;
DROP VIEW IF EXISTS requests_to_tenants_lengths;

-- The two tables of 0002 anew, with clusters, lengths and an order in which one tenant is as quickly found as one quarter of an hour of all.
DROP TABLE IF EXISTS requests_minute_next;

CREATE TABLE IF NOT EXISTS requests_minute_next
(
    minute DateTime('UTC'),
    tenant LowCardinality(String),
    model LowCardinality(String),
    tier LowCardinality(String),
    region LowCardinality(String),
    cluster LowCardinality(String),
    status LowCardinality(String),
    observed Bool,
    requests SimpleAggregateFunction(sum, UInt64),
    input_tokens SimpleAggregateFunction(sum, UInt64),
    cached_input_tokens SimpleAggregateFunction(sum, UInt64),
    cache_write_tokens SimpleAggregateFunction(sum, UInt64),
    output_tokens SimpleAggregateFunction(sum, UInt64),
    reasoning_tokens SimpleAggregateFunction(sum, UInt64),
    queue_ms AggregateFunction(quantilesDD(0.01, 0.5, 0.9, 0.95, 0.99), Float32),
    ttft_ms AggregateFunction(quantilesDD(0.01, 0.5, 0.9, 0.95, 0.99), Float32),
    tpot_ms AggregateFunction(quantilesDD(0.01, 0.5, 0.9, 0.95, 0.99), Float32),
    e2e_ms AggregateFunction(quantilesDD(0.01, 0.5, 0.9, 0.95, 0.99), Float32)
)
ENGINE = AggregatingMergeTree
PARTITION BY toYYYYMM(minute)
ORDER BY (toStartOfFifteenMinutes(minute), tenant, minute, model, tier, region, cluster, status, observed)
SETTINGS non_replicated_deduplication_window = 10000, index_granularity = 256;

-- Each day of requests_minute.minute
INSERT INTO requests_minute_next (minute, tenant, model, tier, region, status, observed, requests, input_tokens, cached_input_tokens, cache_write_tokens, output_tokens, reasoning_tokens, queue_ms, ttft_ms, tpot_ms, e2e_ms)
SELECT minute, tenant, model, tier, region, status, observed, requests, input_tokens, cached_input_tokens, cache_write_tokens, output_tokens, reasoning_tokens, queue_ms, ttft_ms, tpot_ms, e2e_ms FROM requests_minute
WHERE minute >= toDateTime(%(from_s)s, 'UTC') AND minute < toDateTime(%(until_s)s, 'UTC')
SETTINGS insert_deduplicate = 0, optimize_on_insert = 0;

EXCHANGE TABLES requests_minute AND requests_minute_next;

DROP TABLE requests_minute_next;

DROP TABLE IF EXISTS requests_hour_next;

CREATE TABLE IF NOT EXISTS requests_hour_next
(
    hour DateTime('UTC'),
    tenant LowCardinality(String),
    model LowCardinality(String),
    tier LowCardinality(String),
    region LowCardinality(String),
    cluster LowCardinality(String),
    status LowCardinality(String),
    observed Bool,
    requests SimpleAggregateFunction(sum, UInt64),
    input_tokens SimpleAggregateFunction(sum, UInt64),
    cached_input_tokens SimpleAggregateFunction(sum, UInt64),
    cache_write_tokens SimpleAggregateFunction(sum, UInt64),
    output_tokens SimpleAggregateFunction(sum, UInt64),
    reasoning_tokens SimpleAggregateFunction(sum, UInt64),
    queue_ms AggregateFunction(quantilesDD(0.01, 0.5, 0.9, 0.95, 0.99), Float32),
    ttft_ms AggregateFunction(quantilesDD(0.01, 0.5, 0.9, 0.95, 0.99), Float32),
    tpot_ms AggregateFunction(quantilesDD(0.01, 0.5, 0.9, 0.95, 0.99), Float32),
    e2e_ms AggregateFunction(quantilesDD(0.01, 0.5, 0.9, 0.95, 0.99), Float32)
)
ENGINE = AggregatingMergeTree
PARTITION BY toYYYYMM(hour)
ORDER BY (tenant, hour, model, tier, region, cluster, status, observed)
SETTINGS non_replicated_deduplication_window = 10000, index_granularity = 128;

-- Each day of requests_hour.hour
INSERT INTO requests_hour_next (hour, tenant, model, tier, region, status, observed, requests, input_tokens, cached_input_tokens, cache_write_tokens, output_tokens, reasoning_tokens, queue_ms, ttft_ms, tpot_ms, e2e_ms)
SELECT hour, tenant, model, tier, region, status, observed, requests, input_tokens, cached_input_tokens, cache_write_tokens, output_tokens, reasoning_tokens, queue_ms, ttft_ms, tpot_ms, e2e_ms FROM requests_hour
WHERE hour >= toDateTime(%(from_s)s, 'UTC') AND hour < toDateTime(%(until_s)s, 'UTC')
SETTINGS insert_deduplicate = 0, optimize_on_insert = 0;

EXCHANGE TABLES requests_hour AND requests_hour_next;

DROP TABLE requests_hour_next;

-- By tenant alone; what observing keys sent is left out, as in all below.
CREATE TABLE IF NOT EXISTS tenants_minute
(
    tenant LowCardinality(String),
    minute DateTime('UTC'),
    ok SimpleAggregateFunction(sum, UInt64),
    error SimpleAggregateFunction(sum, UInt64),
    cancelled SimpleAggregateFunction(sum, UInt64),
    input_tokens SimpleAggregateFunction(sum, UInt64),
    cached_input_tokens SimpleAggregateFunction(sum, UInt64),
    output_tokens SimpleAggregateFunction(sum, UInt64),
    queue_ms AggregateFunction(quantilesDD(0.01, 0.5, 0.9, 0.95, 0.99), Float32),
    ttft_ms AggregateFunction(quantilesDD(0.01, 0.5, 0.9, 0.95, 0.99), Float32),
    tpot_ms AggregateFunction(quantilesDD(0.01, 0.5, 0.9, 0.95, 0.99), Float32),
    e2e_ms AggregateFunction(quantilesDD(0.01, 0.5, 0.9, 0.95, 0.99), Float32)
)
ENGINE = AggregatingMergeTree
PARTITION BY toDate(minute)
ORDER BY (toStartOfHour(minute), tenant, minute)
TTL minute + INTERVAL 2 DAY
SETTINGS non_replicated_deduplication_window = 10000, index_granularity = 128;

CREATE TABLE IF NOT EXISTS tenants_hour
(
    tenant LowCardinality(String),
    hour DateTime('UTC'),
    ok SimpleAggregateFunction(sum, UInt64),
    error SimpleAggregateFunction(sum, UInt64),
    cancelled SimpleAggregateFunction(sum, UInt64),
    input_tokens SimpleAggregateFunction(sum, UInt64),
    cached_input_tokens SimpleAggregateFunction(sum, UInt64),
    output_tokens SimpleAggregateFunction(sum, UInt64),
    queue_ms AggregateFunction(quantilesDD(0.01, 0.5, 0.9, 0.95, 0.99), Float32),
    ttft_ms AggregateFunction(quantilesDD(0.01, 0.5, 0.9, 0.95, 0.99), Float32),
    tpot_ms AggregateFunction(quantilesDD(0.01, 0.5, 0.9, 0.95, 0.99), Float32),
    e2e_ms AggregateFunction(quantilesDD(0.01, 0.5, 0.9, 0.95, 0.99), Float32),
    input_length AggregateFunction(quantilesDD(0.01, 0.5, 0.9, 0.95, 0.99), Float32),
    output_length AggregateFunction(quantilesDD(0.01, 0.5, 0.9, 0.95, 0.99), Float32)
)
ENGINE = AggregatingMergeTree
PARTITION BY toYYYYMM(hour)
ORDER BY (tenant, hour)
SETTINGS non_replicated_deduplication_window = 10000, index_granularity = 64;

CREATE TABLE IF NOT EXISTS tenants_day
(
    tenant LowCardinality(String),
    day DateTime('UTC'),
    ok SimpleAggregateFunction(sum, UInt64),
    error SimpleAggregateFunction(sum, UInt64),
    cancelled SimpleAggregateFunction(sum, UInt64),
    input_tokens SimpleAggregateFunction(sum, UInt64),
    cached_input_tokens SimpleAggregateFunction(sum, UInt64),
    output_tokens SimpleAggregateFunction(sum, UInt64),
    queue_ms AggregateFunction(quantilesDD(0.01, 0.5, 0.9, 0.95, 0.99), Float32),
    ttft_ms AggregateFunction(quantilesDD(0.01, 0.5, 0.9, 0.95, 0.99), Float32),
    tpot_ms AggregateFunction(quantilesDD(0.01, 0.5, 0.9, 0.95, 0.99), Float32),
    e2e_ms AggregateFunction(quantilesDD(0.01, 0.5, 0.9, 0.95, 0.99), Float32),
    input_length AggregateFunction(quantilesDD(0.01, 0.5, 0.9, 0.95, 0.99), Float32),
    output_length AggregateFunction(quantilesDD(0.01, 0.5, 0.9, 0.95, 0.99), Float32)
)
ENGINE = AggregatingMergeTree
PARTITION BY toYear(day)
ORDER BY (tenant, day)
SETTINGS non_replicated_deduplication_window = 10000, index_granularity = 64;

CREATE TABLE IF NOT EXISTS service_minute
(
    minute DateTime('UTC'),
    model LowCardinality(String),
    tier LowCardinality(String),
    region LowCardinality(String),
    cluster LowCardinality(String),
    ok SimpleAggregateFunction(sum, UInt64),
    error SimpleAggregateFunction(sum, UInt64),
    cancelled SimpleAggregateFunction(sum, UInt64),
    input_tokens SimpleAggregateFunction(sum, UInt64),
    cached_input_tokens SimpleAggregateFunction(sum, UInt64),
    output_tokens SimpleAggregateFunction(sum, UInt64),
    queue_ms AggregateFunction(quantilesDD(0.01, 0.5, 0.9, 0.95, 0.99), Float32),
    ttft_ms AggregateFunction(quantilesDD(0.01, 0.5, 0.9, 0.95, 0.99), Float32),
    tpot_ms AggregateFunction(quantilesDD(0.01, 0.5, 0.9, 0.95, 0.99), Float32),
    e2e_ms AggregateFunction(quantilesDD(0.01, 0.5, 0.9, 0.95, 0.99), Float32),
    input_length AggregateFunction(quantilesDD(0.01, 0.5, 0.9, 0.95, 0.99), Float32),
    output_length AggregateFunction(quantilesDD(0.01, 0.5, 0.9, 0.95, 0.99), Float32)
)
ENGINE = AggregatingMergeTree
PARTITION BY toYYYYMM(minute)
ORDER BY (model, tier, region, cluster, minute)
SETTINGS non_replicated_deduplication_window = 10000, index_granularity = 128;

CREATE TABLE IF NOT EXISTS service_hour
(
    hour DateTime('UTC'),
    model LowCardinality(String),
    tier LowCardinality(String),
    region LowCardinality(String),
    cluster LowCardinality(String),
    ok SimpleAggregateFunction(sum, UInt64),
    error SimpleAggregateFunction(sum, UInt64),
    cancelled SimpleAggregateFunction(sum, UInt64),
    input_tokens SimpleAggregateFunction(sum, UInt64),
    cached_input_tokens SimpleAggregateFunction(sum, UInt64),
    output_tokens SimpleAggregateFunction(sum, UInt64),
    queue_ms AggregateFunction(quantilesDD(0.01, 0.5, 0.9, 0.95, 0.99), Float32),
    ttft_ms AggregateFunction(quantilesDD(0.01, 0.5, 0.9, 0.95, 0.99), Float32),
    tpot_ms AggregateFunction(quantilesDD(0.01, 0.5, 0.9, 0.95, 0.99), Float32),
    e2e_ms AggregateFunction(quantilesDD(0.01, 0.5, 0.9, 0.95, 0.99), Float32),
    input_length AggregateFunction(quantilesDD(0.01, 0.5, 0.9, 0.95, 0.99), Float32),
    output_length AggregateFunction(quantilesDD(0.01, 0.5, 0.9, 0.95, 0.99), Float32)
)
ENGINE = AggregatingMergeTree
PARTITION BY toYYYYMM(hour)
ORDER BY (model, tier, region, cluster, hour)
SETTINGS non_replicated_deduplication_window = 10000, index_granularity = 128;

CREATE TABLE IF NOT EXISTS service_day
(
    day DateTime('UTC'),
    model LowCardinality(String),
    tier LowCardinality(String),
    region LowCardinality(String),
    cluster LowCardinality(String),
    ok SimpleAggregateFunction(sum, UInt64),
    error SimpleAggregateFunction(sum, UInt64),
    cancelled SimpleAggregateFunction(sum, UInt64),
    input_tokens SimpleAggregateFunction(sum, UInt64),
    cached_input_tokens SimpleAggregateFunction(sum, UInt64),
    output_tokens SimpleAggregateFunction(sum, UInt64),
    queue_ms AggregateFunction(quantilesDD(0.01, 0.5, 0.9, 0.95, 0.99), Float32),
    ttft_ms AggregateFunction(quantilesDD(0.01, 0.5, 0.9, 0.95, 0.99), Float32),
    tpot_ms AggregateFunction(quantilesDD(0.01, 0.5, 0.9, 0.95, 0.99), Float32),
    e2e_ms AggregateFunction(quantilesDD(0.01, 0.5, 0.9, 0.95, 0.99), Float32),
    input_length AggregateFunction(quantilesDD(0.01, 0.5, 0.9, 0.95, 0.99), Float32),
    output_length AggregateFunction(quantilesDD(0.01, 0.5, 0.9, 0.95, 0.99), Float32)
)
ENGINE = AggregatingMergeTree
PARTITION BY toYear(day)
ORDER BY (model, tier, region, cluster, day)
SETTINGS non_replicated_deduplication_window = 10000, index_granularity = 128;

-- `cut` says what `name`, `other` and `third` are: 'all' (nothing, ''), a dimension ('model'), or several of them ('model,region').
CREATE TABLE IF NOT EXISTS cuts_minute
(
    cut LowCardinality(String),
    minute DateTime('UTC'),
    name LowCardinality(String),
    other LowCardinality(String),
    third LowCardinality(String),
    ok SimpleAggregateFunction(sum, UInt64),
    error SimpleAggregateFunction(sum, UInt64),
    cancelled SimpleAggregateFunction(sum, UInt64),
    input_tokens SimpleAggregateFunction(sum, UInt64),
    cached_input_tokens SimpleAggregateFunction(sum, UInt64),
    output_tokens SimpleAggregateFunction(sum, UInt64),
    queue_ms AggregateFunction(quantilesDD(0.01, 0.5, 0.9, 0.95, 0.99), Float32),
    ttft_ms AggregateFunction(quantilesDD(0.01, 0.5, 0.9, 0.95, 0.99), Float32),
    tpot_ms AggregateFunction(quantilesDD(0.01, 0.5, 0.9, 0.95, 0.99), Float32),
    e2e_ms AggregateFunction(quantilesDD(0.01, 0.5, 0.9, 0.95, 0.99), Float32),
    input_length AggregateFunction(quantilesDD(0.01, 0.5, 0.9, 0.95, 0.99), Float32),
    output_length AggregateFunction(quantilesDD(0.01, 0.5, 0.9, 0.95, 0.99), Float32)
)
ENGINE = AggregatingMergeTree
PARTITION BY toDate(minute)
ORDER BY (cut, name, other, third, minute)
TTL minute + INTERVAL 2 DAY
SETTINGS non_replicated_deduplication_window = 10000, index_granularity = 128;

CREATE TABLE IF NOT EXISTS cuts_hour
(
    cut LowCardinality(String),
    hour DateTime('UTC'),
    name LowCardinality(String),
    other LowCardinality(String),
    third LowCardinality(String),
    ok SimpleAggregateFunction(sum, UInt64),
    error SimpleAggregateFunction(sum, UInt64),
    cancelled SimpleAggregateFunction(sum, UInt64),
    input_tokens SimpleAggregateFunction(sum, UInt64),
    cached_input_tokens SimpleAggregateFunction(sum, UInt64),
    output_tokens SimpleAggregateFunction(sum, UInt64),
    queue_ms AggregateFunction(quantilesDD(0.01, 0.5, 0.9, 0.95, 0.99), Float32),
    ttft_ms AggregateFunction(quantilesDD(0.01, 0.5, 0.9, 0.95, 0.99), Float32),
    tpot_ms AggregateFunction(quantilesDD(0.01, 0.5, 0.9, 0.95, 0.99), Float32),
    e2e_ms AggregateFunction(quantilesDD(0.01, 0.5, 0.9, 0.95, 0.99), Float32),
    input_length AggregateFunction(quantilesDD(0.01, 0.5, 0.9, 0.95, 0.99), Float32),
    output_length AggregateFunction(quantilesDD(0.01, 0.5, 0.9, 0.95, 0.99), Float32)
)
ENGINE = AggregatingMergeTree
PARTITION BY toYYYYMM(hour)
ORDER BY (cut, name, other, third, hour)
SETTINGS non_replicated_deduplication_window = 10000, index_granularity = 128;

CREATE TABLE IF NOT EXISTS cuts_day
(
    cut LowCardinality(String),
    day DateTime('UTC'),
    name LowCardinality(String),
    other LowCardinality(String),
    third LowCardinality(String),
    ok SimpleAggregateFunction(sum, UInt64),
    error SimpleAggregateFunction(sum, UInt64),
    cancelled SimpleAggregateFunction(sum, UInt64),
    input_tokens SimpleAggregateFunction(sum, UInt64),
    cached_input_tokens SimpleAggregateFunction(sum, UInt64),
    output_tokens SimpleAggregateFunction(sum, UInt64),
    queue_ms AggregateFunction(quantilesDD(0.01, 0.5, 0.9, 0.95, 0.99), Float32),
    ttft_ms AggregateFunction(quantilesDD(0.01, 0.5, 0.9, 0.95, 0.99), Float32),
    tpot_ms AggregateFunction(quantilesDD(0.01, 0.5, 0.9, 0.95, 0.99), Float32),
    e2e_ms AggregateFunction(quantilesDD(0.01, 0.5, 0.9, 0.95, 0.99), Float32),
    input_length AggregateFunction(quantilesDD(0.01, 0.5, 0.9, 0.95, 0.99), Float32),
    output_length AggregateFunction(quantilesDD(0.01, 0.5, 0.9, 0.95, 0.99), Float32)
)
ENGINE = AggregatingMergeTree
PARTITION BY toYear(day)
ORDER BY (cut, name, other, third, day)
SETTINGS non_replicated_deduplication_window = 10000, index_granularity = 128;

CREATE TABLE IF NOT EXISTS tenant_day
(
    tenant LowCardinality(String),
    day DateTime('UTC'),
    model LowCardinality(String),
    tier LowCardinality(String),
    region LowCardinality(String),
    cluster LowCardinality(String),
    ok SimpleAggregateFunction(sum, UInt64),
    error SimpleAggregateFunction(sum, UInt64),
    cancelled SimpleAggregateFunction(sum, UInt64),
    input_tokens SimpleAggregateFunction(sum, UInt64),
    cached_input_tokens SimpleAggregateFunction(sum, UInt64),
    output_tokens SimpleAggregateFunction(sum, UInt64),
    queue_ms AggregateFunction(quantilesDD(0.01, 0.5, 0.9, 0.95, 0.99), Float32),
    ttft_ms AggregateFunction(quantilesDD(0.01, 0.5, 0.9, 0.95, 0.99), Float32),
    tpot_ms AggregateFunction(quantilesDD(0.01, 0.5, 0.9, 0.95, 0.99), Float32),
    e2e_ms AggregateFunction(quantilesDD(0.01, 0.5, 0.9, 0.95, 0.99), Float32)
)
ENGINE = AggregatingMergeTree
PARTITION BY toYear(day)
ORDER BY (tenant, day, model, tier, region, cluster)
SETTINGS non_replicated_deduplication_window = 10000, index_granularity = 128;

TRUNCATE TABLE tenants_minute;
TRUNCATE TABLE tenants_hour;
TRUNCATE TABLE tenants_day;
TRUNCATE TABLE service_minute;
TRUNCATE TABLE service_hour;
TRUNCATE TABLE service_day;
TRUNCATE TABLE cuts_minute;
TRUNCATE TABLE cuts_hour;
TRUNCATE TABLE cuts_day;
TRUNCATE TABLE tenant_day;

CREATE MATERIALIZED VIEW IF NOT EXISTS service_minute_to_hour TO service_hour AS
SELECT
    toStartOfHour(m.minute) AS hour, model, tier, region, cluster,
    sum(m.ok) AS ok,
    sum(m.error) AS error,
    sum(m.cancelled) AS cancelled,
    sum(m.input_tokens) AS input_tokens,
    sum(m.cached_input_tokens) AS cached_input_tokens,
    sum(m.output_tokens) AS output_tokens,
    quantilesDDMergeState(0.01, 0.5, 0.9, 0.95, 0.99)(m.queue_ms) AS queue_ms,
    quantilesDDMergeState(0.01, 0.5, 0.9, 0.95, 0.99)(m.ttft_ms) AS ttft_ms,
    quantilesDDMergeState(0.01, 0.5, 0.9, 0.95, 0.99)(m.tpot_ms) AS tpot_ms,
    quantilesDDMergeState(0.01, 0.5, 0.9, 0.95, 0.99)(m.e2e_ms) AS e2e_ms,
    quantilesDDMergeState(0.01, 0.5, 0.9, 0.95, 0.99)(m.input_length) AS input_length,
    quantilesDDMergeState(0.01, 0.5, 0.9, 0.95, 0.99)(m.output_length) AS output_length
FROM service_minute AS m
GROUP BY hour, model, tier, region, cluster;

CREATE MATERIALIZED VIEW IF NOT EXISTS tenants_hour_to_day TO tenants_day AS
SELECT
    tenant, toStartOfDay(h.hour) AS day,
    sum(h.ok) AS ok,
    sum(h.error) AS error,
    sum(h.cancelled) AS cancelled,
    sum(h.input_tokens) AS input_tokens,
    sum(h.cached_input_tokens) AS cached_input_tokens,
    sum(h.output_tokens) AS output_tokens,
    quantilesDDMergeState(0.01, 0.5, 0.9, 0.95, 0.99)(h.queue_ms) AS queue_ms,
    quantilesDDMergeState(0.01, 0.5, 0.9, 0.95, 0.99)(h.ttft_ms) AS ttft_ms,
    quantilesDDMergeState(0.01, 0.5, 0.9, 0.95, 0.99)(h.tpot_ms) AS tpot_ms,
    quantilesDDMergeState(0.01, 0.5, 0.9, 0.95, 0.99)(h.e2e_ms) AS e2e_ms,
    quantilesDDMergeState(0.01, 0.5, 0.9, 0.95, 0.99)(h.input_length) AS input_length,
    quantilesDDMergeState(0.01, 0.5, 0.9, 0.95, 0.99)(h.output_length) AS output_length
FROM tenants_hour AS h
GROUP BY tenant, day;

CREATE MATERIALIZED VIEW IF NOT EXISTS service_hour_to_day TO service_day AS
SELECT
    toStartOfDay(h.hour) AS day, model, tier, region, cluster,
    sum(h.ok) AS ok,
    sum(h.error) AS error,
    sum(h.cancelled) AS cancelled,
    sum(h.input_tokens) AS input_tokens,
    sum(h.cached_input_tokens) AS cached_input_tokens,
    sum(h.output_tokens) AS output_tokens,
    quantilesDDMergeState(0.01, 0.5, 0.9, 0.95, 0.99)(h.queue_ms) AS queue_ms,
    quantilesDDMergeState(0.01, 0.5, 0.9, 0.95, 0.99)(h.ttft_ms) AS ttft_ms,
    quantilesDDMergeState(0.01, 0.5, 0.9, 0.95, 0.99)(h.tpot_ms) AS tpot_ms,
    quantilesDDMergeState(0.01, 0.5, 0.9, 0.95, 0.99)(h.e2e_ms) AS e2e_ms,
    quantilesDDMergeState(0.01, 0.5, 0.9, 0.95, 0.99)(h.input_length) AS input_length,
    quantilesDDMergeState(0.01, 0.5, 0.9, 0.95, 0.99)(h.output_length) AS output_length
FROM service_hour AS h
GROUP BY day, model, tier, region, cluster;

CREATE MATERIALIZED VIEW IF NOT EXISTS cuts_hour_to_day TO cuts_day AS
SELECT
    cut, toStartOfDay(h.hour) AS day, name, other, third,
    sum(h.ok) AS ok,
    sum(h.error) AS error,
    sum(h.cancelled) AS cancelled,
    sum(h.input_tokens) AS input_tokens,
    sum(h.cached_input_tokens) AS cached_input_tokens,
    sum(h.output_tokens) AS output_tokens,
    quantilesDDMergeState(0.01, 0.5, 0.9, 0.95, 0.99)(h.queue_ms) AS queue_ms,
    quantilesDDMergeState(0.01, 0.5, 0.9, 0.95, 0.99)(h.ttft_ms) AS ttft_ms,
    quantilesDDMergeState(0.01, 0.5, 0.9, 0.95, 0.99)(h.tpot_ms) AS tpot_ms,
    quantilesDDMergeState(0.01, 0.5, 0.9, 0.95, 0.99)(h.e2e_ms) AS e2e_ms,
    quantilesDDMergeState(0.01, 0.5, 0.9, 0.95, 0.99)(h.input_length) AS input_length,
    quantilesDDMergeState(0.01, 0.5, 0.9, 0.95, 0.99)(h.output_length) AS output_length
FROM cuts_hour AS h
GROUP BY cut, day, name, other, third;

CREATE MATERIALIZED VIEW IF NOT EXISTS service_minute_to_cuts TO cuts_minute AS
SELECT
    m.of.1 AS cut, minute, m.of.2 AS name, m.of.3 AS other, m.of.4 AS third,
    sum(m.ok) AS ok,
    sum(m.error) AS error,
    sum(m.cancelled) AS cancelled,
    sum(m.input_tokens) AS input_tokens,
    sum(m.cached_input_tokens) AS cached_input_tokens,
    sum(m.output_tokens) AS output_tokens,
    quantilesDDMergeState(0.01, 0.5, 0.9, 0.95, 0.99)(m.queue_ms) AS queue_ms,
    quantilesDDMergeState(0.01, 0.5, 0.9, 0.95, 0.99)(m.ttft_ms) AS ttft_ms,
    quantilesDDMergeState(0.01, 0.5, 0.9, 0.95, 0.99)(m.tpot_ms) AS tpot_ms,
    quantilesDDMergeState(0.01, 0.5, 0.9, 0.95, 0.99)(m.e2e_ms) AS e2e_ms,
    quantilesDDMergeState(0.01, 0.5, 0.9, 0.95, 0.99)(m.input_length) AS input_length,
    quantilesDDMergeState(0.01, 0.5, 0.9, 0.95, 0.99)(m.output_length) AS output_length
FROM
(
    SELECT *, arrayJoin([
        ('all', '', '', ''), ('model', model, '', ''), ('tier', tier, '', ''),
        ('region', region, '', ''), ('cluster', cluster, '', ''), ('model,tier', model, tier, ''),
        ('model,region', model, region, ''), ('model,cluster', model, cluster, ''), ('tier,region', tier, region, ''),
        ('tier,cluster', tier, cluster, ''), ('region,cluster', region, cluster, ''), ('tier,region,cluster', tier, region, cluster)
    ]) AS of
    FROM service_minute WHERE minute > now() - INTERVAL 26 HOUR
) AS m
GROUP BY cut, minute, name, other, third;

CREATE MATERIALIZED VIEW IF NOT EXISTS service_hour_to_cuts TO cuts_hour AS
SELECT
    m.of.1 AS cut, hour, m.of.2 AS name, m.of.3 AS other, m.of.4 AS third,
    sum(m.ok) AS ok,
    sum(m.error) AS error,
    sum(m.cancelled) AS cancelled,
    sum(m.input_tokens) AS input_tokens,
    sum(m.cached_input_tokens) AS cached_input_tokens,
    sum(m.output_tokens) AS output_tokens,
    quantilesDDMergeState(0.01, 0.5, 0.9, 0.95, 0.99)(m.queue_ms) AS queue_ms,
    quantilesDDMergeState(0.01, 0.5, 0.9, 0.95, 0.99)(m.ttft_ms) AS ttft_ms,
    quantilesDDMergeState(0.01, 0.5, 0.9, 0.95, 0.99)(m.tpot_ms) AS tpot_ms,
    quantilesDDMergeState(0.01, 0.5, 0.9, 0.95, 0.99)(m.e2e_ms) AS e2e_ms,
    quantilesDDMergeState(0.01, 0.5, 0.9, 0.95, 0.99)(m.input_length) AS input_length,
    quantilesDDMergeState(0.01, 0.5, 0.9, 0.95, 0.99)(m.output_length) AS output_length
FROM
(
    SELECT *, arrayJoin([
        ('all', '', '', ''), ('model', model, '', ''), ('tier', tier, '', ''),
        ('region', region, '', ''), ('cluster', cluster, '', ''), ('model,tier', model, tier, ''),
        ('model,region', model, region, ''), ('model,cluster', model, cluster, ''), ('tier,region', tier, region, ''),
        ('tier,cluster', tier, cluster, ''), ('region,cluster', region, cluster, ''), ('tier,region,cluster', tier, region, cluster)
    ]) AS of
    FROM service_hour
) AS m
GROUP BY cut, hour, name, other, third;

-- What was there before, through the views above.
-- Each day of requests_minute.minute
INSERT INTO service_minute (minute, model, tier, region, cluster, ok, error, cancelled, input_tokens, cached_input_tokens, output_tokens, queue_ms, ttft_ms, tpot_ms, e2e_ms)
SELECT
    minute, model, tier, region, cluster,
    sumIf(m.requests, status = 'ok') AS ok,
    sumIf(m.requests, status = 'error') AS error,
    sumIf(m.requests, status = 'cancelled') AS cancelled,
    sum(m.input_tokens) AS input_tokens,
    sum(m.cached_input_tokens) AS cached_input_tokens,
    sum(m.output_tokens) AS output_tokens,
    quantilesDDMergeState(0.01, 0.5, 0.9, 0.95, 0.99)(m.queue_ms) AS queue_ms,
    quantilesDDMergeState(0.01, 0.5, 0.9, 0.95, 0.99)(m.ttft_ms) AS ttft_ms,
    quantilesDDMergeState(0.01, 0.5, 0.9, 0.95, 0.99)(m.tpot_ms) AS tpot_ms,
    quantilesDDMergeState(0.01, 0.5, 0.9, 0.95, 0.99)(m.e2e_ms) AS e2e_ms
FROM requests_minute AS m
WHERE NOT observed
    AND minute >= toDateTime(%(from_s)s, 'UTC') AND minute < toDateTime(%(until_s)s, 'UTC')
GROUP BY minute, model, tier, region, cluster
SETTINGS insert_deduplicate = 0, optimize_on_insert = 0;

-- Each day of requests_minute.minute
INSERT INTO tenants_minute (tenant, minute, ok, error, cancelled, input_tokens, cached_input_tokens, output_tokens, queue_ms, ttft_ms, tpot_ms, e2e_ms)
SELECT
    tenant, minute,
    sumIf(m.requests, status = 'ok') AS ok,
    sumIf(m.requests, status = 'error') AS error,
    sumIf(m.requests, status = 'cancelled') AS cancelled,
    sum(m.input_tokens) AS input_tokens,
    sum(m.cached_input_tokens) AS cached_input_tokens,
    sum(m.output_tokens) AS output_tokens,
    quantilesDDMergeState(0.01, 0.5, 0.9, 0.95, 0.99)(m.queue_ms) AS queue_ms,
    quantilesDDMergeState(0.01, 0.5, 0.9, 0.95, 0.99)(m.ttft_ms) AS ttft_ms,
    quantilesDDMergeState(0.01, 0.5, 0.9, 0.95, 0.99)(m.tpot_ms) AS tpot_ms,
    quantilesDDMergeState(0.01, 0.5, 0.9, 0.95, 0.99)(m.e2e_ms) AS e2e_ms
FROM requests_minute AS m
WHERE NOT observed
    AND minute > now() - INTERVAL 26 HOUR
    AND minute >= toDateTime(%(from_s)s, 'UTC') AND minute < toDateTime(%(until_s)s, 'UTC')
GROUP BY tenant, minute
SETTINGS insert_deduplicate = 0, optimize_on_insert = 0;

-- Each day of requests_hour.hour
INSERT INTO tenants_hour (tenant, hour, ok, error, cancelled, input_tokens, cached_input_tokens, output_tokens, queue_ms, ttft_ms, tpot_ms, e2e_ms)
SELECT
    tenant, hour,
    sumIf(h.requests, status = 'ok') AS ok,
    sumIf(h.requests, status = 'error') AS error,
    sumIf(h.requests, status = 'cancelled') AS cancelled,
    sum(h.input_tokens) AS input_tokens,
    sum(h.cached_input_tokens) AS cached_input_tokens,
    sum(h.output_tokens) AS output_tokens,
    quantilesDDMergeState(0.01, 0.5, 0.9, 0.95, 0.99)(h.queue_ms) AS queue_ms,
    quantilesDDMergeState(0.01, 0.5, 0.9, 0.95, 0.99)(h.ttft_ms) AS ttft_ms,
    quantilesDDMergeState(0.01, 0.5, 0.9, 0.95, 0.99)(h.tpot_ms) AS tpot_ms,
    quantilesDDMergeState(0.01, 0.5, 0.9, 0.95, 0.99)(h.e2e_ms) AS e2e_ms
FROM requests_hour AS h
WHERE NOT observed
    AND hour >= toDateTime(%(from_s)s, 'UTC') AND hour < toDateTime(%(until_s)s, 'UTC')
GROUP BY tenant, hour
SETTINGS insert_deduplicate = 0, optimize_on_insert = 0;

-- Each day of requests.time
INSERT INTO service_minute (model, tier, region, cluster, minute, input_length, output_length)
SELECT
    model, tier, region, cluster, toStartOfMinute(toDateTime(time, 'UTC')) AS minute,
    quantilesDDState(0.01, 0.5, 0.9, 0.95, 0.99)(toFloat32(r.input_tokens)) AS input_length,
    quantilesDDState(0.01, 0.5, 0.9, 0.95, 0.99)(toFloat32(r.output_tokens)) AS output_length
FROM requests AS r
WHERE NOT observed
    AND time >= toDateTime(%(from_s)s, 'UTC') AND time < toDateTime(%(until_s)s, 'UTC')
GROUP BY model, tier, region, cluster, minute
SETTINGS insert_deduplicate = 0, optimize_on_insert = 0;

-- Each day of requests.time
INSERT INTO tenants_hour (tenant, hour, input_length, output_length)
SELECT
    tenant, toStartOfHour(toDateTime(time, 'UTC')) AS hour,
    quantilesDDState(0.01, 0.5, 0.9, 0.95, 0.99)(toFloat32(r.input_tokens)) AS input_length,
    quantilesDDState(0.01, 0.5, 0.9, 0.95, 0.99)(toFloat32(r.output_tokens)) AS output_length
FROM requests AS r
WHERE NOT observed
    AND time >= toDateTime(%(from_s)s, 'UTC') AND time < toDateTime(%(until_s)s, 'UTC')
GROUP BY tenant, hour
SETTINGS insert_deduplicate = 0, optimize_on_insert = 0;

-- Each day of requests_hour.hour
INSERT INTO tenant_day (tenant, day, model, tier, region, cluster, ok, error, cancelled, input_tokens, cached_input_tokens, output_tokens, queue_ms, ttft_ms, tpot_ms, e2e_ms)
SELECT
    tenant, toStartOfDay(h.hour) AS day, model, tier, region, cluster,
    sumIf(h.requests, status = 'ok') AS ok,
    sumIf(h.requests, status = 'error') AS error,
    sumIf(h.requests, status = 'cancelled') AS cancelled,
    sum(h.input_tokens) AS input_tokens,
    sum(h.cached_input_tokens) AS cached_input_tokens,
    sum(h.output_tokens) AS output_tokens,
    quantilesDDMergeState(0.01, 0.5, 0.9, 0.95, 0.99)(h.queue_ms) AS queue_ms,
    quantilesDDMergeState(0.01, 0.5, 0.9, 0.95, 0.99)(h.ttft_ms) AS ttft_ms,
    quantilesDDMergeState(0.01, 0.5, 0.9, 0.95, 0.99)(h.tpot_ms) AS tpot_ms,
    quantilesDDMergeState(0.01, 0.5, 0.9, 0.95, 0.99)(h.e2e_ms) AS e2e_ms
FROM requests_hour AS h
WHERE NOT observed
    AND hour >= toDateTime(%(from_s)s, 'UTC') AND hour < toDateTime(%(until_s)s, 'UTC')
GROUP BY tenant, day, model, tier, region, cluster
SETTINGS insert_deduplicate = 0, optimize_on_insert = 0;

CREATE MATERIALIZED VIEW IF NOT EXISTS requests_minute_to_service TO service_minute AS
SELECT
    minute, model, tier, region, cluster,
    sumIf(m.requests, status = 'ok') AS ok,
    sumIf(m.requests, status = 'error') AS error,
    sumIf(m.requests, status = 'cancelled') AS cancelled,
    sum(m.input_tokens) AS input_tokens,
    sum(m.cached_input_tokens) AS cached_input_tokens,
    sum(m.output_tokens) AS output_tokens,
    quantilesDDMergeState(0.01, 0.5, 0.9, 0.95, 0.99)(m.queue_ms) AS queue_ms,
    quantilesDDMergeState(0.01, 0.5, 0.9, 0.95, 0.99)(m.ttft_ms) AS ttft_ms,
    quantilesDDMergeState(0.01, 0.5, 0.9, 0.95, 0.99)(m.tpot_ms) AS tpot_ms,
    quantilesDDMergeState(0.01, 0.5, 0.9, 0.95, 0.99)(m.e2e_ms) AS e2e_ms
FROM requests_minute AS m
WHERE NOT observed
GROUP BY minute, model, tier, region, cluster;

CREATE MATERIALIZED VIEW IF NOT EXISTS requests_minute_to_tenants TO tenants_minute AS
SELECT
    tenant, minute,
    sumIf(m.requests, status = 'ok') AS ok,
    sumIf(m.requests, status = 'error') AS error,
    sumIf(m.requests, status = 'cancelled') AS cancelled,
    sum(m.input_tokens) AS input_tokens,
    sum(m.cached_input_tokens) AS cached_input_tokens,
    sum(m.output_tokens) AS output_tokens,
    quantilesDDMergeState(0.01, 0.5, 0.9, 0.95, 0.99)(m.queue_ms) AS queue_ms,
    quantilesDDMergeState(0.01, 0.5, 0.9, 0.95, 0.99)(m.ttft_ms) AS ttft_ms,
    quantilesDDMergeState(0.01, 0.5, 0.9, 0.95, 0.99)(m.tpot_ms) AS tpot_ms,
    quantilesDDMergeState(0.01, 0.5, 0.9, 0.95, 0.99)(m.e2e_ms) AS e2e_ms
FROM requests_minute AS m
WHERE NOT observed AND minute > now() - INTERVAL 26 HOUR
GROUP BY tenant, minute;

CREATE MATERIALIZED VIEW IF NOT EXISTS requests_hour_to_tenants TO tenants_hour AS
SELECT
    tenant, hour,
    sumIf(h.requests, status = 'ok') AS ok,
    sumIf(h.requests, status = 'error') AS error,
    sumIf(h.requests, status = 'cancelled') AS cancelled,
    sum(h.input_tokens) AS input_tokens,
    sum(h.cached_input_tokens) AS cached_input_tokens,
    sum(h.output_tokens) AS output_tokens,
    quantilesDDMergeState(0.01, 0.5, 0.9, 0.95, 0.99)(h.queue_ms) AS queue_ms,
    quantilesDDMergeState(0.01, 0.5, 0.9, 0.95, 0.99)(h.ttft_ms) AS ttft_ms,
    quantilesDDMergeState(0.01, 0.5, 0.9, 0.95, 0.99)(h.tpot_ms) AS tpot_ms,
    quantilesDDMergeState(0.01, 0.5, 0.9, 0.95, 0.99)(h.e2e_ms) AS e2e_ms
FROM requests_hour AS h
WHERE NOT observed
GROUP BY tenant, hour;

CREATE MATERIALIZED VIEW IF NOT EXISTS requests_to_service_lengths TO service_minute AS
SELECT
    model, tier, region, cluster, toStartOfMinute(toDateTime(time, 'UTC')) AS minute,
    quantilesDDState(0.01, 0.5, 0.9, 0.95, 0.99)(toFloat32(r.input_tokens)) AS input_length,
    quantilesDDState(0.01, 0.5, 0.9, 0.95, 0.99)(toFloat32(r.output_tokens)) AS output_length
FROM requests AS r
WHERE NOT observed
GROUP BY model, tier, region, cluster, minute;

CREATE MATERIALIZED VIEW IF NOT EXISTS requests_to_tenants_lengths TO tenants_hour AS
SELECT
    tenant, toStartOfHour(toDateTime(time, 'UTC')) AS hour,
    quantilesDDState(0.01, 0.5, 0.9, 0.95, 0.99)(toFloat32(r.input_tokens)) AS input_length,
    quantilesDDState(0.01, 0.5, 0.9, 0.95, 0.99)(toFloat32(r.output_tokens)) AS output_length
FROM requests AS r
WHERE NOT observed
GROUP BY tenant, hour;

CREATE MATERIALIZED VIEW IF NOT EXISTS requests_hour_to_tenant_day TO tenant_day AS
SELECT
    tenant, toStartOfDay(h.hour) AS day, model, tier, region, cluster,
    sumIf(h.requests, status = 'ok') AS ok,
    sumIf(h.requests, status = 'error') AS error,
    sumIf(h.requests, status = 'cancelled') AS cancelled,
    sum(h.input_tokens) AS input_tokens,
    sum(h.cached_input_tokens) AS cached_input_tokens,
    sum(h.output_tokens) AS output_tokens,
    quantilesDDMergeState(0.01, 0.5, 0.9, 0.95, 0.99)(h.queue_ms) AS queue_ms,
    quantilesDDMergeState(0.01, 0.5, 0.9, 0.95, 0.99)(h.ttft_ms) AS ttft_ms,
    quantilesDDMergeState(0.01, 0.5, 0.9, 0.95, 0.99)(h.tpot_ms) AS tpot_ms,
    quantilesDDMergeState(0.01, 0.5, 0.9, 0.95, 0.99)(h.e2e_ms) AS e2e_ms
FROM requests_hour AS h
WHERE NOT observed
GROUP BY tenant, day, model, tier, region, cluster;

CREATE MATERIALIZED VIEW IF NOT EXISTS requests_minute_to_hour TO requests_hour AS
SELECT
    toStartOfHour(m.minute) AS hour, tenant, model, tier, region, cluster, status, observed,
    sum(m.requests) AS requests,
    sum(m.input_tokens) AS input_tokens,
    sum(m.cached_input_tokens) AS cached_input_tokens,
    sum(m.cache_write_tokens) AS cache_write_tokens,
    sum(m.output_tokens) AS output_tokens,
    sum(m.reasoning_tokens) AS reasoning_tokens,
    quantilesDDMergeState(0.01, 0.5, 0.9, 0.95, 0.99)(m.queue_ms) AS queue_ms,
    quantilesDDMergeState(0.01, 0.5, 0.9, 0.95, 0.99)(m.ttft_ms) AS ttft_ms,
    quantilesDDMergeState(0.01, 0.5, 0.9, 0.95, 0.99)(m.tpot_ms) AS tpot_ms,
    quantilesDDMergeState(0.01, 0.5, 0.9, 0.95, 0.99)(m.e2e_ms) AS e2e_ms
FROM requests_minute AS m
GROUP BY hour, tenant, model, tier, region, cluster, status, observed;

CREATE MATERIALIZED VIEW IF NOT EXISTS requests_to_minute TO requests_minute AS
SELECT
    toStartOfMinute(toDateTime(time, 'UTC')) AS minute, tenant, model, tier, region, cluster, status, observed,
    count() AS requests,
    sum(r.input_tokens) AS input_tokens,
    sum(r.cached_input_tokens) AS cached_input_tokens,
    sum(r.cache_write_tokens) AS cache_write_tokens,
    sum(r.output_tokens) AS output_tokens,
    sum(r.reasoning_tokens) AS reasoning_tokens,
    quantilesDDStateIf(0.01, 0.5, 0.9, 0.95, 0.99)(assumeNotNull(r.queue_ms), isNotNull(r.queue_ms)) AS queue_ms,
    quantilesDDStateIf(0.01, 0.5, 0.9, 0.95, 0.99)(assumeNotNull(r.ttft_ms), isNotNull(r.ttft_ms)) AS ttft_ms,
    quantilesDDStateIf(0.01, 0.5, 0.9, 0.95, 0.99)(assumeNotNull(r.tpot_ms), isNotNull(r.tpot_ms)) AS tpot_ms,
    quantilesDDStateIf(0.01, 0.5, 0.9, 0.95, 0.99)(assumeNotNull(r.e2e_ms), isNotNull(r.e2e_ms)) AS e2e_ms
FROM requests AS r
GROUP BY minute, tenant, model, tier, region, cluster, status, observed;
