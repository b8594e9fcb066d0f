-- Events of meters, as received: duplicates are evidence and stay, readers deduplicate by identity as for requests.
-- What a meter takes out of `data` is decided when it is read, so that a meter defined later counts earlier events too.
CREATE TABLE IF NOT EXISTS meter_events
(
    tenant LowCardinality(String),
    time DateTime64(3, 'UTC') CODEC(Delta, ZSTD),
    id String CODEC(ZSTD),
    source LowCardinality(String),
    time_given Bool,
    observed Bool,
    ingested_at DateTime64(6, 'UTC') CODEC(Delta, ZSTD),
    batch UUID CODEC(ZSTD),
    row UInt32 CODEC(Delta, ZSTD),
    identity UInt64 MATERIALIZED cityHash64(tenant, source, id) CODEC(NONE),
    type LowCardinality(String),
    data String CODEC(ZSTD), -- a JSON object
    INDEX by_arrival ingested_at TYPE minmax GRANULARITY 1
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(time)
ORDER BY (type, tenant, time, id)
SETTINGS non_replicated_deduplication_window = 10000;
