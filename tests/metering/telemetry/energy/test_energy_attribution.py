"""Windows made by hand: whose each joule is, by formulas that are worked out here, and conservation in all of them."""

import dataclasses
from typing import Any

import numpy as np
import pytest

from metering.telemetry.energy import blocks
from metering.telemetry.energy.arrays import Floats
from metering.telemetry.energy.coefficients import ASSUMED_DECODE_J, ASSUMED_PREFILL_J, Book, Coefficients
from metering.telemetry.energy.rest import RestingHour
from metering.telemetry.energy.sharing import Shared
from metering.telemetry.energy.timing import GroupTime, Split
from tests.metering.telemetry.energy.hand import (
    BOOK,
    NAN,
    QUIET,
    START_S,
    TENANTS,
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
    placed,
    ran,
)


def test_prompts_have_what_their_tokens_cost_and_output_what_they_leave() -> None:
    """Both have their prompts computed in the first ten seconds, and answer in the other fifty, one token of each in every step."""
    requests = [
        ran(60, 120, prefill=500.0, output=100.0, tenant="a", prefill_s=10),
        ran(60, 120, prefill=100.0, output=30.0, tenant="b", prefill_s=10),
    ]
    rows = one_engine(requests, [(60, 120)])
    output = 30_000 - 2 * 600
    assert rows.tenant_j("a", 3) == pytest.approx([0, 1000 + output / 2, 0])
    assert rows.tenant_j("b", 3) == pytest.approx([0, 200 + output / 2, 0])
    assert rows.column("idle_j") == pytest.approx([6000, 0, 6000])
    assert rows.column("busy_s") == pytest.approx([0, 60, 0])
    assert rows.column("prefill_s") == pytest.approx([0, 10, 0])
    assert rows.column("work_prefill_context") == pytest.approx([0, 500 * 250 + 100 * 50, 0])
    assert rows.column("coefficients_id") == [7, 7, 7]


def test_where_both_cost_more_than_was_burned_both_have_less_in_proportion() -> None:
    """By the coefficients 60 kJ of prompts and 60 kJ of output at the least, and 30 kJ were burned."""
    requests = [
        Request(120, 60, 120, prefill=30_000.0, output=0.0, tenant="a"),
        Request(120, 60, 60, prefill=0.0, output=6000.0, tenant="b"),
    ]
    rows = one_engine(requests, [(60, 120)])
    assert rows.tenant_j("a", 3) == pytest.approx([0, 15_000, 0])
    assert rows.tenant_j("b", 3) == pytest.approx([0, 15_000, 0])


def test_a_long_prompt_costs_more_per_token_than_short_ones_and_cached_tokens_count_as_context() -> None:
    """At 1 J a token and 10 mJ more for each before it; nothing else runs, so that all is scaled to what was burned."""
    book = Book.of([Coefficients(7, "m", "H100", False, 1.0, 0.01, 10.0, 0)])
    requests = [
        Request(80, 60, 80, prefill=1000.0, output=0.0, tenant="a"),
        Request(100, 80, 100, prefill=100.0, output=0.0, tenant="b"),
        Request(120, 100, 120, prefill=100.0, cached=900.0, output=0.0, tenant="c"),
    ]
    running = engine("e0", ["g"], counting(requests, UNTIL), requests, windows=2)
    rows = computed(block([gpu("g", by_load([(60, 120)], UNTIL, 100, 500))], [running], windows=2, book=book))
    assert_conserved(rows)
    costs = {"a": 1000 * (1 + 0.01 * 500), "b": 100 * (1 + 0.01 * 50), "c": 100 * (1 + 0.01 * 950)}
    for tenant, cost in costs.items():
        assert rows.tenant_j(tenant, 2)[1] == pytest.approx(30_000 * cost / sum(costs.values()))


def test_a_step_costs_the_same_whether_one_decodes_in_it_or_two() -> None:
    """One from 60 to 120 s, another beside it from 90 s on: the first has 30 s alone and half of the other 30 s, however much each said."""
    requests = [
        Request(120, 60, 60, prefill=0.0, output=60.0, tenant="a"),
        Request(120, 90, 90, prefill=0.0, output=500.0, tenant="b"),
    ]
    rows = one_engine(requests, [(60, 120)])
    assert rows.tenant_j("a", 3)[1] == pytest.approx(30_000 * 45 / 60)
    assert rows.tenant_j("b", 3)[1] == pytest.approx(30_000 * 15 / 60)


