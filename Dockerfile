# The application only: web, worker and beat run it against real servers (see docker-compose.yml).
FROM python:3.11-slim
WORKDIR /app
RUN useradd --system --home-dir /app tallywatt && mkdir /spool && chown tallywatt /spool
COPY pyproject.toml constraints.txt README.md ./
COPY tallywatt tallywatt
COPY config config
COPY metering metering
COPY billing billing
COPY dashboard dashboard
COPY manage.py ./
RUN pip install --no-cache-dir -c constraints.txt '.[server]'
USER tallywatt
EXPOSE 8000
