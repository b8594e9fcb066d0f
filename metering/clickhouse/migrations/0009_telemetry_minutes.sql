-- GPUs per minute, worked up from gpu_samples by metering/telemetry/rollups.py. A minute that is worked up again replaces its rows:
-- readers use FINAL. Most readers want the whole fleet over a short time, so the minute comes first.
CREATE TABLE IF NOT EXISTS gpu_minute
(
    minute DateTime('UTC') CODEC(Delta, ZSTD),
    node LowCardinality(String),
    gpu LowCardinality(String),
    mig LowCardinality(String),
    `index` Nullable(UInt16) CODEC(ZSTD),
    name LowCardinality(String),
    region LowCardinality(String),
    cluster LowCardinality(String),
    simulated Bool,
    samples UInt32 CODEC(ZSTD),
    gpu_utilization_mean Nullable(Float32) CODEC(ZSTD), -- means and maxima of the samples that have the reading
    memory_utilization_mean Nullable(Float32) CODEC(ZSTD),
    sm_active_mean Nullable(Float32) CODEC(ZSTD),
    sm_active_max Nullable(Float32) CODEC(ZSTD),
    sm_occupancy_mean Nullable(Float32) CODEC(ZSTD),
    tensor_active_mean Nullable(Float32) CODEC(ZSTD),
    tensor_active_max Nullable(Float32) CODEC(ZSTD),
    dram_active_mean Nullable(Float32) CODEC(ZSTD),
    dram_active_max Nullable(Float32) CODEC(ZSTD),
    memory_used_bytes_max Nullable(UInt64) CODEC(ZSTD),
    memory_total_bytes Nullable(UInt64) CODEC(ZSTD),
    power_w_mean Nullable(Float32) CODEC(ZSTD),
    power_w_max Nullable(Float32) CODEC(ZSTD),
    power_limit_w Nullable(Float32) CODEC(ZSTD), -- the latest
    energy_j Nullable(Float64) CODEC(ZSTD), -- increase of the counter; exact energy is in energy_windows
    sm_clock_mhz_mean Nullable(Float32) CODEC(ZSTD),
    memory_clock_mhz_mean Nullable(Float32) CODEC(ZSTD),
    temperature_c_max Nullable(Float32) CODEC(ZSTD),
    memory_temperature_c_max Nullable(Float32) CODEC(ZSTD),
    throttle_samples UInt32 CODEC(ZSTD), -- samples that say whether the GPU was throttled
    throttled_share Nullable(Float32) CODEC(ZSTD), -- of those, with any reason
    throttle Map(LowCardinality(String), Float32) CODEC(ZSTD), -- and by reason; a reason that never held is left out
    xid_errors Nullable(UInt64) CODEC(ZSTD), -- increase of the counter
    xid_last Nullable(UInt32) CODEC(ZSTD),
    version UInt64 CODEC(ZSTD) -- when it was worked up, in epoch us
)
ENGINE = ReplacingMergeTree(version)
PARTITION BY toYYYYMM(minute)
ORDER BY (minute, node, gpu, mig)
TTL minute + INTERVAL 1 YEAR;

-- Engines per minute. Counters are increases, from the last sample before the minute on; a counter that began anew counts from 0.
CREATE TABLE IF NOT EXISTS engine_minute
(
    minute DateTime('UTC') CODEC(Delta, ZSTD),
    node LowCardinality(String),
    engine LowCardinality(String),
    engine_kind LowCardinality(String),
    model LowCardinality(String),
    region LowCardinality(String),
    cluster LowCardinality(String),
    simulated Bool,
    gpus Array(LowCardinality(String)) CODEC(ZSTD),
    samples UInt32 CODEC(ZSTD),
    up_share Float32 CODEC(ZSTD), -- of the samples
    restarts UInt32 CODEC(ZSTD), -- how often its counters began anew
    running_mean Nullable(Float32) CODEC(ZSTD),
    running_max Nullable(Float32) CODEC(ZSTD),
    waiting_mean Nullable(Float32) CODEC(ZSTD),
    waiting_max Nullable(Float32) CODEC(ZSTD),
    kv_cache_usage_mean Nullable(Float32) CODEC(ZSTD),
    kv_cache_usage_max Nullable(Float32) CODEC(ZSTD),
    preemptions Nullable(UInt64) CODEC(ZSTD),
    prompt_tokens Nullable(UInt64) CODEC(ZSTD),
    cached_prompt_tokens Nullable(UInt64) CODEC(ZSTD),
    generation_tokens Nullable(UInt64) CODEC(ZSTD),
    prefix_cache_queries Nullable(UInt64) CODEC(ZSTD),
    prefix_cache_hits Nullable(UInt64) CODEC(ZSTD),
    requests_finished Nullable(UInt64) CODEC(ZSTD),
    requests_aborted Nullable(UInt64) CODEC(ZSTD),
    ttft_sum_s Nullable(Float64) CODEC(ZSTD), -- sum over count is the mean over the minute
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
    version UInt64 CODEC(ZSTD)
)
ENGINE = ReplacingMergeTree(version)
PARTITION BY toYYYYMM(minute)
ORDER BY (minute, node, engine)
TTL minute + INTERVAL 1 YEAR;

-- How saturated each engine was, by metering/telemetry/saturation.py: of the halves of the minute, the worse.
CREATE TABLE IF NOT EXISTS saturation_minute
(
    minute DateTime('UTC') CODEC(Delta, ZSTD),
    node LowCardinality(String),
    engine LowCardinality(String),
    model LowCardinality(String),
    region LowCardinality(String),
    cluster LowCardinality(String),
    simulated Bool,
    gpus Float32 CODEC(ZSTD), -- how many it ran on; of a GPU that engines share, its part
    score Nullable(Float32) CODEC(ZSTD), -- 0 to 1; none without any reading
    `constraint` LowCardinality(String), -- the one that bound, else the one with the highest reading
    bound Bool,
    readings Map(LowCardinality(String), Float32) CODEC(ZSTD), -- as they were read, not over their saturation points
    missing Array(LowCardinality(String)) CODEC(ZSTD), -- readings that it was computed without
    version UInt64 CODEC(ZSTD)
)
ENGINE = ReplacingMergeTree(version)
PARTITION BY toYYYYMM(minute)
ORDER BY (minute, node, engine)
TTL minute + INTERVAL 1 YEAR;
