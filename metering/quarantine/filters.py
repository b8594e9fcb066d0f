"""Which entries of quarantine somebody asks for, and where in their order a page ends."""

import base64
import binascii
import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from metering.clickhouse.queries.quarantine import Key, Subset
from metering.models import ApiKey
from metering.moments import instant, microseconds

LONGEST_WORD = 256
WORDS = ("reason", "tenant", "decoder", "api_key", "text")
FILTERS = ("state", *WORDS, "from", "to")  # as they are written in addresses, in JSON and on the command line
LAST_ROW = 2**32 - 1


class State(StrEnum):
    OPEN = "open"  # nobody has decided about it
    REPLAYED = "replayed"
    DISCARDED = "discarded"
    ALL = "all"


class UnknownFilter(ValueError):
    """A filter, or a position, that cannot be meant. `name` is the filter's."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"{name}: {reason}")
        self.name, self.reason = name, reason


@dataclass(frozen=True)
class EntryFilter:
    """'' and None: all. `start` and `end` bound the arrival, `[start, end)`. `text`: part of the message or of the bytes.

    `senders`: only entries of these API keys; see `own_senders`. Raises UnknownFilter.
    """

    state: str = State.OPEN
    reason: str = ""
    tenant: str = ""
    decoder: str = ""
    api_key: str = ""
    start: datetime | None = None
    end: datetime | None = None
    text: str = ""
    senders: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if self.state not in set(State):
            raise UnknownFilter("state", f"{self.state!r} is not one of {', '.join(State)}")
        for name in WORDS:
            _check_word(name, getattr(self, name))

    @classmethod
    def read(cls, given: Mapping[str, object], senders: tuple[str, ...] | None = None) -> "EntryFilter":
        """From FILTERS by name; what is missing or '' is not narrowed by. Raises UnknownFilter."""
        words = {name: given[name] for name in ("state", *WORDS) if given.get(name) not in {"", None}}
        for name, word in words.items():
            _check_word(name, word)
        bounds = {"start": _moment("from", given.get("from")), "end": _moment("to", given.get("to"))}
        return cls(**words, **bounds, senders=senders)  # type: ignore[arg-type]

    def words(self) -> dict[str, str]:
        """What `read` makes the same filter of: only what narrows."""
        found = {name: getattr(self, name) for name in WORDS if getattr(self, name)}
        found |= {"state": self.state} if self.state != State.OPEN else {}
        bounds = {"from": self.start, "to": self.end}
        return found | {name: instant(moment) for name, moment in bounds.items() if moment is not None}

    def subset(self) -> Subset:
        """All of it but the state, which ClickHouse does not know."""
        return Subset(
            reason=self.reason,
            tenant=self.tenant,
            decoder=self.decoder,
            api_key=self.api_key,
            text=self.text,
            start_us=None if self.start is None else microseconds(self.start),
            end_us=None if self.end is None else microseconds(self.end),
            senders=self.senders,
        )


def own_senders(tenant: str) -> tuple[str, ...]:
    """Whose entries a tenant may see, of those that carry its name: its own keys', and ours (conflicts, refusals of the store).

    Not what an operator's key sent about it: such bytes may hold more than this tenant's events.
    """
    return ("", *ApiKey.objects.filter(tenant__key=tenant).order_by("prefix").values_list("prefix", flat=True))


def cursor(key: Key) -> str:
    """A position as text, opaque to callers. It holds no permission."""
    packed = json.dumps([key.at_us, key.batch, key.row, key.reason], separators=(",", ":"))
    return base64.urlsafe_b64encode(packed.encode()).decode().rstrip("=")


def position(text: str) -> Key:
    """The key behind a cursor. Raises UnknownFilter for what `cursor` did not write."""
    try:
        at_us, batch, row, reason = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        if type(at_us) is not int or type(row) is not int or not 0 <= at_us < 2**62 or not 0 <= row <= LAST_ROW:
            raise ValueError(text)
        _check_word("cursor", reason)
        return Key(at_us, str(uuid.UUID(batch)), row, reason)
    except (binascii.Error, ValueError, TypeError, AttributeError, RecursionError):
        raise UnknownFilter("cursor", "not one that this list gave") from None


def _check_word(name: str, word: object) -> None:
    if not isinstance(word, str):
        raise UnknownFilter(name, "expected text")
    if len(word) > LONGEST_WORD:
        raise UnknownFilter(name, f"has {len(word)} characters, at most {LONGEST_WORD} are taken")
    try:
        word.encode()
    except UnicodeEncodeError:
        raise UnknownFilter(name, "is not valid Unicode") from None
    if "\x00" in word:
        raise UnknownFilter(name, "holds a NUL character")


def _moment(name: str, text: object) -> datetime | None:
    """RFC 3339, or a date, which is its midnight; in UTC where no offset is given."""
    if text in {"", None}:
        return None
    _check_word(name, text)
    try:
        # A "+" that was not escaped arrives as a blank; nothing else in a time that has a blank is meant by it.
        shown = str(text)
        moment = datetime.fromisoformat(shown if "T" not in shown else shown.replace(" ", "+"))
        moment = moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise UnknownFilter(name, f"{str(text)[:80]!r} is neither a date nor an RFC 3339 time") from None
    if not 1970 <= moment.year < 2200:
        raise UnknownFilter(name, f"{str(text)[:80]!r} lies outside of 1970 to 2200")
    return moment
