"""The rules that look beyond one field, on whole columns: whose event it is, when it was, and which counts include which.

A row that breaks one is not refused here: it is handed to checking.py, which knows the reasons.
"""

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from metering import accounts
from metering.ingest.columns import GIVEN, Columnar, constant, single
from metering.ingest.context import Context
from metering.moments import milliseconds

Mask = npt.NDArray[np.bool_]  # a verdict per row


def settle(found: Columnar, context: Context) -> tuple[pa.Table, Mask]:
    """The table with tenant, time_given and observed as they follow from the credential, and which of its rows hold (bool per row)."""
    table, rows = found.table, found.table.num_rows
    tenant, holds = _tenant(single(table["tenant"]), context)
    for rule in (_token_rules, _time_rule):
        holds &= rule(table, context)
    if found.sure is not None:
        holds &= found.sure.to_numpy(zero_copy_only=False)
    columns = {name: table[name] for name in GIVEN} | {
        "tenant": tenant,
        "time_given": pc.is_valid(table["time"]),
        "observed": pa.array(np.full(rows, context.credential.observing)),
    }
    return pa.table(columns), holds


def _tenant(given: pa.DictionaryArray, context: Context) -> tuple[pa.Array, Mask]:
    """'' stands for none. Rows that name a tenant they may not, or one that is not there, do not hold."""
    own = context.credential.tenant
    names = given.dictionary.to_pylist()
    good = {"", own} if own is not None else accounts.existing(name for name in names if name)
    holds = np.array([name in good for name in names], bool)[given.indices.to_numpy()]
    return given if own is None else constant(own, len(given)), holds


def _token_rules(table: pa.Table, context: Context) -> Mask:
    count = {name: single(table[name]).to_numpy() for name in table.column_names if name.endswith("_tokens")}
    inside = count["cached_input_tokens"] + count["cache_write_tokens"] <= count["input_tokens"]
    holds: Mask = inside & (count["reasoning_tokens"] <= count["output_tokens"])
    return holds


def _time_rule(table: pa.Table, context: Context) -> Mask:
    time = single(table["time"]).cast(pa.int64())
    if time.null_count == len(time):
        return np.ones(len(time), bool)
    moment = time.fill_null(milliseconds(context.now)).to_numpy()
    # One side is rounded down, so the edge itself is left to the slow road's microseconds.
    oldest, latest = milliseconds(context.now - context.max_age), milliseconds(context.now + context.max_future)
    holds: Mask = (moment > oldest) & (moment < latest)
    return holds
