-- Energy of whole days that are over, added up once so that a page over a month reads no engine's hours. Written by
-- metering/telemetry/energy/days.py; a day counts only in the version that PostgreSQL names (metering_energyday), and is read from its
-- hours while that names none. So these are plain tables: rows of other versions are left over, and go in time.
-- `band` is the first hour of the day of a part of it in which no price changes: 0 unless prices have hours.
CREATE TABLE IF NOT EXISTS energy_days
(
    day DateTime('UTC') CODEC(Delta, ZSTD),
    band UInt8 CODEC(ZSTD),
    label LowCardinality(String), -- '': a tenant's; else idle, gap, no_event, aborted, no_engine
    tenant LowCardinality(String),
    model LowCardinality(String),
    tier LowCardinality(String),
    region LowCardinality(String),
    cluster LowCardinality(String),
    product LowCardinality(String),
    requests UInt64 CODEC(ZSTD),
    prefill_tokens Float64 CODEC(ZSTD),
    decode_tokens Float64 CODEC(ZSTD),
    energy_nkwh Int64 CODEC(ZSTD),
    gpu_nh Int64 CODEC(ZSTD),
    simulated Bool,
    version UInt64 CODEC(ZSTD)
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(day)
ORDER BY (tenant, day, label, model, tier, region, cluster)
TTL day + INTERVAL 5 YEAR;

-- The same days by tenant and region alone: of what a table of all tenants is made.
CREATE TABLE IF NOT EXISTS energy_tenant_days
(
    day DateTime('UTC') CODEC(Delta, ZSTD),
    band UInt8 CODEC(ZSTD),
    label LowCardinality(String),
    tenant LowCardinality(String),
    region LowCardinality(String),
    product LowCardinality(String),
    requests UInt64 CODEC(ZSTD),
    prefill_tokens Float64 CODEC(ZSTD),
    decode_tokens Float64 CODEC(ZSTD),
    energy_nkwh Int64 CODEC(ZSTD),
    gpu_nh Int64 CODEC(ZSTD),
    simulated Bool,
    version UInt64 CODEC(ZSTD)
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(day)
ORDER BY (tenant, day, label, region)
TTL day + INTERVAL 5 YEAR;

-- The same days by the hour, of all tenants together.
CREATE TABLE IF NOT EXISTS energy_day_hours
(
    hour DateTime('UTC') CODEC(Delta, ZSTD),
    label LowCardinality(String),
    model LowCardinality(String),
    tier LowCardinality(String),
    region LowCardinality(String),
    cluster LowCardinality(String),
    product LowCardinality(String),
    requests UInt64 CODEC(ZSTD),
    prefill_tokens Float64 CODEC(ZSTD),
    decode_tokens Float64 CODEC(ZSTD),
    energy_nkwh Int64 CODEC(ZSTD),
    gpu_nh Int64 CODEC(ZSTD),
    simulated Bool,
    version UInt64 CODEC(ZSTD)
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(hour)
ORDER BY (hour, label, model, tier, region, cluster)
TTL hour + INTERVAL 5 YEAR;

-- Engine counters against events by the hour, as queries/reconciliation.py adds up the minutes of energy_windows: whenever some of an
-- hour's are written, all of its engines are. An hour without a row here is read from its minutes.
CREATE TABLE IF NOT EXISTS reconciliation_hours
(
    hour DateTime('UTC') CODEC(Delta, ZSTD),
    node LowCardinality(String),
    engine LowCardinality(String),
    model LowCardinality(String),
    region LowCardinality(String),
    simulated Bool,
    windows UInt32,
    restarts UInt64 CODEC(ZSTD),
    gap_s Float64 CODEC(ZSTD),
    engine_input Float64 CODEC(ZSTD),
    engine_cached Float64 CODEC(ZSTD),
    engine_output Float64 CODEC(ZSTD),
    engine_requests Float64 CODEC(ZSTD),
    aborted Float64 CODEC(ZSTD),
    event_input Float64 CODEC(ZSTD),
    event_cached Float64 CODEC(ZSTD),
    event_output Float64 CODEC(ZSTD),
    event_requests Float64 CODEC(ZSTD),
    version UInt64 CODEC(ZSTD)
)
ENGINE = ReplacingMergeTree(version)
PARTITION BY toYear(hour)
ORDER BY (hour, node, engine)
TTL hour + INTERVAL 5 YEAR