def test_output_without_latencies_has_its_part_by_tokens_and_the_rest_goes_by_steps() -> None:
    requests = [
        Request(120, 60, 60, prefill=0.0, output=40.0, tenant="a"),
        Request(120, 60, 60, prefill=0.0, output=20.0, tenant="b"),
        Request(100, 100, 100, prefill=0.0, output=30.0, tenant="c"),
    ]
    rows = one_engine(requests, [(60, 120)])
    assert [rows.tenant_j(tenant, 3)[1] for tenant in "abc"] == pytest.approx([10_000, 10_000, 10_000])


def test_output_that_no_event_tells_of_has_its_part_by_tokens() -> None:
    """Two thirds of a minute's output have no event, and a third of its prompt tokens, at the context of the others."""
    book = Book.of([Coefficients(7, "m", "H100", False, 1.0, 0.01, 10.0, 0)])
    told = ran(60, 119, prefill=200.0, output=30.0, tenant="a", prefill_s=9)
    others = [ran(60, 119, prefill=0.0, output=60.0, prefill_s=9), ran(60, 119, prefill=100.0, output=0.0, prefill_s=9)]
    running = engine("e0", ["g"], counting([told, *others], UNTIL), [told], windows=2)
    rows = computed(block([gpu("g", by_load([(60, 119)], UNTIL, 100, 500))], [running], windows=2, book=book))
    assert_conserved(rows)
    busy = rows.column("attributed_j")[1] + rows.column("unattributed_no_event_j")[1]
    prompts = 200 * (1 + 0.01 * 100)
    output = busy - 1.5 * prompts
    assert rows.column("missing_decode_tokens")[1] == pytest.approx(60)
    assert rows.column("work_prefill_context")[1] == pytest.approx(300 * 100)
    assert rows.tenant_j("a", 2)[1] == pytest.approx(prompts + output / 3)
    assert rows.column("unattributed_no_event_j")[1] == pytest.approx(prompts / 2 + 2 * output / 3)


def test_a_minute_of_output_alone_is_all_its_and_one_of_prompts_alone_all_theirs() -> None:
    requests = [Request(180, 60, 120, prefill=50.0, output=7.0, tenant="a")]
    rows = one_engine(requests, [(60, 180)])
    assert rows.tenant_j("a", 3) == pytest.approx([0, 30_000, 30_000])
    assert rows.column("attributed_j") == pytest.approx([0, 30_000, 30_000])


def test_it_agrees_with_a_loop_over_seconds_and_requests() -> None:
    random = np.random.default_rng(11)
    requests = []
    for _ in range(60):
        begin = int(random.integers(0, 150))
        first = begin + int(random.integers(1, 8))
        given = {
            name: float(random.integers(1, most)) for name, most in (("prefill", 500), ("output", 300), ("cached", 900))
        }
        requests.append(
            Request(first + int(random.integers(1, 60)), begin, first, tenant="abc"[random.integers(3)], **given)
        )
    samples = [(10.0 * n, float(joules), NAN) for n, joules in enumerate(np.cumsum(random.uniform(500, 5000, 25)))]
    known = Coefficients(7, "m", "H100", False, 0.5, 0.001, 3.0, 0)
    running = engine("e0", ["g"], counting(requests, 240), requests, windows=3)
    rows = computed(block([gpu("g", samples)], [running], windows=3, book=Book.of([known])))
    assert_conserved(rows)
    burned = [samples[6 * n + 6][1] - samples[6 * n][1] for n in range(3)]
    expected = paid_by_second(requests, known, burned)
    assert rows.column("idle_j") == pytest.approx([0, 0, 0])
    for tenant in "abc":
        assert rows.tenant_j(tenant, 3) == pytest.approx(expected[tenant])


def paid_by_second(requests: list[Request], known: Coefficients, burned: list[float]) -> dict[str, list[float]]:
    """By tenant and minute. Times are whole seconds; `burned` is by minute, all of it busy."""
    paid = {tenant: [0.0] * len(burned) for tenant in "abc"}
    for minute, joules in enumerate(burned):
        prompts, steps, tokens = dict.fromkeys("abc", 0.0), dict.fromkeys("abc", 0.0), 0.0
        for second in range(60 * minute, 60 * minute + 60):
            decoding = [one for one in requests if one.first <= second < one.end]
            for one in decoding:
                steps[one.tenant] += 1 / len(decoding)
                tokens += one.output / (one.end - one.first)
            for one in requests:
                if one.begin <= second < one.first:
                    each = known.prefill_j + known.prefill_context_j * (one.cached + one.prefill / 2)
                    prompts[one.tenant] += each * one.prefill / (one.first - one.begin)
        output = max(joules - sum(prompts.values()), known.decode_j * tokens)
        scale = joules / (sum(prompts.values()) + output)
        for tenant in "abc":
            paid[tenant][minute] = scale * (prompts[tenant] + output * steps[tenant] / sum(steps.values()))
    return paid


