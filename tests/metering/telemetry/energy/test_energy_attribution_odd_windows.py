"""Windows made by hand that are not as they should be: gaps, shared and unclaimed GPUs, events that are missing or tell little."""

import dataclasses

import numpy as np
import pytest

from tests.metering.telemetry.energy.hand import (
    BOOK,
    NAN,
    QUIET,
    UNTIL,
    Request,
    Rows,
    assert_conserved,
    block,
    by_load,
    computed,
    counting,
    drawing,
    engine,
    gpu,
    one_engine,
    ran,
)


def test_a_gap_in_the_samples_is_unattributed_whatever_ran_in_it() -> None:
    samples = [sample for sample in by_load([(60, 120)], UNTIL, 100, 500) if not 70 < sample[0] < 130]
    requests = [ran(60, 120)]
    running = engine("e0", ["g"], counting(requests, UNTIL), requests, windows=3)
    rows = computed(block([gpu("g", samples)], [running], windows=3, book=BOOK))
    assert_conserved(rows)
    in_gap = 50 * 500 + 10 * 100
    assert rows.column("unattributed_gap_j") == pytest.approx([0, in_gap * 50 / 60, in_gap * 10 / 60])
    assert rows.column("attributed_j")[1] == pytest.approx(5000)
    assert rows.column("gap_s") == pytest.approx([0, 50, 10])


def test_a_reset_and_power_alone_are_conserved_and_flagged() -> None:
    samples = [(at, 1e6 + at * 300 if at < 90 else (at - 90) * 300, 300.0) for at in np.arange(0, 190, 10.0)]
    samples[3] = (30.0, NAN, 300.0)
    requests = [ran(20, 140)]
    running = engine("e0", ["g"], counting(requests, UNTIL), requests, windows=3)
    rows = computed(block([gpu("g", samples)], [running], windows=3, book=BOOK))
    assert_conserved(rows)
    assert rows.column("counter_j") == pytest.approx([18_000] * 3)
    assert rows.column("power_integrated") == [True, True, False]


def test_a_sample_that_has_lost_both_counter_and_power_leaves_its_neighbours_joined() -> None:
    samples = [(at, NAN, NAN) if at == 60 else (at, 1e6 + at * 200, 200.0) for at in np.arange(0, 190, 10.0)]
    running = engine("e0", ["g"], QUIET, windows=3)
    rows = computed(block([gpu("g", samples)], [running], windows=3))
    assert_conserved(rows)
    assert rows.column("idle_j") == pytest.approx([12_000] * 3)


def test_engines_that_share_a_gpu_divide_its_work_and_halve_its_rest() -> None:
    """Both decode for a minute: each has the least that its output costs, and half of what is left."""
    requests = [
        ran(60, 120, prefill_s=0, prefill=0.0, output=90.0, engine="e0", tenant="a"),
        ran(60, 120, prefill_s=0, prefill=0.0, output=30.0, engine="e1", tenant="b"),
    ]
    engines = [
        engine(name, ["g"], counting(requests, UNTIL, engine=name), requests, windows=2) for name in ("e0", "e1")
    ]
    rows = computed(block([gpu("g", by_load([(60, 120)], UNTIL, 100, 500))], engines, windows=2, book=BOOK))
    assert_conserved(rows)
    assert rows.tenant_j("a", 2) == pytest.approx([0, 900 + 14_400])
    assert rows.tenant_j("b", 2) == pytest.approx([0, 300 + 14_400])
    assert rows.column("idle_j", "e0") == rows.column("idle_j", "e1") == pytest.approx([3000, 0])
    assert rows.column("counter_j", "e0") == pytest.approx([3000, 15_300])
    assert rows.column("engines_in_group") == [2, 2]


def test_of_engines_that_share_a_gpu_one_that_does_not_tell_when_it_decoded_has_its_part_by_tokens() -> None:
    requests = [
        Request(120, 60, 60, prefill=0.0, output=90.0, engine="e0", tenant="a"),
        Request(100, 100, 100, prefill=0.0, output=30.0, engine="e1", tenant="b"),
    ]
    engines = [
        engine(name, ["g"], counting(requests, UNTIL, engine=name), requests, windows=2) for name in ("e0", "e1")
    ]
    rows = computed(block([gpu("g", by_load([(60, 120)], UNTIL, 100, 500))], engines, windows=2, book=BOOK))
    assert_conserved(rows)
    assert rows.tenant_j("a", 2) == pytest.approx([0, 22_500])
    assert rows.tenant_j("b", 2) == pytest.approx([0, 7500])


