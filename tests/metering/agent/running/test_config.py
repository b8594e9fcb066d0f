"""The configuration: what it takes, and that every error names the key and what was expected."""

import tomllib
from pathlib import Path
from typing import Any

import pytest

from metering.agent.config import GPU_CHOICES, Config, load, parse, without_file
from metering.agent.gpu.choice import CHOICES
from metering.agent.tables import ConfigError

ROOT = Path(__file__).resolve().parents[4]
ENGINE: dict[str, Any] = {"name": "llama", "kind": "vllm", "url": "http://127.0.0.1:8000/metrics"}


@pytest.fixture(autouse=True)
def no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TALLYWATT_KEY", raising=False)


def test_without_anything_it_is_this_machine_and_whatever_gpus_it_has() -> None:
    config = parse({})
    assert config == without_file()
    assert config.place.node
    assert (config.interval_s, config.gpu.source, config.engines, config.receiver) == (5.0, "auto", (), None)
    with pytest.raises(ConfigError, match="url is missing"):
        config.sendable()


def test_everything_that_can_be_said_is_in_the_example(tmp_path: Path) -> None:
    text = (ROOT / "deploy" / "agent.toml").read_text()
    for name in ("agent.key", "local.token"):
        (tmp_path / name).write_text("tw_key\n")
        text = text.replace(f"/etc/tallywatt/{name}", str(tmp_path / name))
    plain = parse(tomllib.loads(text))
    assert plain.sendable() is plain
    assert (plain.place.region, plain.key, len(plain.engines)) == ("eu-west", "tw_key", 1)
    # The keys that stand there behind a # are valid too, and show the defaults.
    lines = [
        line.removeprefix("# ") if line.startswith("# ") and _is_toml(line[2:]) else line for line in text.splitlines()
    ]
    full = parse(tomllib.loads("\n".join(lines)))
    assert len(full.engines) == 2
    assert full.engines[0].stamps == {
        "model": "llama-3.1-70b",
        "tenant": "acme",
        "project": "search",
        "tier": "standard",
    }
    assert full.engines[0].spec.gpus == ("0", "1", "2", "3")
    assert full.receiver is not None
    assert full.receiver.token == "tw_key"
    default = Config(place=plain.place)
    assert (full.outbox, full.interval_s, full.data) == (default.outbox, default.interval_s, default.data)


def _is_toml(line: str) -> bool:
    try:
        return bool(tomllib.loads(line))
    except tomllib.TOMLDecodeError:
        return False


