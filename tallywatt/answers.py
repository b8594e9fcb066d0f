"""What an answer of the server means for the batch that was posted. Pure: no network, no clock."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any

_TRANSIENT = frozenset((408, 425, 429))
# The server refuses a whole request that names another tenant than its key's, and says which event did.
_FOREIGN = re.compile(r"\Aevent (\d+): ")


@dataclass(frozen=True)
class Answer:
    """`status` 0: there was none (no connection, a timeout), and `body` says why."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def document(self) -> dict[str, Any]:
        """The JSON object in the body; empty if there is none."""
        try:
            found = json.loads(self.body)
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}

    @property
    def is_problem(self) -> bool:
        """It speaks about the events. A 400 of a proxy (a wrong host, TLS on the wrong port) does not."""
        return self.headers.get("content-type", "").startswith("application/problem+json")

    def __str__(self) -> str:
        if not self.status:
            return self.body.decode(errors="replace")
        said = ": ".join(str(self.document[name]) for name in ("title", "detail") if self.document.get(name))
        return f"HTTP {self.status} {said or self.body[:200].decode(errors='replace')}".strip()


@dataclass(frozen=True)
class Receipt:
    """Every event of the batch is either accepted or among the rejected: (index, field, reason, message)."""

    rejected: list[tuple[int, str, str, str]]


class Verdict(Enum):
    TAKEN = auto()  # there is a receipt
    AGAIN = auto()  # it will pass
    MEND = auto()  # a person has to mend it: the key, the URL, a proxy
    SPLIT = auto()  # too much at once, or one event in it is unreadable
    PLAIN = auto()  # the server does not speak this format
    FOREIGN = auto()  # one event names another tenant than the key's


def judge(answer: Answer, count: int) -> Verdict:
    status = answer.status
    if receipt(answer, count) is not None:
        return Verdict.TAKEN
    if status == 0 or status in _TRANSIENT or status >= 500:
        return Verdict.AGAIN
    if status == 413 or _is_partial(answer, count) or (status in {400, 422} and answer.is_problem):
        return Verdict.SPLIT
    if status == 415:
        return Verdict.PLAIN
    if status == 403 and foreign_index(answer, count) is not None:
        return Verdict.FOREIGN
    # 401, 403, 404, redirects, and whatever a proxy or another server says: nothing was taken.
    return Verdict.MEND


def receipt(answer: Answer, count: int) -> Receipt | None:
    """The receipt for a batch of `count` events, if the answer holds one that speaks of every event."""
    if answer.status not in {200, 202, 400, 422}:
        return None
    accepted, rejected = answer.document.get("accepted"), answer.document.get("rejected")
    if type(accepted) is not int or not isinstance(rejected, list) or accepted + len(rejected) != count:
        return None
    found = [_reject(one) for one in rejected]
    if len({index for index, *_ in found if 0 <= index < count}) != len(found):
        return None
    return Receipt(found)


def foreign_index(answer: Answer, count: int) -> int | None:
    match = _FOREIGN.match(str(answer.document.get("detail", "")))
    return int(match[1]) if match and int(match[1]) < count else None


def _reject(one: Any) -> tuple[int, str, str, str]:
    """Index -1, which is no event's, if it is not a reject."""
    if not isinstance(one, dict) or type(one.get("index")) is not int:
        return -1, "", "", ""
    return one["index"], str(one.get("field", "")), str(one.get("reason", "")), str(one.get("message", ""))


def _is_partial(answer: Answer, count: int) -> bool:
    """More was rejected than the receipt lists: smaller batches will tell which events."""
    accepted, rejected = answer.document.get("accepted"), answer.document.get("rejected")
    if answer.status != 202 or type(accepted) is not int or not isinstance(rejected, list):
        return False
    return count > 1 and accepted + len(rejected) < count