def test_an_engine_on_several_gpus_has_the_energy_of_all() -> None:
    requests = [ran(60, 120)]
    gpus = [gpu(f"g{n}", by_load([(60, 120)], UNTIL, 100, 500)) for n in range(4)]
    running = engine("e0", [one.gpu for one in gpus], counting(requests, UNTIL), requests, windows=2)
    rows = computed(block(gpus, [running], windows=2, book=BOOK))
    assert_conserved(rows)
    assert rows.tenant_j("a", 2) == pytest.approx([0, 120_000])
    assert rows.column("gpu_s") == pytest.approx([240, 240])
    assert rows.column("busy_s") == pytest.approx([0, 60])


def test_gpus_that_no_engine_claims_are_unattributed_for_that_and_their_gaps_are_gaps() -> None:
    samples = [sample for sample in drawing(200, UNTIL) if not 60 < sample[0] < 120]
    rows = computed(block([gpu("g", drawing(100, UNTIL)), gpu("h", samples)], [], windows=3))
    assert_conserved(rows)
    assert rows.column("unattributed_no_engine_j", "") == pytest.approx([18_000, 6000, 18_000])
    assert rows.column("unattributed_gap_j", "") == pytest.approx([0, 12_000, 0])
    assert rows.of("")[0]["gpus"] == ["g", "h"]


def test_a_gpu_is_its_engines_from_when_it_claims_it() -> None:
    claims = engine("e0", ["g"], QUIET, windows=3)
    late = dataclasses.replace(claims, claims=(None, *claims.claims[1:]))
    rows = computed(block([gpu("g", drawing(100, UNTIL))], [late], windows=3))
    assert_conserved(rows)
    assert rows.column("unattributed_no_engine_j", "") == pytest.approx([6000])
    assert rows.column("idle_j") == pytest.approx([6000, 6000])


def test_no_events_at_all_on_a_busy_engine_is_energy_without_an_event() -> None:
    requests = [ran(60, 120)]
    running = engine("e0", ["g"], counting(requests, UNTIL), [], windows=3)
    rows = computed(block([gpu("g", by_load([(60, 120)], UNTIL, 100, 500))], [running], windows=3, book=BOOK))
    assert_conserved(rows)
    assert rows.column("unattributed_no_event_j")[1] > 0.9 * 30_000
    assert rows.column("missing_decode_tokens")[1] + rows.column("missing_decode_tokens")[2] == pytest.approx(10)
    assert rows.tenants == []


def with_withheld(withheld: bool) -> Rows:
    """One request after another; another tenant's, from 100 s to 190 s, is served beside them as fast as they are."""
    usual = [ran(at, at + 30, prefill_s=2, prefill=50.0, output=56.0, tenant="a") for at in range(0, 570, 10)]
    extra = ran(100, 190, prefill_s=8, prefill=200.0, output=164.0, tenant="b")
    served = [*usual, extra]
    told = usual if withheld else served
    running = engine("e0", ["g"], counting(served, UNTIL), told, windows=9)
    rows = computed(block([gpu("g", drawing(500, UNTIL))], [running], windows=9, book=BOOK))
    assert_conserved(rows)
    return rows


def test_the_energy_of_a_withheld_event_is_without_an_event_in_its_windows_and_nowhere_else() -> None:
    all_told, withheld = with_withheld(False), with_withheld(True)
    assert all_told.column("unattributed_no_event_j") == pytest.approx([0] * 9, abs=1e-6)
    lost = withheld.column("unattributed_no_event_j")
    # The engine counts up to its last sample in a window, which here is its edge: the very windows of the request.
    assert [round(joules) > 0 for joules in lost] == [False, True, True, True] + [False] * 5
    # 600 J of others' prompts a minute, and 336 tokens of their output.
    prompts, output = 200 * 2, [(30_000 - 1000) * 24 / 360, 29_400 * 120 / 456, 29_400 * 20 / 356]
    assert lost == pytest.approx([0, prompts + output[0], output[1], output[2], 0, 0, 0, 0, 0], abs=1e-6)
    # With its event it has its part by steps: a little less, as more tokens come from a step while it is served.
    owed = all_told.tenant_j("b", 9)
    assert sum(lost) == pytest.approx(sum(owed), rel=0.06)
    assert withheld.column("missing_prefill_tokens") == pytest.approx([0, 200, 0, 0, 0, 0, 0, 0, 0], abs=1e-6)
    assert sum(withheld.column("missing_decode_tokens")) == pytest.approx(164)


def test_windows_in_which_requests_were_aborted_have_that_for_a_cause() -> None:
    requests = [ran(60, 115)]
    samples = [sample | {"aborted": float(sample["at"] >= 120)} for sample in counting(requests, UNTIL)]
    rows = one_engine([], [(60, 115)], samples=samples)
    assert rows.column("unattributed_aborted_j")[1] > 0.9 * rows.column("counter_j")[1] - 6000
    assert rows.column("unattributed_no_event_j")[1] == 0
    assert rows.column("engine_requests_aborted")[1] == 1


