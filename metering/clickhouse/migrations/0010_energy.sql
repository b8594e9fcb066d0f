-- Whose energy: one row for each engine and minute, computed by metering/telemetry/energy (docs/energy.md has the formulas). An empty
-- engine is the GPUs of a node that no engine claims. Recomputing a minute replaces its rows; readers use FINAL.
-- gap_j + idle_j + attributed_j + the three other unattributed_*_j = counter_j; conservation_error is by how much it is not, relative.
-- An engine that shares a GPU with another has its part of what the group's counters say; seconds named gpu are GPU-seconds.
CREATE TABLE IF NOT EXISTS energy_windows
(
    window_start DateTime('UTC') CODEC(Delta, ZSTD),
    node LowCardinality(String),
    engine LowCardinality(String),
    region LowCardinality(String),
    cluster LowCardinality(String),
    model LowCardinality(String),
    product LowCardinality(String), -- of its GPUs
    simulated Bool,
    gpus Array(LowCardinality(String)) CODEC(ZSTD),
    engines_in_group UInt32,
    counter_j Float64 CODEC(ZSTD),
    idle_j Float64 CODEC(ZSTD),
    attributed_j Float64 CODEC(ZSTD), -- to tenants: the sum of energy_attributed
    unattributed_gap_j Float64 CODEC(ZSTD), -- samples too far apart
    unattributed_no_event_j Float64 CODEC(ZSTD), -- the engine worked, and no event accounts for it
    unattributed_aborted_j Float64 CODEC(ZSTD), -- the same in a minute in which it aborted requests
    unattributed_no_engine_j Float64 CODEC(ZSTD), -- no engine claims the GPU
    conservation_error Float64 CODEC(ZSTD),
    -- Counters against events over the same time, that between the engine's samples. Prefill is prompt tokens that were computed.
    engine_prefill_tokens Float64 CODEC(ZSTD),
    engine_cached_tokens Float64 CODEC(ZSTD),
    engine_decode_tokens Float64 CODEC(ZSTD),
    event_prefill_tokens Float64 CODEC(ZSTD),
    event_cached_tokens Float64 CODEC(ZSTD),
    event_decode_tokens Float64 CODEC(ZSTD),
    missing_prefill_tokens Float64 CODEC(ZSTD), -- no event accounts for them, not even within the settle time
    missing_decode_tokens Float64 CODEC(ZSTD),
    engine_requests_finished Float64 CODEC(ZSTD),
    engine_requests_aborted Float64 CODEC(ZSTD),
    event_requests Float64 CODEC(ZSTD),
    engine_restarts UInt32, -- counters that began anew
    engine_gap_s Float64 CODEC(ZSTD), -- of the minute, for which counters and events could not be compared
    -- Tokens by when they were computed (a request's are spread over its time), those of no event included: what coefficients are fitted to.
    work_prefill_tokens Float64 CODEC(ZSTD),
    work_prefill_context Float64 CODEC(ZSTD), -- prompt tokens x the mean context of each
    work_decode_tokens Float64 CODEC(ZSTD),
    prefill_s Float64 CODEC(ZSTD), -- in which some prompt was computed
    busy_s Float64 CODEC(ZSTD), -- mean over the group's GPUs
    idle_s Float64 CODEC(ZSTD),
    gap_s Float64 CODEC(ZSTD),
    gpu_s Float64 CODEC(ZSTD), -- the same split as of the energy
    idle_gpu_s Float64 CODEC(ZSTD),
    attributed_gpu_s Float64 CODEC(ZSTD),
    unattributed_gpu_s Float64 CODEC(ZSTD), -- the sum of the next four
    gap_gpu_s Float64 CODEC(ZSTD),
    no_event_gpu_s Float64 CODEC(ZSTD),
    aborted_gpu_s Float64 CODEC(ZSTD),
    no_engine_gpu_s Float64 CODEC(ZSTD),
    power_integrated Bool, -- some energy is integrated power: a counter was reset, absent or absurd
    idle_power_w Float64 CODEC(ZSTD), -- of one GPU
    idle_power_measured Bool, -- false: the lowest power seen stands in for it
    at_rest_j Float64 CODEC(ZSTD), -- of the whole group, in segments in which no request ran at all
    at_rest_gpu_s Float64 CODEC(ZSTD),
    lowest_power_w Float64 CODEC(ZSTD), -- of one GPU between two samples; inf without any
    coefficients_id UInt64, -- of metering_energycoefficients; 0: assumed
    version UInt64 -- when it was computed, in microseconds
)
ENGINE = ReplacingMergeTree(version)
PARTITION BY toYYYYMM(window_start)
ORDER BY (window_start, node, engine)
TTL window_start + INTERVAL 1 YEAR;

-- The part of each tenant. A minute's request has a row in each minute in which it ran, and counts in the one in which it ended.
CREATE TABLE IF NOT EXISTS energy_attributed
(
    window_start DateTime('UTC') CODEC(Delta, ZSTD),
    node LowCardinality(String),
    engine LowCardinality(String),
    tenant LowCardinality(String),
    model LowCardinality(String), -- as the event names it
    tier LowCardinality(String),
    region LowCardinality(String), -- where it ran
    product LowCardinality(String),
    requests UInt64 CODEC(ZSTD),
    prefill_tokens Float64 CODEC(ZSTD),
    decode_tokens Float64 CODEC(ZSTD),
    energy_j Float64 CODEC(ZSTD),
    gpu_s Float64 CODEC(ZSTD),
    simulated Bool,
    version UInt64
)
ENGINE = ReplacingMergeTree(version)
PARTITION BY toYYYYMM(window_start)
ORDER BY (window_start, node, engine, tenant, model, tier)
TTL window_start + INTERVAL 1 YEAR;

-- Both by the hour, in whole nano-kilowatt-hours (3.6 mJ) and nano-GPU-hours (3.6 us): so every way of adding them up comes to the same,
-- and joules, kWh, seconds and hours all have finite decimals. Reports and margins read these. An hour is computed anew from its
-- minutes whenever one of them is.
CREATE TABLE IF NOT EXISTS energy_hours
(
    hour DateTime('UTC') CODEC(Delta, ZSTD),
    node LowCardinality(String),
    engine LowCardinality(String),
    model LowCardinality(String),
    product LowCardinality(String),
    region LowCardinality(String),
    cluster LowCardinality(String),
    simulated Bool,
    windows UInt32,
    counter_nkwh Int64 CODEC(ZSTD),
    idle_nkwh Int64 CODEC(ZSTD),
    attributed_nkwh Int64 CODEC(ZSTD),
    gap_nkwh Int64 CODEC(ZSTD),
    no_event_nkwh Int64 CODEC(ZSTD),
    aborted_nkwh Int64 CODEC(ZSTD),
    no_engine_nkwh Int64 CODEC(ZSTD),
    gpu_nh Int64 CODEC(ZSTD),
    idle_gpu_nh Int64 CODEC(ZSTD),
    gap_gpu_nh Int64 CODEC(ZSTD),
    no_event_gpu_nh Int64 CODEC(ZSTD),
    aborted_gpu_nh Int64 CODEC(ZSTD),
    no_engine_gpu_nh Int64 CODEC(ZSTD),
    worst_conservation_error Float64 CODEC(ZSTD),
    version UInt64
)
ENGINE = ReplacingMergeTree(version)
PARTITION BY toYear(hour)
ORDER BY (hour, node, engine)
TTL hour + INTERVAL 5 YEAR;

CREATE TABLE IF NOT EXISTS energy_attributed_hours
(
    hour DateTime('UTC') CODEC(Delta, ZSTD),
    node LowCardinality(String),
    engine LowCardinality(String),
    tenant LowCardinality(String),
    model LowCardinality(String),
    tier LowCardinality(String),
    region LowCardinality(String),
    product LowCardinality(String),
    requests UInt64 CODEC(ZSTD),
    prefill_tokens Float64 CODEC(ZSTD),
    decode_tokens Float64 CODEC(ZSTD),
    energy_nkwh Int64 CODEC(ZSTD),
    gpu_nh Int64 CODEC(ZSTD),
    simulated Bool,
    version UInt64
)
ENGINE = ReplacingMergeTree(version)
PARTITION BY toYear(hour)
ORDER BY (hour, node, engine, tenant, model, tier)
TTL hour + INTERVAL 5 YEAR
