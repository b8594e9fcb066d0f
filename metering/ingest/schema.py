"""The canonical columns of a batch of request events, as they lie in the spool and as the table `requests` takes them."""

import pyarrow as pa

LABEL = pa.dictionary(pa.int32(), pa.string())  # becomes LowCardinality(String) without a copy per row

CANONICAL = pa.schema(
    [
        ("tenant", LABEL),
        ("time", pa.timestamp("ms", "UTC")),
        ("id", pa.string()),
        ("source", LABEL),
        ("time_given", pa.bool_()),
        ("observed", pa.bool_()),
        ("ingested_at", pa.timestamp("us", "UTC")),
        ("batch", LABEL),
        ("row", pa.uint32()),
        ("project", LABEL),
        ("api_key_id", LABEL),
        ("end_user", pa.string()),
        ("model", LABEL),
        ("operation", LABEL),
        ("tier", LABEL),
        ("status", LABEL),
        ("finish_reason", LABEL),
        ("input_tokens", pa.uint64()),
        ("cached_input_tokens", pa.uint64()),
        ("cache_write_tokens", pa.uint64()),
        ("output_tokens", pa.uint64()),
        ("reasoning_tokens", pa.uint64()),
        ("queue_ms", pa.float32()),
        ("ttft_ms", pa.float32()),
        ("tpot_ms", pa.float32()),
        ("e2e_ms", pa.float32()),
        ("region", LABEL),
        ("cluster", LABEL),
        ("node", LABEL),
        ("engine", LABEL),
        ("gpus", pa.list_(pa.string())),
        ("stream", pa.bool_()),
        ("attributes", pa.map_(pa.string(), pa.string())),
    ]
)

# Stamped by the spool; a decoder does not know them yet.
STAMPED = ("ingested_at", "batch", "row")

QUARANTINE = pa.schema(
    [
        ("ingested_at", pa.timestamp("us", "UTC")),
        ("batch", pa.string()),
        ("row", pa.uint32()),
        ("tenant", pa.string()),
        ("api_key", pa.string()),
        ("decoder", pa.string()),
        ("reason", pa.string()),
        ("field", pa.string()),
        ("message", pa.string()),
        ("raw", pa.binary()),
    ]
)

# Events of meters (metering/meters.py): whatever usage is not a request. `data` is the event's JSON object as it was sent.
_SHARED = ("tenant", "time", "id", "source", "time_given", "observed", "ingested_at", "batch", "row")
METER_EVENTS = pa.schema([*(CANONICAL.field(name) for name in _SHARED), ("type", LABEL), ("data", pa.string())])

# Data points of metrics as OTLP has them; one row per point. What a kind does not have is null or empty.
POINTS = pa.schema(
    [
        ("metric", LABEL),
        ("node", LABEL),
        ("time", pa.timestamp("ms", "UTC")),
        ("start_time", pa.timestamp("ms", "UTC")),
        ("ingested_at", pa.timestamp("us", "UTC")),
        ("batch", LABEL),
        ("row", pa.uint32()),
        ("api_key", LABEL),
        ("service", LABEL),
        ("scope", LABEL),
        ("unit", LABEL),
        ("kind", LABEL),
        ("temporality", LABEL),
        ("monotonic", pa.bool_()),
        ("resource", pa.map_(pa.string(), pa.string())),
        ("attributes", pa.map_(pa.string(), pa.string())),
        ("value", pa.float64()),
        ("count", pa.uint64()),
        ("sum", pa.float64()),
        ("min", pa.float64()),
        ("max", pa.float64()),
        ("bounds", pa.list_(pa.float64())),
        ("buckets", pa.list_(pa.uint64())),
    ]
)

_SAMPLED = (
    ("node", LABEL),
    ("time", pa.timestamp("ms", "UTC")),
    ("ingested_at", pa.timestamp("us", "UTC")),
    ("batch", LABEL),
    ("row", pa.uint32()),
    ("api_key", LABEL),
    ("region", LABEL),
    ("cluster", LABEL),
    ("simulated", pa.bool_()),
)

# Samples of GPUs and of engines; metering/agent/samples.py says what each column means. A reading that a source does not have is null.
GPU_SAMPLES = pa.schema(
    [
        *_SAMPLED,
        ("gpu", LABEL),
        ("mig", LABEL),
        ("source", LABEL),
        ("index", pa.uint16()),
        ("name", LABEL),
        ("gpu_utilization", pa.float32()),
        ("memory_utilization", pa.float32()),
        ("sm_active", pa.float32()),
        ("sm_occupancy", pa.float32()),
        ("tensor_active", pa.float32()),
        ("dram_active", pa.float32()),
        ("memory_used_bytes", pa.uint64()),
        ("memory_total_bytes", pa.uint64()),
        ("power_w", pa.float32()),
        ("power_limit_w", pa.float32()),
        ("energy_j", pa.float64()),
        ("sm_clock_mhz", pa.uint32()),
        ("memory_clock_mhz", pa.uint32()),
        ("temperature_c", pa.float32()),
        ("memory_temperature_c", pa.float32()),
        ("throttle", pa.list_(pa.string())),
        ("throttle_known", pa.bool_()),  # ours: an array cannot be null
        ("xid_errors", pa.uint64()),
        ("xid_last", pa.uint32()),
    ]
)
ENGINE_SAMPLES = pa.schema(
    [
        *_SAMPLED,
        ("engine", LABEL),
        ("engine_kind", LABEL),
        ("up", pa.bool_()),
        ("model", LABEL),
        ("gpus", pa.list_(pa.string())),
        ("running", pa.float32()),
        ("waiting", pa.float32()),
        ("kv_cache_usage", pa.float32()),
        ("preemptions", pa.uint64()),
        ("prompt_tokens", pa.uint64()),
        ("cached_prompt_tokens", pa.uint64()),
        ("generation_tokens", pa.uint64()),
        ("prefix_cache_queries", pa.uint64()),
        ("prefix_cache_hits", pa.uint64()),
        ("requests_finished", pa.uint64()),
        ("requests_aborted", pa.uint64()),
        ("ttft_sum_s", pa.float64()),
        ("ttft_count", pa.uint64()),
        ("itl_sum_s", pa.float64()),
        ("itl_count", pa.uint64()),
        ("e2e_sum_s", pa.float64()),
        ("e2e_count", pa.uint64()),
        ("queue_sum_s", pa.float64()),
        ("queue_count", pa.uint64()),
        ("prefill_sum_s", pa.float64()),
        ("prefill_count", pa.uint64()),
        ("decode_sum_s", pa.float64()),
        ("decode_count", pa.uint64()),
    ]
)

# kind of file in the spool -> what its rows are, in the order in which the files of one batch are made visible
KINDS = {
    "rejects": QUARANTINE,
    "events": CANONICAL,
    "meters": METER_EVENTS,
    "points": POINTS,
    "gpus": GPU_SAMPLES,
    "engines": ENGINE_SAMPLES,
}
TABLES = {
    "rejects": "quarantine",
    "events": "requests",
    "meters": "meter_events",
    "points": "telemetry_points",
    "gpus": "gpu_samples",
    "engines": "engine_samples",
}
