-- One row per received event, duplicates included: they are evidence. Readers that need exactness deduplicate by identity.
-- The sort key starts with the tenant because money and the portal read one tenant over a range of time.
CREATE TABLE IF NOT EXISTS requests
(
    tenant LowCardinality(String),
    time DateTime64(3, 'UTC') CODEC(Delta, ZSTD),
    id String CODEC(ZSTD),
    source LowCardinality(String),
    time_given Bool, -- false: the sender gave no time, `time` is the arrival and not part of the content
    observed Bool, -- true: came by an observing key, so it is charted and never billed
    ingested_at DateTime64(6, 'UTC') CODEC(Delta, ZSTD), -- stamped once, at acceptance
    batch UUID CODEC(ZSTD),
    row UInt32 CODEC(Delta, ZSTD),
    -- A narrow stand-in for (tenant, source, id) when looking for duplicates; equal hashes are compared in full.
    identity UInt64 MATERIALIZED cityHash64(tenant, source, id) CODEC(NONE),
    project LowCardinality(String),
    api_key_id LowCardinality(String),
    end_user String CODEC(ZSTD),
    model LowCardinality(String),
    operation LowCardinality(String),
    tier LowCardinality(String),
    status LowCardinality(String), -- ok, error, cancelled
    finish_reason LowCardinality(String),
    input_tokens UInt64 CODEC(T64, ZSTD), -- all prompt tokens, cached reads and cache writes included
    cached_input_tokens UInt64 CODEC(T64, ZSTD),
    cache_write_tokens UInt64 CODEC(T64, ZSTD),
    output_tokens UInt64 CODEC(T64, ZSTD), -- reasoning included
    reasoning_tokens UInt64 CODEC(T64, ZSTD),
    queue_ms Nullable(Float32) CODEC(ZSTD),
    ttft_ms Nullable(Float32) CODEC(ZSTD), -- queueing included
    tpot_ms Nullable(Float32) CODEC(ZSTD),
    e2e_ms Nullable(Float32) CODEC(ZSTD),
    region LowCardinality(String),
    cluster LowCardinality(String),
    node LowCardinality(String),
    engine LowCardinality(String),
    gpus Array(LowCardinality(String)),
    stream Bool,
    attributes Map(LowCardinality(String), String) CODEC(ZSTD),
    -- Unsealed usage is read by arrival: within a sorted part, neighbours arrived together.
    INDEX by_arrival ingested_at TYPE minmax GRANULARITY 1
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(time)
ORDER BY (tenant, time, id)
-- An insert token is remembered this many blocks back, so a retried group is inserted once.
SETTINGS non_replicated_deduplication_window = 10000;
