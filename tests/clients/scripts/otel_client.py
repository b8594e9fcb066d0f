"""OpenTelemetry's SDK with its OTLP/HTTP exporter: GenAI spans as three generations of instrumentation write them, and metrics."""

from collections.abc import Callable
from typing import Any

from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind
from usage import TOLD, data, numbers, report

HEADERS = {"Authorization": f"Bearer {TOLD['key']}"}
RESOURCE = Resource.create({"service.name": "gateway", "tallywatt.model": "m"})

GENERATIONS: dict[str, Callable[[int], tuple[str, str, dict[str, Any]]]] = {
    "engine": lambda n: (
        "vllm.llm_engine",
        "llm_request",
        {
            "gen_ai.request.id": f"cmpl-{n}",
            "gen_ai.usage.prompt_tokens": data(n)["input_tokens"],
            "gen_ai.usage.cached_tokens": n,
            "gen_ai.usage.completion_tokens": data(n)["output_tokens"],
            "gen_ai.latency.time_to_first_token": 0.05,
            "gen_ai.latency.e2e": 1.5,
        },
    ),
    "v1.41": lambda n: (
        "opentelemetry.instrumentation.openai_v2",
        "chat m",
        {
            "gen_ai.operation.name": "chat",
            "gen_ai.system": "openai",
            "gen_ai.request.model": "m",
            "gen_ai.usage.input_tokens": data(n)["input_tokens"],
            "gen_ai.usage.cache_read.input_tokens": n,
            "gen_ai.usage.output_tokens": data(n)["output_tokens"],
        },
    ),
    "now": lambda n: (
        "opentelemetry.instrumentation.genai",
        "chat m",
        {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": "openai",
            "gen_ai.request.model": "m",
            "gen_ai.response.model": "m",
            "gen_ai.response.finish_reasons": ["stop"],
            "gen_ai.usage.input_tokens": data(n)["input_tokens"],
            "gen_ai.usage.cache_read.input_tokens": n,
            "gen_ai.usage.cache_write.input_tokens": 1,
            "gen_ai.usage.output_tokens": data(n)["output_tokens"],
        },
    ),
}


def exporter() -> OTLPSpanExporter:
    packed = Compression.Gzip if TOLD.get("gzip") else Compression.NoCompression
    return OTLPSpanExporter(endpoint=f"{TOLD['url']}/v1/traces", headers=HEADERS, compression=packed)


def traces() -> list[str]:
    """What the exporter said of each time that the same spans were exported."""
    memory, provider, sending = InMemorySpanExporter(), TracerProvider(resource=RESOURCE), exporter()
    provider.add_span_processor(BatchSpanProcessor(memory))
    for n in numbers():
        scope, name, attributes = GENERATIONS[TOLD["generation"]](n)
        with provider.get_tracer(scope).start_as_current_span(name, kind=SpanKind.SERVER) as span:
            span.set_attributes(attributes)
            with provider.get_tracer("opentelemetry.instrumentation.httpx").start_as_current_span("POST"):
                pass  # a span that is no usage travels along
    provider.force_flush()
    said = [sending.export(memory.get_finished_spans()).name for _ in range(TOLD.get("times", 1))]
    provider.shutdown()
    return said


def metrics() -> list[str]:
    sending = OTLPMetricExporter(endpoint=f"{TOLD['url']}/v1/metrics", headers=HEADERS)
    reader = PeriodicExportingMetricReader(sending, export_interval_millis=3_600_000)
    provider = MeterProvider(
        metric_readers=[reader], resource=Resource.create({"service.name": "agent", "host.name": "n1"})
    )
    meter = provider.get_meter("tests")
    meter.create_gauge("hw.gpu.utilization", unit="1").set(0.75, {"hw.id": "GPU-1"})
    meter.create_counter("hw.energy", unit="J").add(1234.5, {"hw.id": "GPU-1"})
    meter.create_histogram("gen_ai.client.operation.duration", unit="s").record(1.5, {"gen_ai.request.model": "m"})
    flushed = provider.force_flush()
    provider.shutdown()
    return ["SUCCESS" if flushed else "FAILURE"]


report(said=metrics() if TOLD.get("metrics") else traces())
