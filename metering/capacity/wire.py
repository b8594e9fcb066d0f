"""Forecasts and fleets as JSON and back. Numbers keep six significant digits. Pure."""

from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any

import numpy as np
import numpy.typing as npt

from metering.capacity.backtest import Score
from metering.capacity.fleet import Fleet, Pool, Site
from metering.capacity.forecast import Forecast, Shape
from metering.capacity.limits import Limit, Line

Floats = npt.NDArray[np.float64]


def numbers(values: Floats) -> list[float]:
    return [short(float(value)) for value in values]


def short(value: float) -> float:
    return float(f"{value:.6g}")


def written(forecast: Forecast) -> dict[str, Any]:
    shape = forecast.shape
    return {
        "begin": forecast.begin.isoformat(),
        "model": shape.model,
        "level": numbers(shape.level),
        "drift": numbers(shape.drift),
        "hours": numbers(shape.hours),
        "scatter": short(shape.scatter),
        "floor": short(shape.floor),
        "bounds": [short(value) for value in forecast.bounds],
        "peak_bias": short(forecast.peak_bias),
        "peak_bounds": [short(value) for value in forecast.peak_bounds],
    }


def read(found: Mapping[str, Any]) -> Forecast:
    arrays = {name: np.array(found[name], dtype=np.float64) for name in ("level", "drift", "hours")}
    shape = Shape(found["model"], **arrays, scatter=found["scatter"], floor=found["floor"])
    return Forecast(
        datetime.fromisoformat(found["begin"]),
        shape,
        tuple(found["bounds"]),
        found["peak_bias"],
        tuple(found["peak_bounds"]),
    )


def written_score(score: Score) -> dict[str, Any]:
    return asdict(score)


def read_score(found: Mapping[str, Any]) -> Score:
    return Score(**found)


def written_fleet(fleet: Fleet) -> dict[str, Any]:
    return asdict(fleet)


def read_fleet(found: Mapping[str, Any]) -> Fleet:
    pools, sites = found["pools"], found["sites"]
    rest = {name: value for name, value in found.items() if name not in {"pools", "sites", "missing"}}
    return Fleet(
        tuple(_pool(each) for each in pools),
        tuple(Site(**each) for each in sites),
        **rest,
        missing=tuple(found["missing"]),
    )


def _pool(found: Mapping[str, Any]) -> Pool:
    limits = {name: Limit(**(each | {"line": _line(each["line"])})) for name, each in found["limits"].items()}
    tuples = {name: tuple(found[name]) for name in ("products", "demand")}
    return Pool(**(dict(found) | tuples | {"limits": limits, "watts": _line(found["watts"])}))


def _line(found: Mapping[str, Any] | None) -> Line | None:
    if found is None:
        return None
    return Line(
        found["base"], found["per_prefill"], found["per_decode"], tuple(tuple(each) for each in found["others"])
    )
