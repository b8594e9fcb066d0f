-- Events that were not taken, with their bytes and the reason, so that an operator can see, fix and replay them.
-- A conflict (same identity, other content) is listed here too; there `raw` is the losing event as JSON.
CREATE TABLE IF NOT EXISTS quarantine
(
    ingested_at DateTime64(6, 'UTC') CODEC(Delta, ZSTD),
    batch UUID,
    row UInt32, -- index of the event in its request
    tenant LowCardinality(String), -- of the credential, or as named by the event where the key may write for several
    api_key LowCardinality(String), -- prefix of the credential that sent it
    decoder LowCardinality(String), -- cloudevents, ndjson, ...
    reason LowCardinality(String), -- one of metering.contracts.RejectReason
    field LowCardinality(String),
    message String,
    raw String CODEC(ZSTD)
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(ingested_at)
ORDER BY (ingested_at, batch, row)
SETTINGS non_replicated_deduplication_window = 10000;
