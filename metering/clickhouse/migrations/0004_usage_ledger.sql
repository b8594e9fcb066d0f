-- The append-only usage ledger: what money reads. Each seal adds the deltas of the events that arrived in its interval,
-- deduplicated by identity, in 15-minute UTC buckets of the time of use. Late events add rows; no row is ever changed.
-- Rows count only if their seal is completed in PostgreSQL (see metering/ledger.py).
CREATE TABLE IF NOT EXISTS usage_ledger
(
    tenant LowCardinality(String),
    bucket DateTime('UTC') CODEC(Delta, ZSTD),
    seal UInt64 CODEC(ZSTD),
    project LowCardinality(String),
    api_key_id LowCardinality(String),
    model LowCardinality(String),
    operation LowCardinality(String),
    tier LowCardinality(String),
    region LowCardinality(String),
    status LowCardinality(String),
    context_band UInt32, -- upper edge in tokens of the request's input (32000, 64000, ...); 4294967295 above the last
    requests UInt64,
    input_tokens UInt64,
    cached_input_tokens UInt64,
    cache_write_tokens UInt64,
    output_tokens UInt64,
    reasoning_tokens UInt64
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(bucket)
ORDER BY (tenant, bucket, model, seal)
SETTINGS non_replicated_deduplication_window = 1000;
