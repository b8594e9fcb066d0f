"""Sealing with what belongs around it: this host's progress before, so that what it has inserted can be sealed, and the live
rollups corrected after."""

import time
from datetime import datetime

from metering import ledger, rollup_correction
from metering.ingest import hosts
from metering.ledger import HoldingHost, SealBusy, SealOutcome


class SealHeld(RuntimeError):
    """The watermark did not get past the moment asked for; `hosts` are those that keep it back."""

    def __init__(self, moment: datetime, held_by: list[HoldingHost]) -> None:
        names = "; ".join(
            f"{host.name} has settled up to {host.settled_before.isoformat()}"
            + (" and is silent" if host.silent else "")
            for host in held_by
        )
        super().__init__(f"events accepted before {moment.isoformat()} are not all inserted yet: {names}")
        self.hosts = held_by


def seal_usage(*, now: bool = False) -> SealOutcome:
    """As ledger.seal_usage, with this host's progress as of this moment. Then duplicates are taken out of the live rollups."""
    hosts.publish_if_used()
    outcome = ledger.seal_usage(now=now)
    rollup_correction.correct_if_possible()
    return outcome


def seal_everything_before(moment: datetime, *, wait_s: float = 60) -> SealOutcome:
    """Seal until all that was accepted before `moment` is in the ledger; SealHeld when `wait_s` is over.

    With no ingest host there is nothing to wait for, and the outcome's seal may be None.
    """
    deadline = time.monotonic() + wait_s
    while True:
        try:
            outcome = seal_usage(now=True)
        except SealBusy:
            outcome = SealOutcome(ledger.latest_seal(), held_by=ledger.holding_hosts())
        if not outcome.held_by or (outcome.seal is not None and outcome.seal.watermark >= moment):
            return outcome
        if time.monotonic() >= deadline:
            raise SealHeld(moment, [host for host in outcome.held_by if host.settled_before < moment])
        time.sleep(0.25)
