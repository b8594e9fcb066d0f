"""`tallywatt-agent`, as a person calls it."""

import json
import logging
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from email.utils import formatdate
from pathlib import Path

import pytest

from metering.agent import command, looking
from metering.agent.folder import held
from tests.metering.agent.running.node import Node
from tests.metering.agent.running.upstream import Reply, Upstream, problem

LISTEN = '[receiver]\nlisten = "127.0.0.1:0"\n'


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """The logging of the test run stays as it is, and nobody waits a second between two readings."""
    monkeypatch.setattr(command, "_log", lambda level: None)
    monkeypatch.setattr(looking, "BETWEEN_READINGS_S", 0.01)
    monkeypatch.delenv("TALLYWATT_KEY", raising=False)


@pytest.fixture
def node() -> Iterator[Node]:
    running = Node()
    yield running
    running.close()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_print_shows_what_the_agent_sees(
    node: Node, upstream: Upstream, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    upstream.script = [problem(400, "the body holds no events")]
    config = node.config_file(tmp_path, upstream.url)
    assert command.main(["--config", str(config), "--once", "--print"]) == 0
    shown = capsys.readouterr().out
    for text in ("GPU-0", "GPU-1", "H100", "412", "llama", "vllm"):
        assert text in shown
    assert upstream.samples == []


def test_print_works_without_a_configuration(capsys: pytest.CaptureFixture[str]) -> None:
    code = command.main(["--once", "--print"])
    shown = capsys.readouterr().out
    assert "no engine" in shown
    assert code == int("no GPU" in shown)


def test_print_says_that_the_clock_lies_and_that_an_engine_is_silent(
    node: Node, upstream: Upstream, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    upstream.script = [problem(401, "this API key is not known")]
    upstream.date = formatdate(time.time() + 300, usegmt=True)
    del node.texts["/metrics"]
    config = node.config_file(tmp_path, upstream.url)
    assert command.main(["--config", str(config), "--once", "--print"]) == 1
    shown = capsys.readouterr().out
    assert "this API key is not known" in shown
    assert "this machine's clock is " in shown
    assert " s behind the server's" in shown
    assert "GPU-0" in shown


def test_once_sends_one_reading(
    node: Node, upstream: Upstream, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = node.config_file(tmp_path, upstream.url)
    assert command.main(["--config", str(config), "--once"]) == 0
    assert capsys.readouterr().out == "sent=3 rejected=0 waiting=0\n"
    assert [sample["kind"] for sample in upstream.samples] == ["gpu", "gpu", "engine"]
    assert upstream.samples[2]["gpus"] == ["GPU-0", "GPU-1"]


def test_once_says_what_waits(
    node: Node, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "ONCE_TIMEOUT_S", 0.2)
    config = node.config_file(tmp_path, f"http://127.0.0.1:{free_port()}")
    assert command.main(["--config", str(config), "--once"]) == 1
    said = capsys.readouterr()
    assert said.out == "sent=0 rejected=0 waiting=3\n"
    assert "ConnectError" in said.err


def test_check_says_that_all_is_well(
    node: Node, upstream: Upstream, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    upstream.script = [problem(400, "the body holds no events")]
    config = node.config_file(tmp_path, upstream.url, LISTEN)
    assert command.main(["--config", str(config), "--check"]) == 0
    marks = [line.split()[0] for line in capsys.readouterr().out.splitlines()]
    assert "PROBLEM" not in marks
    assert marks.count("ok") == 5  # server, clock, folder, address, sources


def test_check_names_every_problem(
    node: Node, upstream: Upstream, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    upstream.script = [problem(403, "this API key lacks the scope ingest")]
    upstream.date = formatdate(time.time() - 60, usegmt=True)
    node.texts.clear()
    aside = tmp_path / "data" / "set-aside"
    aside.mkdir(parents=True)
    (aside / "1.json").write_text("{}")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        receiver = f'[receiver]\nlisten = "127.0.0.1:{taken.getsockname()[1]}"\n'
        assert command.main(["--config", str(node.config_file(tmp_path, upstream.url, receiver)), "--check"]) == 1
    shown = capsys.readouterr().out
    for text in (
        "this API key lacks the scope ingest: an operator's API key with the scope ingest is needed",
        " s ahead of the server's",
        "1 requests that the server refused for good",
        "cannot be had",
        "nothing can be read",
    ):
        assert any(line.startswith("PROBLEM") and text in line for line in shown.splitlines()), (text, shown)


def test_check_knows_the_running_agent(
    node: Node, upstream: Upstream, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    upstream.script = [problem(400)]
    config = node.config_file(tmp_path, upstream.url)
    with held(tmp_path / "data"):
        assert command.main(["--config", str(config), "--check"]) == 0
    assert "another agent is running" in capsys.readouterr().out


def test_check_without_a_server_says_what_is_missing(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "agent.toml"
    path.write_text(f'data = "{tmp_path / "data"}"\n[gpu]\nsource = "none"\n')
    assert command.main(["--config", str(path), "--check"]) == 1
    assert "PROBLEM url is missing" in capsys.readouterr().out


@pytest.mark.parametrize("words", [[], ["--once"]])
def test_it_does_not_run_without_a_place_to_send_to(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(words) == 2
    assert "url is missing, expected the server's address" in capsys.readouterr().err


def test_two_agents_do_not_share_a_folder(
    node: Node, upstream: Upstream, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = node.config_file(tmp_path, upstream.url)
    with held(tmp_path / "data"):
        assert command.main(["--config", str(config)]) == 2
    assert "another agent is running" in capsys.readouterr().err


def test_a_folder_that_cannot_be_used_is_an_error(
    node: Node, upstream: Upstream, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "data").write_text("a file")
    assert command.main(["--config", str(node.config_file(tmp_path, upstream.url))]) == 2
    assert "which cannot be used" in capsys.readouterr().err


def test_the_agent_needs_nothing_of_the_servers() -> None:
    """In a process of its own, with the imports of the server's packages forbidden."""
    program = textwrap.dedent("""
        import sys
        class Forbidden:
            def find_spec(self, name, path=None, target=None):
                if name.partition(".")[0] in {
                    "django", "celery", "kombu", "rest_framework", "redis", "psycopg", "clickhouse_driver", "pyarrow", "numpy",
                    "orjson", "msgspec", "google", "opentelemetry", "structlog", "billing", "dashboard",
                }:
                    raise ImportError(f"{name} is the server's")
        sys.meta_path.insert(0, Forbidden())
        from metering.agent import command
        code = command.main(["--help"])
    """)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert "usage: tallywatt-agent" in done.stdout


def test_a_broken_answer_is_no_reason_to_fail(
    node: Node, upstream: Upstream, tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    upstream.script = [lambda _: Reply(200, json.dumps("a portal").encode(), "text/html")]
    with caplog.at_level(logging.INFO):
        code = command.main(["--config", str(node.config_file(tmp_path, upstream.url)), "--check"])
    assert code == 1
    assert "PROBLEM " + upstream.url in capsys.readouterr().out
