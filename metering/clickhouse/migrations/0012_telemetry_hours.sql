-- Minutes of GPUs, engines and their saturation added up to steps of a quarter of an hour, an hour and six hours (`step_s`), so that a
-- page over a month reads no minutes. Written by metering/telemetry/steps_written.py: a step is added up anew, from the next finer ones,
-- whenever one of its minutes is written; one that is not over yet has what there is of it. Readers use FINAL.
-- A mean is its sum over the minutes that have a reading, and how many these are; so steps and GPUs add up to exact means.
-- What holds for a whole step (a name, a model, a limit) is as it was last in it. MIG instances are left out.
CREATE TABLE IF NOT EXISTS gpu_steps
(
    step_s UInt32,
    start DateTime('UTC') CODEC(Delta, ZSTD),
    node LowCardinality(String),
    gpu LowCardinality(String),
    `index` Nullable(UInt16) CODEC(ZSTD),
    name LowCardinality(String),
    region LowCardinality(String),
    cluster LowCardinality(String),
    simulated Bool,
    minutes UInt16 CODEC(ZSTD), -- of the step, that have samples
    gpu_utilization_sum Float32 CODEC(ZSTD), -- each minute's mean
    gpu_utilization_minutes UInt16 CODEC(ZSTD),
    sm_active_sum Float32 CODEC(ZSTD),
    sm_active_minutes UInt16 CODEC(ZSTD),
    tensor_active_sum Float32 CODEC(ZSTD),
    tensor_active_minutes UInt16 CODEC(ZSTD),
    dram_active_sum Float32 CODEC(ZSTD),
    dram_active_minutes UInt16 CODEC(ZSTD),
    sm_clock_mhz_sum Float32 CODEC(ZSTD),
    sm_clock_mhz_minutes UInt16 CODEC(ZSTD),
    memory_clock_mhz_sum Float32 CODEC(ZSTD),
    memory_clock_mhz_minutes UInt16 CODEC(ZSTD),
    throttled_sum Float32 CODEC(ZSTD), -- share of the samples that were throttled
    throttled_minutes UInt16 CODEC(ZSTD),
    throttle Map(LowCardinality(String), Float32) CODEC(ZSTD), -- the same by reason
    power_w_sum Nullable(Float64) CODEC(ZSTD),
    power_limit_w_sum Nullable(Float64) CODEC(ZSTD),
    power_w_max Nullable(Float32) CODEC(ZSTD),
    energy_j Nullable(Float64) CODEC(ZSTD),
    memory_used_bytes_sum Nullable(UInt64) CODEC(ZSTD), -- each minute's maximum
    memory_total_bytes_sum Nullable(UInt64) CODEC(ZSTD),
    temperature_c_max Nullable(Float32) CODEC(ZSTD),
    memory_temperature_c_max Nullable(Float32) CODEC(ZSTD),
    xid_errors Nullable(UInt64) CODEC(ZSTD),
    xid_last Nullable(UInt32) CODEC(ZSTD),
    version UInt64 CODEC(ZSTD) -- when it was written, in epoch us
)
ENGINE = ReplacingMergeTree(version)
PARTITION BY (step_s, toYYYYMM(start))
ORDER BY (step_s, start, node, gpu)
TTL start + INTERVAL 1 YEAR DELETE WHERE step_s < 3600, start + INTERVAL 5 YEAR;

