"""How well energy is accounted for: is every window conserved, how much is nobody's, and how sure the coefficients are."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.db.models import QuerySet

from metering import moments
from metering.clickhouse import client
from metering.clickhouse.queries.energy_report import EnergyState
from metering.models import EnergyCoefficients
from metering.telemetry.energy.attribution import TOLERANCE
from metering.telemetry.energy.coefficients import (
    ASSUMED_DECODE_J,
    ASSUMED_ID,
    ASSUMED_PREFILL_CONTEXT_J,
    ASSUMED_PREFILL_J,
)

WATCHED = timedelta(hours=24)
TIMEOUT_S = 10.0
PARTS = ("attributed", "idle", "gap", "no_event", "aborted", "no_engine")


@dataclass(frozen=True)
class CoefficientsInfo:
    """What tokens cost, with standard errors. `assumed`: there is no fit that could be used, so none of it is measured.

    `prefill_j`: joules of a prompt token, the baseline included, and `prefill_context_j` more for each token that stands before it.
    `decode_j`: the least of an output token; what output costs is measured in every window. `decode_w`: what a GPU draws while it decodes,
    above idle; None if assumed.
    `latest_refused`: why a fit that is newer than this one is not used; '' if there is none.
    """

    id: int
    model: str
    product: str
    simulated: bool
    prefill_j: float
    prefill_context_j: float
    decode_j: float
    assumed: bool
    latest_refused: str
    decode_w: float | None = None
    prefill_error_j: float | None = None
    prefill_context_error_j: float | None = None
    decode_error_j: float | None = None
    decode_error_w: float | None = None
    r_squared: float | None = None
    windows: int = 0
    data_from: datetime | None = None
    data_until: datetime | None = None
    effective_from: datetime | None = None


@dataclass(frozen=True)
class EnergyHealth:
    """Of the 24 hours up to `until`. `shares` of the counters' joules, by PARTS; empty without any energy."""

    until: datetime
    latest_window: datetime | None
    windows: int
    worst_error: float  # relative
    windows_not_conserved: int
    counter_j: float
    shares: Mapping[str, float]
    coefficients: tuple[CoefficientsInfo, ...]
    simulated: bool


def energy_health(now: datetime) -> EnergyHealth:
    """Raises ClickHouseUnavailable or ClickHouseRefused."""
    since = now - WATCHED
    query = EnergyState(moments.seconds(since), moments.seconds(now), round(TOLERANCE * 10**9))
    windows, worst, violated, counter, *parts, simulated, latest = client.run(query, timeout_s=TIMEOUT_S).rows[0]
    return EnergyHealth(
        until=now,
        latest_window=datetime.fromtimestamp(latest, UTC) if latest else None,
        windows=int(windows),
        worst_error=float(worst),
        windows_not_conserved=int(violated),
        counter_j=float(counter),
        shares={name: joules / counter for name, joules in zip(PARTS, parts, strict=True)} if counter > 0 else {},
        coefficients=tuple(coefficients_in_use()),
        simulated=bool(simulated),
    )


def coefficients_in_use() -> list[CoefficientsInfo]:
    """Of each model and product that was ever fitted: the latest fit that is used, or what is assumed instead."""
    used = {_key(row): row for row in _latest(EnergyCoefficients.objects.filter(accepted=True))}
    return [_in_use(used.get(_key(row)), row) for row in _latest(EnergyCoefficients.objects.all())]


def _latest(rows: QuerySet[EnergyCoefficients]) -> QuerySet[EnergyCoefficients]:
    key = ("model", "product", "simulated")
    return rows.order_by(*key, "-effective_from", "-id").distinct(*key)


def _key(row: EnergyCoefficients) -> tuple[str, str, bool]:
    return row.model, row.product, row.simulated


def _in_use(used: EnergyCoefficients | None, latest: EnergyCoefficients) -> CoefficientsInfo:
    refused = "" if latest.accepted else latest.reason
    if used is None:
        return CoefficientsInfo(
            id=ASSUMED_ID,
            model=latest.model,
            product=latest.product,
            simulated=latest.simulated,
            prefill_j=ASSUMED_PREFILL_J,
            prefill_context_j=ASSUMED_PREFILL_CONTEXT_J,
            decode_j=ASSUMED_DECODE_J,
            assumed=True,
            latest_refused=refused,
        )
    return CoefficientsInfo(
        id=used.pk,
        model=used.model,
        product=used.product,
        simulated=used.simulated,
        prefill_j=used.prefill_j,
        prefill_context_j=used.prefill_context_j,
        decode_j=used.decode_j,
        assumed=False,
        latest_refused=refused,
        decode_w=used.decode_w,
        prefill_error_j=used.prefill_error_j,
        prefill_context_error_j=used.prefill_context_error_j,
        decode_error_j=used.decode_error_j,
        decode_error_w=used.decode_error_w,
        r_squared=used.r_squared,
        windows=used.windows,
        data_from=used.data_from,
        data_until=used.data_until,
        effective_from=used.effective_from,
    )