def test_an_event_that_places_its_tokens_late_within_the_settle_time_misses_nothing() -> None:
    """Served evenly from 60 s to 200 s; the event has no latencies, so all of it lies at 200 s."""
    served = ran(60, 200, prefill=100.0, output=500.0)
    told = Request(200, 200, 200, prefill=100.0, output=500.0)
    running = engine("e0", ["g"], counting([served], UNTIL), [told], windows=6)
    rows = computed(block([gpu("g", drawing(500, UNTIL))], [running], windows=6, book=BOOK))
    assert_conserved(rows)
    assert rows.column("missing_decode_tokens") == pytest.approx([0] * 6, abs=1e-9)
    assert rows.column("missing_prefill_tokens") == pytest.approx([0] * 6, abs=1e-9)


def test_busy_energy_without_any_work_goes_by_the_time_that_requests_ran() -> None:
    """Prompts that come whole from the cache, before their first token: no work, and no one else to ask."""
    requests = [
        Request(200, 60, 180, prefill=0.0, output=10.0, cached=900.0, tenant="a"),
        Request(200, 90, 180, prefill=0.0, output=10.0, cached=900.0, tenant="b"),
    ]
    rows = one_engine(requests, [(60, 200)])
    assert rows.tenant_j("a", 4)[1] == pytest.approx(30_000 * 60 / 90)
    assert rows.tenant_j("b", 4)[1] == pytest.approx(30_000 * 30 / 90)


def test_a_failed_request_without_tokens_is_a_moment_and_has_no_share() -> None:
    requests = [ran(60, 120, tenant="a"), Request(100, 100, 100, prefill=0.0, output=0.0, tenant="b")]
    rows = one_engine(requests, [(60, 120)])
    assert rows.tenant_j("b", 3) == [0, 0, 0]
    assert rows.tenant_j("a", 3)[1] == pytest.approx(30_000)


def test_a_prompt_that_took_no_time_is_work_in_the_window_of_its_first_token() -> None:
    requests = [
        Request(120, 60, 60, prefill=100.0, output=20.0, tenant="a"),
        Request(120, 60, 90, prefill=100.0, output=20.0, tenant="b"),
    ]
    rows = one_engine(requests, [(60, 120)])
    assert rows.tenant_j("a", 3) == pytest.approx([0, 200 + 29_600 * 45 / 60, 0])
    assert rows.tenant_j("b", 3) == pytest.approx([0, 200 + 29_600 * 15 / 60, 0])


def test_an_event_without_latencies_works_at_its_moment_and_the_samples_say_how_long() -> None:
    told = Request(100, 100, 100, tenant="a")
    samples = [{"at": at * 10.0, "running": float(60 < at * 10 < 100)} for at in range(61)]
    rows = one_engine([told], [(65, 95)], samples=samples)
    assert rows.tenant_j("a", 3)[1] == pytest.approx(15_000)


def test_an_engine_that_restarts_in_a_window_keeps_it_conserved_and_is_counted() -> None:
    requests = [ran(at, at + 25, output=50.0) for at in range(0, 570, 10)]
    before, after = counting(requests, 90), counting(requests, UNTIL, begin=100)
    lost = after[0]
    anew = [
        sample | {name: sample[name] - lost[name] for name in ("prompt", "cached", "generated", "finished")}
        for sample in after
    ]
    running = engine("e0", ["g"], [*before, *anew], requests, windows=4)
    rows = computed(block([gpu("g", drawing(500, UNTIL))], [running], windows=4, book=BOOK))
    assert_conserved(rows)
    assert rows.column("engine_restarts") == [0, 1, 0, 0]
    assert rows.column("unattributed_no_event_j") == pytest.approx([0] * 4, abs=1e-6)


def test_a_window_without_any_events_or_engine_samples_rests() -> None:
    rows = one_engine([], [])
    assert rows.column("idle_j") == pytest.approx([6000] * 3)
    assert rows.tenants == []


def test_an_engine_without_gpus_keeps_its_tokens_and_has_no_energy() -> None:
    requests = [ran(10, 40)]
    running = engine("e0", [], counting(requests, UNTIL), requests, windows=1)
    rows = computed(block([], [running], windows=1))
    assert_conserved(rows)
    assert rows.column("engine_decode_tokens") == pytest.approx([10])
    assert (rows.column("counter_j"), rows.tenants[0]["energy_j"]) == ([0], 0)


def test_computing_again_gives_the_same_rows_to_the_last_bit() -> None:
    first, second = with_withheld(True), with_withheld(True)
    assert first.windows == second.windows
    assert first.tenants == second.tenants
