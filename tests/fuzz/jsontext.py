"""JSON as no library would write it: repeated names, numbers without end, lone surrogates, nesting without end."""

import json
from random import Random
from typing import Any


class Raw(str):
    """Text that goes into the document as it is."""

    __slots__ = ()


class Pairs(list):  # type: ignore[type-arg]
    """An object as a list of names and values, so that a name may be there twice."""


NASTY: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 2**31, 2**40, 2**40 + 1, 2**53 + 1, 2**63 - 1, 2**63, 2**64 - 1, 2**64, -(2**63), 10**30,
    0.0, -0.0, 1.0, 1.5, 5e-324, 1.7e308, Raw("NaN"), Raw("-Infinity"), Raw("1e400"), Raw("9" * 5_000), Raw("-"), Raw("01"),
    Raw("0." + "1" * 3_000), "", " ", "0", "-1", "12", "1e3", "NaN", "x" * 128, "x" * 129, "x" * 1_025, "x" * 70_000, "\x00", "\x7f",
    "a\x00b", "\u202e", "ﬀ", "é" * 128, "🜁" * 127, Raw('"\\ud800"'), Raw('"\\udfff\\ud800"'), Raw('"\\u0000"'), Raw('"\\x"'),
    Raw("'single'"), [], [[]], {}, {"": ""}, {"a": {"b": {}}}, [None] * 50, ["g"] * 1_025, {str(n): "v" for n in range(33)},
    Raw("[" * 200 + "]" * 200), Raw("[" * 100_000), Raw('{"a":' * 3_000 + "1" + "}" * 3_000), "2026-01-15T12:00:00Z",
    "2026-01-15T12:00:00", "2026-02-30T12:00:00Z", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59.999999999-12:00",
    "2016-12-31T23:59:60Z",
    "\u0662\u0660\u0662\u0666-01-15T12:00:00Z", "2026-01-15T12:00:00.123456789+00:00", 1_768_478_400_000, -62_135_596_800_000,
    253_402_300_800_000, -(2**62), "1768478400.123", "../../etc/passwd", "'; DROP TABLE requests; --", "%s%n", "${jndi:ldap://x}",
    "tenant-of-someone-else", "ok", "error", "standard", "stop", "chat", "tallywatt.request", "litellm_tokens", "1.0",
)  # fmt: skip


def dumps(value: Any) -> str:
    if isinstance(value, Raw):
        return str(value)
    if isinstance(value, Pairs):
        return "{" + ",".join(f"{dumps(name)}:{dumps(item)}" for name, item in value) + "}"
    if isinstance(value, dict):
        return "{" + ",".join(f"{dumps(str(name))}:{dumps(item)}" for name, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(map(dumps, value)) + "]"
    return json.dumps(value, ensure_ascii=isinstance(value, str) and not value.isprintable())


def mutated(value: Any, random: Random) -> Any:
    """`value` with one change somewhere inside. The original is left alone."""
    if isinstance(value, dict) and value and random.random() < 0.85:
        return _mutated_object(value, random)
    if isinstance(value, list) and value and random.random() < 0.85:
        return _mutated_list(value, random)
    return random.choice(NASTY) if random.random() < 0.9 else [value]


def _mutated_object(value: dict[str, Any], random: Random) -> Any:
    name = random.choice(list(value))
    rest = {each: item for each, item in value.items() if each != name}
    choice = random.random()
    if choice < 0.62:
        return value | {name: mutated(value[name], random)}
    if choice < 0.72:
        return rest
    if choice < 0.8:
        return rest | {random.choice(("x", "", name.upper(), name + " ", "\u0000", "id", "time", "type")): value[name]}
    if choice < 0.9:
        return value | {
            random.choice(("extra", "tenant", "source", "__class__", "data", "time", "observed")): _nasty(random)
        }
    return Pairs([*value.items(), (name, mutated(value[name], random))])


def _mutated_list(value: list[Any], random: Random) -> Any:
    place = random.randrange(len(value))
    choice = random.random()
    if choice < 0.7:
        return [*value[:place], mutated(value[place], random), *value[place + 1 :]]
    if choice < 0.8:
        return value[:place] + value[place + 1 :]
    if choice < 0.95:
        return [*value, value[place]]
    return {str(index): item for index, item in enumerate(value)}


def _nasty(random: Random) -> Any:
    return random.choice(NASTY)