def test_a_request_that_crosses_an_edge_pays_in_both_windows_for_what_it_did_in_each() -> None:
    """Its prompt takes 50 to 60 s, its output 60 to 90 s; the other one answers from 50 to 90 s."""
    requests = [
        Request(90, 50, 60, prefill=300.0, output=60.0, tenant="a"),
        Request(90, 50, 50, prefill=0.0, output=40.0, tenant="b"),
    ]
    rows = one_engine(requests, [(50, 90)])
    assert rows.column("attributed_j")[:2] == pytest.approx([5000, 15_000])
    assert rows.tenant_j("a", 3) == pytest.approx([600, 7500, 0])
    assert rows.tenant_j("b", 3) == pytest.approx([4400, 7500, 0])


def test_a_segment_that_is_idle_in_part_burns_idle_power_meanwhile() -> None:
    """Busy from 64 to 66 s: the segment from 60 to 70 s has 8 s at 100 W and 2 s at 500 W."""
    rows = one_engine([ran(64, 66)], [(64, 66)])
    assert rows.column("idle_j")[1] == pytest.approx(5000 + 800)
    assert rows.column("attributed_j")[1] == pytest.approx(1000)
    assert rows.column("idle_power_w") == pytest.approx([100, 100, 100])


def test_idle_energy_is_never_more_than_the_segment_has() -> None:
    """Rested at 100 W before, but in the busy segment the counter says 50 W: idle takes all of it."""
    samples = [*drawing(100, 60), (70, 1e6 + 6500, NAN), (120, 1e6 + 11_500, NAN)]
    samples = [*samples[:-1], *((70 + n * 10, 1e6 + 6500 + n * 1000, NAN) for n in range(1, 6))]
    running = engine("e0", ["g"], QUIET, [ran(64, 66)], windows=2)
    rows = computed(block([gpu("g", samples)], [running], windows=2, book=BOOK))
    assert_conserved(rows)
    assert rows.column("idle_j")[1] == pytest.approx(500 + 5000)
    assert rows.column("attributed_j")[1] == pytest.approx(0)


def test_gpus_that_never_rested_have_the_lowest_power_seen_for_idle_power() -> None:
    requests = [ran(n * 10 + 2, n * 10 + 12) for n in range(-1, 61)]
    rows = one_engine(requests, [(-8, 700)], windows=2)
    assert rows.column("idle_j") == pytest.approx([0, 0])
    assert rows.column("idle_power_measured") == [False, False]
    assert rows.column("idle_power_w") == pytest.approx([500, 500])