CREATE TABLE IF NOT EXISTS engine_steps
(
    step_s UInt32,
    start DateTime('UTC') CODEC(Delta, ZSTD),
    node LowCardinality(String),
    engine LowCardinality(String),
    engine_kind LowCardinality(String),
    model LowCardinality(String),
    region LowCardinality(String),
    cluster LowCardinality(String),
    simulated Bool,
    gpus Array(LowCardinality(String)) CODEC(ZSTD), -- all that it ran on
    minutes UInt16 CODEC(ZSTD),
    up_sum Float32 CODEC(ZSTD),
    restarts UInt32 CODEC(ZSTD),
    running_sum Nullable(Float64) CODEC(ZSTD),
    running_max Nullable(Float32) CODEC(ZSTD),
    waiting_sum Nullable(Float64) CODEC(ZSTD),
    waiting_max Nullable(Float32) CODEC(ZSTD),
    kv_cache_usage_sum Float32 CODEC(ZSTD),
    kv_cache_usage_minutes UInt16 CODEC(ZSTD),
    kv_cache_usage_max Nullable(Float32) CODEC(ZSTD),
    preemptions Nullable(UInt64) CODEC(ZSTD), -- increases of counters, from here on
    prompt_tokens Nullable(UInt64) CODEC(ZSTD),
    cached_prompt_tokens Nullable(UInt64) CODEC(ZSTD),
    generation_tokens Nullable(UInt64) CODEC(ZSTD),
    prefix_cache_queries Nullable(UInt64) CODEC(ZSTD),
    prefix_cache_hits Nullable(UInt64) CODEC(ZSTD),
    requests_finished Nullable(UInt64) CODEC(ZSTD),
    requests_aborted Nullable(UInt64) CODEC(ZSTD),
    ttft_sum_s Nullable(Float64) CODEC(ZSTD), -- and counts of the minutes that have the sum
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
PARTITION BY (step_s, toYYYYMM(start))
ORDER BY (step_s, start, node, engine)
TTL start + INTERVAL 1 YEAR DELETE WHERE step_s < 3600, start + INTERVAL 5 YEAR;

CREATE TABLE IF NOT EXISTS saturation_steps
(
    step_s UInt32,
    start DateTime('UTC') CODEC(Delta, ZSTD),
    node LowCardinality(String),
    engine LowCardinality(String),
    model LowCardinality(String),
    region LowCardinality(String),
    cluster LowCardinality(String),
    simulated Bool,
    minutes UInt16 CODEC(ZSTD),
    gpus_sum Float32 CODEC(ZSTD), -- GPU-minutes, from here on
    score_sum Float32 CODEC(ZSTD), -- score x GPU-minutes
    scored_sum Float32 CODEC(ZSTD),
    highest Nullable(Float32) CODEC(ZSTD), -- score
    highest_bound Bool, -- whether anything bound in the worst minute
    bound Map(LowCardinality(String), Float32) CODEC(ZSTD), -- by each constraint
    readings Map(LowCardinality(String), Float32) CODEC(ZSTD), -- sums over the minutes that have them
    readings_minutes Map(LowCardinality(String), UInt16) CODEC(ZSTD),
    version UInt64 CODEC(ZSTD)
)
ENGINE = ReplacingMergeTree(version)
PARTITION BY (step_s, toYYYYMM(start))
ORDER BY (step_s, start, node, engine)
TTL start + INTERVAL 1 YEAR DELETE WHERE step_s < 3600, start + INTERVAL 5 YEAR;

-- The samples of the last half hour again, in order of their times: what is now is read from them each second. In the tables above the
-- newest sample of every GPU lies in a granule of its own.
CREATE TABLE IF NOT EXISTS gpu_recent AS gpu_samples
ENGINE = MergeTree
PARTITION BY toStartOfHour(time)
ORDER BY (time, node, gpu, mig)
TTL toDateTime(time) + INTERVAL 1 HOUR
SETTINGS ttl_only_drop_parts = 1, non_replicated_deduplication_window = 10000;

CREATE TABLE IF NOT EXISTS engine_recent AS engine_samples
ENGINE = MergeTree
PARTITION BY toStartOfHour(time)
ORDER BY (time, node, engine)
TTL toDateTime(time) + INTERVAL 1 HOUR
SETTINGS ttl_only_drop_parts = 1, non_replicated_deduplication_window = 10000;

CREATE MATERIALIZED VIEW IF NOT EXISTS gpu_recent_view TO gpu_recent
AS SELECT * FROM gpu_samples WHERE time > now() - INTERVAL 30 MINUTE AND time < now() + INTERVAL 1 DAY;

CREATE MATERIALIZED VIEW IF NOT EXISTS engine_recent_view TO engine_recent
AS SELECT * FROM engine_samples WHERE time > now() - INTERVAL 30 MINUTE AND time < now() + INTERVAL 1 DAY;

-- What came before the views were there. Twice does no harm: readers take a sample once.
INSERT INTO gpu_recent SELECT * FROM gpu_samples WHERE time > now() - INTERVAL 30 MINUTE AND time < now() + INTERVAL 1 DAY;

INSERT INTO engine_recent SELECT * FROM engine_samples WHERE time > now() - INTERVAL 30 MINUTE AND time < now() + INTERVAL 1 DAY
