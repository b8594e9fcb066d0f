import gzip
from collections import Counter
from pathlib import Path

import pytest

from metering.replay.formats import FORMATS
from metering.replay.trace import Trace, TraceError
from tests.metering.replay.traces import AZURE, LENGTHS, MOONCAKE, SERVEGEN, written


def opened(form: str, path: Path) -> Trace:
    return FORMATS[form](path, None)


@pytest.fixture
def servegen(tmp_path: Path) -> Trace:
    written(tmp_path / "x_dataset.jsonl", LENGTHS)
    return opened("servegen", written(tmp_path / "x_trace.csv", SERVEGEN))


def test_an_azure_row_is_a_request_at_its_arrival_cut_to_milliseconds(tmp_path: Path) -> None:
    trace = opened("azure-llm-2023", written(tmp_path / "code.csv", AZURE))

    assert trace.origin().isoformat() == "2023-11-16T18:17:03.979000+00:00"
    assert [(r.row, r.offset_ms, r.input_tokens, r.output_tokens) for r in trace.requests()] == [
        ("1", 0, 4808, 10),
        ("2", 52, 3180, 8),
        ("3", 56_021, 110, 0),
    ]
    assert trace.total() == 3


def test_a_block_seen_in_an_earlier_request_is_512_cached_tokens_at_most_the_input(tmp_path: Path) -> None:
    requests = list(opened("mooncake", written(tmp_path / "c.jsonl", MOONCAKE)).requests())

    assert [request.cached_input_tokens for request in requests] == [0, 1024, 700]
    assert [request.row for request in requests] == ["1", "2", "3"]


def test_a_block_repeated_within_one_request_is_not_cached_yet(tmp_path: Path) -> None:
    row = '{"timestamp": 0, "input_length": 1024, "output_length": 1, "hash_ids": [5, 5]}\n'

    (request,) = opened("mooncake", written(tmp_path / "c.jsonl", row)).requests()

    assert request.cached_input_tokens == 0


def test_a_servegen_window_has_the_traces_own_number_of_requests_within_it(servegen: Trace) -> None:
    requests = list(servegen.requests())

    windows = Counter((request.client, request.offset_ms // 600_000) for request in requests)
    assert windows == {("0", 0): 300, ("4", 0): 30, ("4", 1): 60}
    assert servegen.total() == len(requests) == 390
    assert servegen.clients() == ["0", "4"]
    assert len({request.row for request in requests}) == 390


def test_servegen_requests_come_in_order_of_time(servegen: Trace) -> None:
    offsets = [request.offset_ms for request in servegen.requests()]

    assert offsets == sorted(offsets)


def test_servegen_draws_lengths_from_the_tables_of_its_client(servegen: Trace) -> None:
    requests = list(servegen.requests())

    first = [request for request in requests if request.client == "0"]
    other = [request for request in requests if request.client == "4"]
    assert {request.input_tokens for request in first} == {100, 200}
    assert {(request.output_tokens, request.reasoning_tokens) for request in first} == {(30, 15)}
    assert {request.input_tokens for request in other} == {7, 9}
    assert {(request.output_tokens, request.reasoning_tokens) for request in other} == {(2, 0)}


def test_servegen_is_drawn_the_same_each_time(servegen: Trace, tmp_path: Path) -> None:
    again = FORMATS["servegen"](tmp_path / "x_trace.csv", tmp_path / "x_dataset.jsonl")

    assert list(again.requests()) == list(servegen.requests())
    assert again.digest() == servegen.digest()
    # Of this generator and seed: a change of either would give other content under the same ids.
    drawn = [(r.offset_ms, r.input_tokens) for r in again.requests() if r.client == "0"]
    assert drawn[:3] == FIRST_DRAWN


FIRST_DRAWN = [(357, 100), (1663, 200), (1887, 200)]


def test_another_dataset_is_another_trace(servegen: Trace, tmp_path: Path) -> None:
    before = servegen.digest()
    written(tmp_path / "x_dataset.jsonl", LENGTHS.replace("{2: 1.0}", "{3: 1.0}"))

    assert servegen.digest() != before


def test_a_gzipped_trace_is_read_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "code.csv.gz"
    path.write_bytes(gzip.compress(AZURE.encode()))

    assert len(list(opened("azure-llm-2023", path).requests())) == 3


@pytest.mark.parametrize(
    ("form", "text", "line", "says"),
    [
        ("azure-llm-2023", AZURE + "2023-11-16 18:18:01,-1,2\n", 5, "ContextTokens"),
        ("azure-llm-2023", AZURE + "2023-11-16 18:18:01,1.5,2\n", 5, "ContextTokens"),
        ("azure-llm-2023", AZURE + "2023-11-31 18:18:01,1,2\n", 5, "TIMESTAMP"),
        ("azure-llm-2023", AZURE + "2023-11-16 18:18:01,1\n", 5, "3 fields"),
        ("azure-llm-2023", "time,in,out\n", 1, "header"),
        ("mooncake", MOONCAKE + "{}\n", 5, "hash_ids"),
        ("mooncake", MOONCAKE + "[1]\n", 5, "hash_ids"),
        ("mooncake", MOONCAKE + '{"timestamp": 0, "input_le', 5, "JSON"),
        ("mooncake", MOONCAKE + '{"timestamp": 0, "input_length": 5, "output_length": true, "hash_ids": []}', 5, "output_length"),
        ("mooncake", '{"timestamp": 0, "input_length": 5, "output_length": 1, "hash_ids": ["a"]}', 1, "hash_ids"),
        ("servegen", SERVEGEN + "0,1200,1,1,Pareto,1,1\n", 6, "Pareto"),
        ("servegen", SERVEGEN + "0,1200,-1,1,Gamma,1,1\n", 6, "negative"),
        ("servegen", SERVEGEN + "0,1200,x,1,Gamma,1,1\n", 6, "x"),
        ("servegen", SERVEGEN + "9,1200,1,1,Gamma,1,1\n", None, "client 9"),
    ],
)  # fmt: skip
def test_a_row_that_cannot_be_read_is_named_by_its_line(
    tmp_path: Path, form: str, text: str, line: int | None, says: str
) -> None:
    written(tmp_path / "x_dataset.jsonl", LENGTHS)
    path = written(tmp_path / "x_trace.csv", text)

    with pytest.raises(TraceError) as caught:
        list(opened(form, path).requests())

    assert says in str(caught.value)
    assert line is None or str(caught.value).startswith(f"{path}:{line}: ")


@pytest.mark.parametrize("row", ['{"client_id": 0}', "no json", LENGTHS.replace("0.5,", "0.1,").splitlines()[0]])
def test_a_bad_row_of_lengths_is_named_by_its_line(tmp_path: Path, row: str) -> None:
    dataset = written(tmp_path / "x_dataset.jsonl", LENGTHS + row + "\n")

    with pytest.raises(TraceError, match="4: is not a row of lengths") as caught:
        list(opened("servegen", written(tmp_path / "x_trace.csv", SERVEGEN)).requests())

    assert str(caught.value).startswith(f"{dataset}:4: ")


def test_a_missing_file_is_an_error_of_its_own(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match="cannot be read"):
        opened("mooncake", tmp_path / "nothing.jsonl").total()


def test_servegen_without_lengths_beside_it_says_how_to_name_them(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match="--dataset"):
        opened("servegen", written(tmp_path / "arrivals.csv", SERVEGEN))