def test_idle_power_of_the_day_before_holds_where_nothing_rests_now() -> None:
    requests = [ran(n * 10, n * 10 + 9) for n in range(60)]
    running = engine(
        "e0",
        ["g"],
        counting(requests, UNTIL),
        requests,
        windows=1,
        rested=(RestingHour(START_S // 3600 - 1, 8000.0, 100.0, 70.0),),
    )
    rows = computed(block([gpu("g", drawing(400, 300))], [running], windows=1, book=BOOK))
    assert_conserved(rows)
    assert rows.column("idle_j") == pytest.approx([6 * 80])
    assert rows.column("idle_power_measured") == [True]


def test_without_a_fit_the_assumed_coefficients_are_used_and_said_to_be() -> None:
    requests = [
        ran(60, 120, prefill=1000.0, output=0.0, tenant="a", prefill_s=60),
        ran(60, 120, prefill_s=0, prefill=0.0, output=100.0, tenant="b"),
    ]
    running = engine("e0", ["g"], counting(requests, UNTIL), requests, windows=2)
    rows = computed(block([gpu("g", by_load([(60, 120)], UNTIL, 100, 500))], [running], windows=2))
    prompt = 1000 * ASSUMED_PREFILL_J
    assert prompt + 100 * ASSUMED_DECODE_J < 30_000
    assert rows.tenant_j("a", 2)[1] == pytest.approx(prompt)
    assert rows.tenant_j("b", 2)[1] == pytest.approx(30_000 - prompt)
    assert rows.column("coefficients_id") == [0, 0]


def test_coefficients_hold_from_their_moment_on() -> None:
    book = Book.of(
        [
            Coefficients(1, "m", "H100", False, 1.0, 0.0, 1.0, 0),
            Coefficients(2, "m", "H100", False, 1.0, 0.0, 9.0, START_S + 60),
            Coefficients(3, "m", "H100", True, 5.0, 0.0, 5.0, 0),
            Coefficients(4, "other", "H100", False, 5.0, 0.0, 5.0, 0),
        ]
    )
    rows = computed(
        block([gpu("g", drawing(100, UNTIL))], [engine("e0", ["g"], QUIET, windows=3)], windows=3, book=book)
    )
    assert rows.column("coefficients_id") == [1, 2, 2]


def test_the_work_of_a_window_is_the_same_whatever_block_it_is_computed_in() -> None:
    requests = [ran(at, at + 47, prefill=30.0 + at, output=40.0, tenant="ab"[at % 2]) for at in range(3, 900, 13)]
    gpus = [gpu("g", by_load([(0, 900)], 960, 100, 480, step=7))]
    hidden = requests[20:24]
    told = [request for request in requests if request not in hidden]

    def rows(windows: int) -> Rows:
        return computed(
            block(gpus, [engine("e0", ["g"], counting(requests, 960), told, windows=windows)], windows=windows)
        )

    long, short = rows(12), rows(3)
    for name in ("counter_j", "attributed_j", "unattributed_no_event_j", "missing_decode_tokens", "idle_j"):
        assert short.column(name) == pytest.approx(long.column(name)[:3])
    assert short.tenant_j("a", 3) == pytest.approx(long.tenant_j("a", 12)[:3])


def test_a_term_that_is_computed_wrong_does_not_pass_for_the_counter(monkeypatch: pytest.MonkeyPatch) -> None:
    right = blocks.split

    def wrong(time: GroupTime, idle_power_w: Floats) -> Split:
        found = right(time, idle_power_w)
        return Split(found.idle_j * 1.001, found.busy_j)

    monkeypatch.setattr(blocks, "split", wrong)
    running = engine("e0", ["g"], QUIET, windows=2)
    rows = computed(block([gpu("g", drawing(100, UNTIL))], [running], windows=2))
    assert rows.column("conservation_error") == pytest.approx([0.001, 0.001])
    assert rows.column("counter_j") == pytest.approx([6000, 6000])


def test_a_tenants_row_that_is_lost_does_not_pass_either(monkeypatch: pytest.MonkeyPatch) -> None:
    right = blocks.share

    def wrong(*given: Any) -> list[Shared]:
        (found,), (worker,) = right(*given), given[-1]
        lost = worker.placed.label == TENANTS.index("b")
        return [dataclasses.replace(found, request=np.where(lost, 0.0, found.request))]

    monkeypatch.setattr(blocks, "share", wrong)
    requests = [ran(60, 120, tenant="a"), ran(60, 120, tenant="b")]
    running = engine("e0", ["g"], counting(requests, UNTIL), requests, windows=2)
    rows = computed(block([gpu("g", by_load([(60, 120)], UNTIL, 100, 500))], [running], windows=2))
    assert rows.column("conservation_error") == pytest.approx([0, 0.5])


def test_requests_are_placed_in_windows_as_if_one_by_one() -> None:
    random = np.random.default_rng(5)
    requests = []
    for _ in range(300):
        begin, first, end = sorted(random.integers(-200, 400, 3) * random.choice([1.0, 0.25]))
        requests.append(Request(float(end), float(begin), float(first), tenant="abc"[random.integers(3)]))
    requests += [Request(at, at, at) for at in (-60.0, 0.0, 59.5, 60.0, 119.999, 120.0, 180.0)]
    rows = computed(block([], [engine("e0", [], QUIET, requests, windows=3)], windows=3))
    found = sorted(
        (
            int(row["window_start"].timestamp() - START_S) // 60,
            row["tenant"],
            row["prefill_tokens"],
            row["decode_tokens"],
            row["requests"],
        )
        for row in rows.tenants
    )
    expected = [
        (one["window"], one["tenant"], one["prefill"], one["decode"], one["requests"]) for one in placed(requests, 3)
    ]
    assert [one[:2] for one in found] == [one[:2] for one in expected]
    assert np.allclose([one[2:] for one in found], [one[2:] for one in expected])
