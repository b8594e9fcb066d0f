#!/bin/sh
# vLLM sends a span for every request straight to Tallywatt: no gateway, no collector.
#
#   TALLYWATT_URL=https://tallywatt.example.com TALLYWATT_KEY=tw_... TENANT=acme MODEL=Qwen/Qwen3-8B sh vllm_otlp.sh
#
# The spans have token counts and latencies, and neither model nor tenant: the resource attributes say them, so start one server per
# tenant. A request whose client hangs up leaves no span, and cached tokens are not in it. To bill many tenants of one server, put a
# gateway before it (gateway_fastapi.py) and give vLLM an *observing* key: its spans are then charted and reconciled, never billed.
#
#   manage.py create_api_key --tenant acme --scopes ingest                vLLM is what is billed
#   manage.py create_api_key --tenant acme --scopes ingest --observing    a gateway is what is billed
set -eu

export OTEL_SERVICE_NAME=vllm
export OTEL_EXPORTER_OTLP_TRACES_PROTOCOL=http/protobuf
# A blank is %20 in this variable, by OpenTelemetry's rules.
export OTEL_EXPORTER_OTLP_TRACES_HEADERS="Authorization=Bearer%20${TALLYWATT_KEY:?}"
export OTEL_RESOURCE_ATTRIBUTES="tallywatt.tenant=${TENANT:?},tallywatt.model=${MODEL:?},host.name=$(hostname)"

exec vllm serve "$MODEL" --otlp-traces-endpoint "${TALLYWATT_URL:?}/v1/traces" "$@"
