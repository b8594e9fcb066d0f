"""Form bodies and query strings as Stripe has them: nested names, and a list of what each address takes, with the type of it."""

import re
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl

PART = re.compile(r"\[([^\[\]]*)\]")
MOST_METADATA = 50


class Refused(Exception):
    """An answer of 4xx, with the fields of Stripe's error object."""

    def __init__(self, status: int, message: str, *, kind: str = "invalid_request_error", **more: Any) -> None:
        super().__init__(message)
        self.status = status
        self.error = {"type": kind, "message": message} | more


Check = Callable[[str, Any], Any]


def integer(name: str, value: Any) -> int:
    if not isinstance(value, str) or not re.fullmatch(r"-?\d+", value):
        raise Refused(400, f"Invalid integer: {value}", param=name, code="parameter_invalid_integer")
    return int(value)


def boolean(name: str, value: Any) -> bool:
    if value not in {"true", "false"}:
        raise Refused(400, f"Invalid boolean: {value}", param=name)
    return value == "true"


def text(name: str, value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise Refused(400, f"Invalid string: {value!r}", param=name, code="parameter_invalid_empty")
    if len(value) > 5000:
        raise Refused(400, f"Invalid string: {name} is too long", param=name)
    return value


def currency(name: str, value: Any) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"[a-z]{3}", value):
        raise Refused(400, f"Invalid currency: {value}. Three lower-case letters are wanted", param=name)
    return value


def number(name: str, value: Any) -> str:
    """A quantity in a payload: digits, perhaps with a point."""
    if not isinstance(value, str) or not re.fullmatch(r"\d+(\.\d{1,12})?", value):
        raise Refused(400, f"Invalid value: {value}", param=name)
    return value


def metadata(name: str, value: Any) -> dict[str, str]:
    if not isinstance(value, dict) or len(value) > MOST_METADATA:
        raise Refused(400, "Invalid metadata", param=name)
    for key, each in value.items():
        if len(key) > 40 or not isinstance(each, str) or len(each) > 500:
            raise Refused(400, f"Invalid metadata: {key}", param=f"{name}[{key}]")
    return value


def one_of(*words: str) -> Check:
    def check(name: str, value: Any) -> str:
        if value not in words:
            raise Refused(400, f"Invalid {name}: must be one of {', '.join(words)}", param=name)
        return str(value)

    return check


def identifier(prefix: str) -> Check:
    def check(name: str, value: Any) -> str:
        if not isinstance(value, str) or not value.startswith(prefix):
            raise Refused(400, f"Invalid {name}: {value!r} is not an id {prefix}...", param=name)
        return value

    return check


def group(**fields: Check) -> Check:
    def check(name: str, value: Any) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise Refused(400, f"Invalid object: {name}", param=name)
        return checked(value, fields, required=(), prefix=name)

    return check


def listed(each: Check) -> Check:
    def check(name: str, value: Any) -> list[Any]:
        values = value if isinstance(value, list) else None
        if values is None and isinstance(value, dict) and sorted(value) == [str(n) for n in range(len(value))]:
            values = [value[str(n)] for n in range(len(value))]
        if values is None:
            raise Refused(400, f"Invalid array: {name}", param=name)
        return [each(f"{name}[{n}]", item) for n, item in enumerate(values)]

    return check


def decoded(form: str) -> dict[str, Any]:
    """`a[b]=1&c[0]=2` as nested dicts. The same name twice is refused: one of the two would be lost."""
    tree: dict[str, Any] = {}
    for name, value in parse_qsl(form, keep_blank_values=True, strict_parsing=bool(form)):
        head = name.split("[", 1)[0]
        path = [head, *PART.findall(name)]
        node = tree
        for part in path[:-1]:
            node = node.setdefault(part, {})
            if not isinstance(node, dict):
                raise Refused(400, f"Invalid parameter: {name}", param=name)
        if path[-1] in node:
            raise Refused(400, f"Parameter given twice: {name}", param=name)
        node[path[-1]] = value
    return tree


def checked(
    given: dict[str, Any], allowed: dict[str, Check], *, required: tuple[str, ...], prefix: str = ""
) -> dict[str, Any]:
    """The values, typed. Unknown names are refused by name, and so are missing ones."""
    for name in given:
        if name not in allowed:
            named = f"{prefix}[{name}]" if prefix else name
            raise Refused(400, f"Received unknown parameter: {named}", param=named, code="parameter_unknown")
    for name in required:
        if name not in given:
            raise Refused(400, f"Missing required param: {name}.", param=name, code="parameter_missing")
    return {name: allowed[name](f"{prefix}[{name}]" if prefix else name, value) for name, value in given.items()}
