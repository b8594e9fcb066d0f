"""What stands on a node beside the agent, faked over HTTP: an engine's metrics, and a dcgm-exporter for GPUs that are not there."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.metering.agent.running.upstream import KEY

ENGINE_TEXT = """\
# HELP vllm:num_requests_running Number of requests in model execution batches.
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine="0",model_name="llama"} 3.0
# HELP vllm:kv_cache_usage_perc KV-cache usage. 1 means 100 percent usage.
# TYPE vllm:kv_cache_usage_perc gauge
vllm:kv_cache_usage_perc{engine="0",model_name="llama"} 0.25
# HELP vllm:prompt_tokens_total Number of prefill tokens processed.
# TYPE vllm:prompt_tokens_total counter
vllm:prompt_tokens_total{engine="0",model_name="llama"} 1000.0
"""


def dcgm_text(gpus: int) -> str:
    labels = [f'gpu="{n}",UUID="GPU-{n}",modelName="NVIDIA H100 80GB HBM3",Hostname="h"' for n in range(gpus)]
    readings = {"POWER_USAGE": 412.5, "TOTAL_ENERGY_CONSUMPTION": 5_000_000, "GPU_UTIL": 97, "GPU_TEMP": 55}
    lines: list[str] = []
    for name, value in readings.items():
        lines += [f"# HELP DCGM_FI_DEV_{name} x", f"# TYPE DCGM_FI_DEV_{name} gauge"]
        lines += [f"DCGM_FI_DEV_{name}{{{label}}} {value}" for label in labels]
    return "\n".join(lines) + "\n"


class Node:
    """Serves whatever text stands under a path."""

    def __init__(self) -> None:
        self.texts = {"/metrics": ENGINE_TEXT, "/dcgm": dcgm_text(2)}
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}"
        threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True).start()

    def config_file(self, folder: Path, url: str, more: str = "") -> Path:
        """An agent's configuration for this node, which sends to `url`."""
        (folder / "key").write_text(KEY)
        path = folder / "agent.toml"
        path.write_text(f"""
url = "{url}"
key_file = "{folder / "key"}"
node = "node-1"
interval_s = 1
data = "{folder / "data"}"
[gpu]
source = "dcgm"
url = "{self.url}/dcgm"
[[engine]]
name = "llama"
kind = "vllm"
url = "{self.url}/metrics"
gpus = [0, 1]
tenant = "acme"
{more}
""")
        return path

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()


def _handler(node: Node) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            text = node.texts.get(self.path)
            self.send_response(404 if text is None else 200)
            content = (text or "").encode()
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *words: Any) -> None:
            """Not on the terminal."""

    return Handler
