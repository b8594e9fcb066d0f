"""What the stack must hold in the end, computed from the plan alone, and every difference to what it does hold."""

from collections import Counter
from typing import Any

import numpy as np

from tests.chaos.events import MODELS, SOURCES, TENANTS, Events
from tests.chaos.plan import Plan

READERS = ("ledger", "raw", "current", "rollup")  # all must say the same in the end
Totals = dict[tuple[str, str], tuple[int, ...]]  # (tenant, model) -> requests, input, output, cached


def expected_totals(events: Events) -> Totals:
    """Every identity once, with the content of its first copy."""
    cell = events.tenant * len(MODELS) + events.model
    size = len(TENANTS) * len(MODELS)
    columns = [np.bincount(cell, minlength=size)]
    for values in (events.input_tokens, events.output_tokens, events.cached):
        sums = np.zeros(size, np.int64)
        np.add.at(sums, cell, values)
        columns.append(sums)
    table = np.stack(columns, axis=1).tolist()
    return {
        (TENANTS[index // len(MODELS)], MODELS[index % len(MODELS)]): tuple(row)
        for index, row in enumerate(table)
        if row[0]
    }


def expected_identities(events: Events) -> dict[str, tuple[int, int]]:
    """Tenant -> distinct identities and the sum of the numbers in their ids."""
    keys = np.unique((events.number * len(SOURCES) + events.source) * len(TENANTS) + events.tenant)
    tenant, number = keys % len(TENANTS), keys // len(TENANTS) // len(SOURCES)
    counts = np.bincount(tenant, minlength=len(TENANTS))
    sums = np.zeros(len(TENANTS), np.int64)
    np.add.at(sums, tenant, number)
    return {TENANTS[i]: (int(counts[i]), int(sums[i])) for i in range(len(TENANTS)) if counts[i]}


def expected_conflicts(conflicts: Events) -> set[tuple[Any, ...]]:
    return {(t, s, i, m, o) for i, s, t, m, _, _, _, o in conflicts.rows}


def differences(plan: Plan, found: dict[str, Any], stored_at_most: int) -> list[str]:
    """One line for each figure that is not what it must be. `stored_at_most`: events of all attempts, answered or not."""
    return [
        *_usage_differences(plan, found),
        *(f"ledger against raw events: {each}" for each in found["differences"]),
        *_identity_differences(plan, found),
        *_quarantine_differences(plan, found),
        *_conflict_differences(plan, found),
        *_plausibility(plan, found, stored_at_most),
        *(f"{count} files are left in {name}/" for name, count in found["spool"].items() if count and name != "done"),
    ]


def _usage_differences(plan: Plan, found: dict[str, Any]) -> list[str]:
    expected = expected_totals(plan.events)
    lines = []
    for which in READERS:
        held = {(row[0], row[1]): tuple(row[2:]) for row in found[which]}
        lines += [
            f"{which} of {key}: (requests, input, output, cached) {held.get(key)}, expected {expected.get(key)}"
            for key in sorted(expected.keys() | held.keys())
            if held.get(key) != expected.get(key)
        ]
    return lines


def _identity_differences(plan: Plan, found: dict[str, Any]) -> list[str]:
    expected = expected_identities(plan.events)
    held = {row[0]: (row[2], row[3]) for row in found["stored"]}
    return [
        f"identities of {tenant}: (count, sum of numbers) {held.get(tenant)}, expected {expected.get(tenant)}"
        for tenant in sorted(expected.keys() | held.keys())
        if held.get(tenant) != expected.get(tenant)
    ]


def _quarantine_differences(plan: Plan, found: dict[str, Any]) -> list[str]:
    expected = set(plan.invalid.items())
    held = {(row[0], row[1]) for row in found["quarantine"]}
    return [f"quarantine lacks {each}" for each in sorted(expected - held)] + [
        f"quarantine has {each}" for each in sorted(held - expected)
    ]


def _conflict_differences(plan: Plan, found: dict[str, Any]) -> list[str]:
    expected = expected_conflicts(plan.conflicts)
    held = {tuple(row[:5]) for row in found["conflicts"]}
    return [f"conflict not listed: {each}" for each in sorted(expected - held)] + [
        f"listed as a conflict: {each}" for each in sorted(held - expected)
    ]


def _plausibility(plan: Plan, found: dict[str, Any], stored_at_most: int) -> list[str]:
    """Duplicates are what is stored beyond the ledger, and lie between what was sent on purpose and all attempts together."""
    seals = found["seals"]
    stored = sum(row[1] for row in found["stored"])
    least = sum(len(job.events) for job in plan.jobs)
    conflicting = Counter(job.why for job in plan.jobs for _ in range(len(job.events)))["conflicting"]
    checks = {
        f"{stored} rows stored, at least {least} were acknowledged": stored >= least,
        f"{stored} rows stored, at most {stored_at_most} were sent": stored <= stored_at_most,
        f"{seals['events']} events sealed, {len(plan.events)} identities": seals["events"] == len(plan.events),
        f"{seals['duplicates']} duplicates sealed, {stored - len(plan.events)} are stored": seals["duplicates"]
        == stored - len(plan.events),
        f"{seals['conflicts']} conflicts sealed, {conflicting} were sent": seals["conflicts"] >= conflicting,
    }
    return [title for title, holds in checks.items() if not holds]
