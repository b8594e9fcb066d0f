-- Live rollups feed dashboards within seconds. They may hold a cross-batch duplicate; money never reads them.
-- Percentiles merge DDSketch states (1 % relative error); averages of percentiles are not kept anywhere.
CREATE TABLE IF NOT EXISTS requests_minute
(
    minute DateTime('UTC'),
    tenant LowCardinality(String),
    model LowCardinality(String),
    tier LowCardinality(String),
    region LowCardinality(String),
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
ORDER BY (minute, tenant, model, tier, region, status, observed)
SETTINGS non_replicated_deduplication_window = 10000;

CREATE TABLE IF NOT EXISTS requests_hour
(
    hour DateTime('UTC'),
    tenant LowCardinality(String),
    model LowCardinality(String),
    tier LowCardinality(String),
    region LowCardinality(String),
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
ORDER BY (tenant, hour, model, tier, region, status, observed)
SETTINGS non_replicated_deduplication_window = 10000;

CREATE MATERIALIZED VIEW IF NOT EXISTS requests_to_minute TO requests_minute AS
SELECT
    toStartOfMinute(toDateTime(time, 'UTC')) AS minute,
    tenant, model, tier, region, status, observed,
    count() AS requests,
    sum(input_tokens) AS input_tokens,
    sum(cached_input_tokens) AS cached_input_tokens,
    sum(cache_write_tokens) AS cache_write_tokens,
    sum(output_tokens) AS output_tokens,
    sum(reasoning_tokens) AS reasoning_tokens,
    quantilesDDStateIf(0.01, 0.5, 0.9, 0.95, 0.99)(assumeNotNull(r.queue_ms), isNotNull(r.queue_ms)) AS queue_ms,
    quantilesDDStateIf(0.01, 0.5, 0.9, 0.95, 0.99)(assumeNotNull(r.ttft_ms), isNotNull(r.ttft_ms)) AS ttft_ms,
    quantilesDDStateIf(0.01, 0.5, 0.9, 0.95, 0.99)(assumeNotNull(r.tpot_ms), isNotNull(r.tpot_ms)) AS tpot_ms,
    quantilesDDStateIf(0.01, 0.5, 0.9, 0.95, 0.99)(assumeNotNull(r.e2e_ms), isNotNull(r.e2e_ms)) AS e2e_ms
FROM requests AS r
GROUP BY minute, tenant, model, tier, region, status, observed;

-- Cascaded from the minute's rows, so that an event is aggregated once and an hour costs next to nothing.
CREATE MATERIALIZED VIEW IF NOT EXISTS requests_minute_to_hour TO requests_hour AS
SELECT
    toStartOfHour(m.minute) AS hour,
    tenant, model, tier, region, status, observed,
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
GROUP BY hour, tenant, model, tier, region, status, observed;
