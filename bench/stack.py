"""The whole stack, started as a user starts it, in a data directory of its own; and Django set up to look into it."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path

from config.stack import STACK_FILE
from metering.embedded.secretsfile import write_private
from metering.embedded.stack import free_port

ROOT = Path(__file__).resolve().parents[1]
START_TIMEOUT_S = 120


@contextmanager
def running(data_dir: Path, *options: str) -> Iterator[tuple[str, int]]:
    """`manage.py up` with `options` on an empty `data_dir`; yields the web address and the pid. Everything is stopped and removed
    at the end."""
    shutil.rmtree(data_dir, ignore_errors=True)
    data_dir.mkdir(parents=True)
    port = free_port()
    log = data_dir / "up.log"
    command = [sys.executable, "manage.py", "up", "--port", str(port), "--data-dir", str(data_dir), *options]
    with log.open("w") as output:
        up = subprocess.Popen(command, cwd=ROOT, stdout=output, stderr=subprocess.STDOUT, start_new_session=True)
    try:
        _wait_ready(up, log)
        os.environ["TALLYWATT_DATA_DIR"] = str(data_dir)
        yield f"http://127.0.0.1:{port}", up.pid
    finally:
        up.send_signal(signal.SIGTERM)
        up.wait(30)
        shutil.rmtree(data_dir, ignore_errors=True)


@contextmanager
def quiet(data_dir: Path) -> Iterator[tuple[str, int]]:
    """Databases and web alone, for tables that were filled by hand: nothing seals, sums up or trains while pages are timed.

    Yields the web address and its pid. `data_dir` is kept: one that has been filled already can be used again.
    """
    from metering.embedded import services
    from metering.embedded.stack import EmbeddedStack

    stack = EmbeddedStack(data_dir)
    urls = replace(stack.build(), web_url=f"http://127.0.0.1:{(port := free_port())}")
    web = services.web(
        data_dir, port, {"DJANGO_SETTINGS_MODULE": "config.settings", "TALLYWATT_DATA_DIR": str(data_dir)}
    )
    try:
        for _ in stack.start():
            pass
        write_private(data_dir / STACK_FILE, json.dumps(asdict(urls)))
        os.environ["TALLYWATT_DATA_DIR"] = str(data_dir)
        for command in (["migrate", "--skip-checks"], ["clickhouse_migrate"]):
            subprocess.run([sys.executable, "manage.py", *command], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
        web.child.start()
        web.child.wait_ready(web.answers, services.STARTED_S)
        yield urls.web_url, web.child.pid
    finally:
        web.child.ask_to_stop()
        web.child.wait_stopped(10)
        (data_dir / STACK_FILE).unlink(missing_ok=True)
        stack.stop(30)


def _wait_ready(up: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while "ready http://" not in log.read_text():
        if up.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"the stack did not start:\n{log.read_text()[-2000:]}")
        time.sleep(0.2)


def setup_django() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    os.environ.setdefault("TALLYWATT_LOG_LEVEL", "WARNING")  # httpx would log every request
    import django

    django.setup()


def manage(data_dir: Path, *arguments: str) -> str:
    """What a command of the running stack prints. Raises RuntimeError if it fails, or prints nothing."""
    command = [sys.executable, "manage.py", *arguments, "--data-dir", str(data_dir)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(arguments)}: {done.stderr[-2000:]}")
    if not done.stdout.strip():
        raise RuntimeError(f"{' '.join(arguments)} printed nothing: {done.stderr[-2000:]}")
    return done.stdout.strip()


def create_tenant(key: str) -> None:
    from metering.public import create_tenant as create

    create(key)