def test_the_key_comes_from_its_file_and_the_environment_goes_before_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "key"
    path.write_text("tw_of_the_file\n")
    given = {"url": "https://t.example", "key_file": str(path)}
    assert parse(given).sendable().key == "tw_of_the_file"
    monkeypatch.setenv("TALLYWATT_KEY", "tw_of_the_environment")
    assert parse(given).key == "tw_of_the_environment"
    assert parse({"key_file": "/nowhere"}).key == "tw_of_the_environment"
    assert "tw_of" not in repr(parse(given))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"urll": "http://x"}, r"urll is not known, expected one of cluster, data, engine, gpu"),
        ({"url": "tallywatt.example.com"}, r"url is 'tallywatt\.example\.com', expected a URL that begins with http"),
        ({"url": 5}, r"url is 5, expected text"),
        ({"interval_s": 0.5}, r"interval_s is 0\.5, expected a number from 1 to 10"),
        ({"interval_s": 11}, r"interval_s is 11, expected a number from 1 to 10"),
        ({"interval_s": "5"}, r"interval_s is '5', expected a number"),
        ({"interval_s": True}, r"interval_s is True, expected a number"),
        ({"interval_s": float("nan")}, r"interval_s is nan, expected a number"),
        ({"node": "n" * 129}, r"node is .*expected text of at most 128"),
        ({"data": "var/agent"}, r"data is 'var/agent', expected an absolute path"),
        ({"key_file": "/nowhere/key"}, r"key_file is '/nowhere/key', which cannot be read: .*No such file"),
        ({"gpu": "nvml"}, r"gpu is 'nvml', expected a table: \[gpu\]"),
        ({"gpu": {"source": "rocm"}}, r"gpu\.source is 'rocm', expected one of auto, nvml, dcgm, nvidia_smi"),
        ({"gpu": {"source": "dcgm"}}, r"gpu\.url is missing, expected the address"),
        ({"gpu": {"urls": "x"}}, r"gpu\.urls is not known"),
        ({"engine": {"name": "a"}}, r"engine is .*expected tables: \[\[engine\]\]"),
        ({"engine": [{}]}, r"engine\[1\]\.name is missing, expected text"),
        ({"engine": [ENGINE | {"name": "a/b"}]}, r"engine\[1\]\.name is 'a/b', expected letters, digits"),
        ({"engine": [ENGINE, ENGINE | {"name": "b", "kind": "ollama"}]}, r"engine\[2\]\.kind is 'ollama', expected one of vllm"),
        ({"engine": [ENGINE | {"url": "127.0.0.1:8000"}]}, r"engine\[1\]\.url is .*expected a URL"),
        ({"engine": [ENGINE | {"gpus": [-1]}]}, r"engine\[1\]\.gpus is \[-1\], expected an array of indexes"),
        ({"engine": [ENGINE | {"gpus": "0,1"}]}, r"engine\[1\]\.gpus is '0,1', expected an array of indexes"),
        ({"engine": [ENGINE | {"gpus": ["first"]}]}, r"engine\[1\]\.gpus is \['first'\]"),
        ({"engine": [ENGINE, ENGINE]}, r"engine: two are named 'llama'"),
        ({"engine": [ENGINE | {"tier": "gold"}]}, r"engine\[1\]\.tier is 'gold', expected one of standard, batch"),
        ({"stamp": {"tenant": "t" * 65}}, r"stamp\.tenant is .*at most 64"),
        ({"stamp": {"node": "x"}}, r"stamp\.node is not known, expected one of model, project, tenant, tier"),
        ({"outbox": {"max_bytes": 5}}, r"outbox\.max_bytes is 5, expected a whole number from 1048576"),
        ({"outbox": {"max_bytes": 1e9}}, r"outbox\.max_bytes is 1000000000\.0, expected a whole number"),
        ({"receiver": {"listen": "4318"}}, r"receiver\.listen is '4318', expected an address and a port"),
        ({"receiver": {"listen": "127.0.0.1:99999"}}, r"receiver\.listen is .*expected an address and a port"),
        ({"receiver": {"listen": "0.0.0.0:4318"}}, r"receiver\.listen is '0\.0\.0\.0:4318', expected an address of this machine"),
        ({"receiver": {"gzip": "yes"}}, r"receiver\.gzip is 'yes', expected true or false"),
    ],
)  # fmt: skip
def test_an_error_names_the_key_and_what_was_expected(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse(given)


def test_other_addresses_need_a_token(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("secret-token\n")
    receiver = parse({"receiver": {"listen": "[::]:4318", "token_file": str(tmp_path / "token")}}).receiver
    assert receiver is not None
    assert (receiver.host, receiver.port, receiver.token) == ("::", 4318, "secret-token")
    assert "secret-token" not in repr(receiver)


@pytest.mark.parametrize("text", ["url = ", "[engine", "\x00"])
def test_a_file_that_is_no_toml_is_an_error_that_names_it(tmp_path: Path, text: str) -> None:
    path = tmp_path / "agent.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"agent\.toml is not TOML"):
        load(path)


def test_a_file_that_is_not_there_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"missing\.toml cannot be read: No such file"):
        load(tmp_path / "missing.toml")


def test_a_key_file_with_something_else_in_it_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text("-----BEGIN CERTIFICATE-----\nabc")
    with pytest.raises(ConfigError, match="no API key"):
        parse({"key_file": str(path)})


def test_the_choices_of_gpu_sources_are_those_that_there_are() -> None:
    assert set(GPU_CHOICES) == set(CHOICES)
