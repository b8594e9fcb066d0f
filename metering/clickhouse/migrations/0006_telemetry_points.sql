-- Raw data points of metrics (OTLP), one row per point: GPUs, power, engines. `node` and `service` are taken out of the resource.
CREATE TABLE IF NOT EXISTS telemetry_points
(
    metric LowCardinality(String),
    node LowCardinality(String), -- host.name, else k8s.node.name, else service.instance.id
    time DateTime64(3, 'UTC') CODEC(Delta, ZSTD),
    start_time Nullable(DateTime64(3, 'UTC')) CODEC(ZSTD),
    ingested_at DateTime64(6, 'UTC') CODEC(Delta, ZSTD),
    batch UUID CODEC(ZSTD),
    row UInt32 CODEC(Delta, ZSTD),
    api_key LowCardinality(String), -- prefix of the credential that sent it
    service LowCardinality(String), -- service.name
    scope LowCardinality(String), -- name of the instrumentation scope
    unit LowCardinality(String),
    kind LowCardinality(String), -- gauge, sum, histogram, exponential_histogram, summary
    temporality LowCardinality(String), -- delta, cumulative, or '' where the kind has none
    monotonic Bool,
    resource Map(LowCardinality(String), String) CODEC(ZSTD),
    attributes Map(LowCardinality(String), String) CODEC(ZSTD),
    value Nullable(Float64) CODEC(ZSTD), -- gauge and sum
    count Nullable(UInt64) CODEC(ZSTD), -- histogram, exponential histogram, summary
    sum Nullable(Float64) CODEC(ZSTD),
    min Nullable(Float64) CODEC(ZSTD),
    max Nullable(Float64) CODEC(ZSTD),
    bounds Array(Float64) CODEC(ZSTD), -- upper edges of `buckets` but the last, which is open
    buckets Array(UInt64) CODEC(ZSTD),
    INDEX by_arrival ingested_at TYPE minmax GRANULARITY 1
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(time)
ORDER BY (metric, node, time)
SETTINGS non_replicated_deduplication_window = 10000;
