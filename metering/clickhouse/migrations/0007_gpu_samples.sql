-- Samples of GPUs as nodes report them (metering/agent/samples.py says what each column means), one row per sample. A sender's retry
-- leaves a sample twice: readers take (node, gpu, mig, time) once.
CREATE TABLE IF NOT EXISTS gpu_samples
(
    node LowCardinality(String),
    gpu LowCardinality(String), -- UUID of the physical GPU
    mig LowCardinality(String), -- '' for the GPU itself, else one of its MIG instances, which has no power or energy
    time DateTime64(3, 'UTC') CODEC(Delta, ZSTD),
    ingested_at DateTime64(6, 'UTC') CODEC(Delta, ZSTD),
    batch UUID CODEC(ZSTD),
    row UInt32 CODEC(Delta, ZSTD),
    api_key LowCardinality(String), -- prefix of the credential that sent it
    source LowCardinality(String),
    `index` Nullable(UInt16) CODEC(ZSTD),
    name LowCardinality(String),
    region LowCardinality(String),
    cluster LowCardinality(String),
    simulated Bool,
    gpu_utilization Nullable(Float32) CODEC(ZSTD), -- shares are 0 to 1
    memory_utilization Nullable(Float32) CODEC(ZSTD),
    sm_active Nullable(Float32) CODEC(ZSTD),
    sm_occupancy Nullable(Float32) CODEC(ZSTD),
    tensor_active Nullable(Float32) CODEC(ZSTD),
    dram_active Nullable(Float32) CODEC(ZSTD),
    memory_used_bytes Nullable(UInt64) CODEC(ZSTD),
    memory_total_bytes Nullable(UInt64) CODEC(ZSTD),
    power_w Nullable(Float32) CODEC(ZSTD),
    power_limit_w Nullable(Float32) CODEC(ZSTD),
    energy_j Nullable(Float64) CODEC(ZSTD), -- counter since the driver was loaded
    sm_clock_mhz Nullable(UInt32) CODEC(ZSTD),
    memory_clock_mhz Nullable(UInt32) CODEC(ZSTD),
    temperature_c Nullable(Float32) CODEC(ZSTD),
    memory_temperature_c Nullable(Float32) CODEC(ZSTD),
    throttle Array(LowCardinality(String)) CODEC(ZSTD),
    throttle_known Bool, -- false: the source does not tell, and `throttle` says nothing
    xid_errors Nullable(UInt64) CODEC(ZSTD), -- counter
    xid_last Nullable(UInt32) CODEC(ZSTD),
    INDEX by_arrival ingested_at TYPE minmax GRANULARITY 1
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(time)
ORDER BY (node, gpu, mig, time)
TTL toDateTime(time) + INTERVAL 14 DAY
SETTINGS non_replicated_deduplication_window = 10000;
