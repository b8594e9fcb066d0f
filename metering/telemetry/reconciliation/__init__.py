"""Reconciliation, or leakage: what engines counted against what events account for, per engine and hour. See docs/reconciliation.md.

Owns: the comparison, its sums over hours and engines, and the state of alert. Does not own: the windows it reads (`telemetry/energy`
writes them), what is billed (the ledger), the delivery of alerts.

Invariants:
- An hour of an engine is compared as a whole, or it is incomplete and in no share. Nothing is filled in for it.
- Input and output are compared apart, and excess never makes up for shortage: not between the two, nor between hours or engines.
- Sums over any hours and engines are the sums of theirs.
"""
