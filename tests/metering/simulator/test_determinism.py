import numpy as np

from metering.simulator.fleet import Fleet
from metering.simulator.pool import ENDED, NUMBER, TENANT
from tests.metering.simulator.plans import MINUTE_MS, START_MS, mixed_plan, ran, tenant


def test_the_same_plan_gives_the_same_run() -> None:
    first, second = (ran(mixed_plan(seed=7), 5) for _ in range(2))

    np.testing.assert_array_equal(first[1].rows, second[1].rows)
    np.testing.assert_array_equal(first[0].boards.energy_j, second[0].boards.energy_j)
    np.testing.assert_array_equal(first[0].counters.true, second[0].counters.true)


def test_another_seed_gives_another_run() -> None:
    first, second = (ran(mixed_plan(seed=seed), 2)[1].rows for seed in (1, 2))

    assert first.shape != second.shape or not np.array_equal(first, second)


def test_it_does_not_matter_in_which_steps_one_goes() -> None:
    whole, pieces = Fleet(mixed_plan()), Fleet(mixed_plan())
    at_once = whole.step(START_MS + 5 * MINUTE_MS).rows
    rows = [pieces.step(START_MS + 7_000 * number).rows for number in range(1, 43)]
    rows.append(pieces.step(START_MS + 5 * MINUTE_MS).rows)

    together = np.concatenate(rows, axis=1)
    order = np.lexsort((together[NUMBER], together[TENANT], together[ENDED]))
    expected = np.lexsort((at_once[NUMBER], at_once[TENANT], at_once[ENDED]))
    np.testing.assert_array_equal(together[:, order], at_once[:, expected])
    np.testing.assert_array_equal(whole.boards.energy_j, pieces.boards.energy_j)


def test_another_tenant_changes_nothing_for_what_the_first_sends() -> None:
    alone = mixed_plan()
    together = mixed_plan()
    object.__setattr__(together, "tenants", (*alone.tenants, tenant("new", 1.0)))
    first, second = Fleet(alone)._traffic.until(600), Fleet(together)._traffic.until(600)

    np.testing.assert_array_equal(first, second[:, second[TENANT] < len(alone.tenants)])
