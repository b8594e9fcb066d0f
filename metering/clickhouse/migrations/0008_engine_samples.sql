-- Samples of inference engines as nodes report them (metering/agent/samples.py says what each column means), one row per sample. A
-- sender's retry leaves a sample twice: readers take (node, engine, time) once.
CREATE TABLE IF NOT EXISTS engine_samples
(
    node LowCardinality(String),
    engine LowCardinality(String),
    time DateTime64(3, 'UTC') CODEC(Delta, ZSTD),
    ingested_at DateTime64(6, 'UTC') CODEC(Delta, ZSTD),
    batch UUID CODEC(ZSTD),
    row UInt32 CODEC(Delta, ZSTD),
    api_key LowCardinality(String), -- prefix of the credential that sent it
    engine_kind LowCardinality(String),
    up Bool, -- false: it did not answer, and nothing else is known
    model LowCardinality(String),
    region LowCardinality(String),
    cluster LowCardinality(String),
    simulated Bool,
    gpus Array(LowCardinality(String)) CODEC(ZSTD),
    running Nullable(Float32) CODEC(ZSTD),
    waiting Nullable(Float32) CODEC(ZSTD),
    kv_cache_usage Nullable(Float32) CODEC(ZSTD), -- 0 to 1
    preemptions Nullable(UInt64) CODEC(ZSTD), -- counters since the engine began, from here on
    prompt_tokens Nullable(UInt64) CODEC(ZSTD),
    cached_prompt_tokens Nullable(UInt64) CODEC(ZSTD),
    generation_tokens Nullable(UInt64) CODEC(ZSTD),
    prefix_cache_queries Nullable(UInt64) CODEC(ZSTD),
    prefix_cache_hits Nullable(UInt64) CODEC(ZSTD),
    requests_finished Nullable(UInt64) CODEC(ZSTD), -- of all reasons, aborted included
    requests_aborted Nullable(UInt64) CODEC(ZSTD),
    ttft_sum_s Nullable(Float64) CODEC(ZSTD),
    ttft_count Nullable(UInt64) CODEC(ZSTD),
    itl_sum_s Nullable(Float64) CODEC(ZSTD),
    itl_count Nullable(UInt64) CODEC(ZSTD),
    e2e_sum_s Nullable(Float64) CODEC(ZSTD),
    e2e_count Nullable(UInt64) CODEC(ZSTD),
    queue_sum_s Nullable(Float64) CODEC(ZSTD),
    queue_count Nullable(UInt64) CODEC(ZSTD),
    prefill_sum_s Nullable(Float64) CODEC(ZSTD),
    prefill_count Nullable(UInt64) CODEC(ZSTD),
    decode_sum_s Nullable(Float64) CODEC(ZSTD),
    decode_count Nullable(UInt64) CODEC(ZSTD),
    INDEX by_arrival ingested_at TYPE minmax GRANULARITY 1
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(time)
ORDER BY (node, engine, time)
TTL toDateTime(time) + INTERVAL 14 DAY
SETTINGS non_replicated_deduplication_window = 10000;
