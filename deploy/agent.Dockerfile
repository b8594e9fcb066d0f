# The node agent: no Django, no databases. From the root of the repository:
#
#   docker build -f deploy/agent.Dockerfile -t tallywatt-agent .
#   docker run -d --name tallywatt-agent --restart always --network host --gpus all \
#     -e NVIDIA_DRIVER_CAPABILITIES=utility -e TALLYWATT_KEY=tw_... \
#     -v /etc/tallywatt/agent.toml:/etc/tallywatt/agent.toml:ro -v tallywatt-agent:/var/lib/tallywatt-agent tallywatt-agent
#
# `--network host`: engines are read at, and send to, 127.0.0.1. The capability `utility` brings NVML and nvidia-smi in.
# Give `node` in agent.toml, or the container's own name is the node's.
FROM python:3.11-slim
WORKDIR /src
COPY pyproject.toml constraints.txt README.md ./
COPY tallywatt tallywatt
COPY config config
COPY metering metering
RUN pip install --no-cache-dir -c constraints.txt . \
    && rm -rf /src \
    && useradd --system --home-dir /var/lib/tallywatt-agent --create-home tallywatt \
    && chmod 700 /var/lib/tallywatt-agent
WORKDIR /var/lib/tallywatt-agent
USER tallywatt
VOLUME /var/lib/tallywatt-agent
ENTRYPOINT ["tallywatt-agent"]
CMD ["--config", "/etc/tallywatt/agent.toml"]
