"""Which GPUs and engines form one group."""

from metering.telemetry.energy.groups import Group, grouped


def test_engines_that_share_no_gpu_are_groups_of_their_own() -> None:
    assert grouped({"b": ["2"], "a": ["0", "1"]}, "012") == (Group(("a",), ("0", "1")), Group(("b",), ("2",)))


def test_engines_that_share_a_gpu_are_one_group_with_all_that_they_run_on() -> None:
    assert grouped({"a": ["0"], "b": ["0", "1"]}, "01") == (Group(("a", "b"), ("0", "1")),)


def test_sharing_carries_from_engine_to_engine() -> None:
    claims = {"a": ["0", "1"], "c": ["2", "3"], "b": ["1", "2"], "d": ["4"]}
    assert grouped(claims, "01234") == (Group(("a", "b", "c"), ("0", "1", "2", "3")), Group(("d",), ("4",)))


def test_gpus_that_no_engine_claims_are_the_last_group() -> None:
    assert grouped({"a": ["1"]}, "012") == (Group(("a",), ("1",)), Group((), ("0", "2")))


def test_an_engine_without_samples_of_its_gpus_is_a_group_without_gpus() -> None:
    assert grouped({"a": ["x"], "b": []}, ["0"]) == (Group(("a",), ()), Group(("b",), ()), Group((), ("0",)))
