"""Reading tables of TOML strictly: a wrong type, a value out of range or a name that nobody knows is an error that names the key."""

from collections.abc import Callable, Collection, Mapping
from typing import Any


class ConfigError(ValueError):
    """The configuration cannot be used; the message names the key and what was expected."""


class Table:
    """One table, and where it stands. What was not asked for is refused by `finish()`."""

    def __init__(self, values: Mapping[str, Any], path: str = "") -> None:
        self._values = values
        self._path = path
        self._asked: set[str] = set()

    def key(self, name: str) -> str:
        """As a person finds it in the file, such as `engine[2].url`."""
        return f"{self._path}.{name}" if self._path else name

    def error(self, name: str, expected: str) -> ConfigError:
        if name not in self._values:
            return ConfigError(f"{self.key(name)} is missing, expected {expected}")
        return ConfigError(f"{self.key(name)} is {self._values[name]!r}, expected {expected}")

    def text(self, name: str, default: str | None = None, *, longest: int = 1024) -> str:
        """Without a default it must be there, and not be empty."""
        value = self._get(name, default)
        if not isinstance(value, str) or len(value) > longest or (default is None and not value):
            raise self.error(name, f"text of at most {longest} characters")
        return value

    def choice(self, name: str, choices: Collection[str], default: str | None = None) -> str:
        value = self._get(name, default)
        if value not in choices:
            raise self.error(name, f"one of {', '.join(choices)}")
        return str(value)

    def number(self, name: str, default: float, *, least: float, most: float) -> float:
        value = self._get(name, default)
        if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
            raise self.error(name, f"a number from {least:g} to {most:g}")
        return float(value)

    def whole(self, name: str, default: int, *, least: int, most: int) -> int:
        value = self._get(name, default)
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise self.error(name, f"a whole number from {least} to {most}")
        return value

    def flag(self, name: str, default: bool) -> bool:
        value = self._get(name, default)
        if not isinstance(value, bool):
            raise self.error(name, "true or false")
        return value

    def words(self, name: str, *, valid: Callable[[Any], bool], expected: str) -> tuple[str, ...]:
        """An array as a tuple of texts; every item must be `valid`."""
        value = self._get(name, [])
        if not isinstance(value, list) or not all(map(valid, value)):
            raise self.error(name, expected)
        return tuple(str(item) for item in value)

    def table(self, name: str) -> "Table":
        """An empty one if it is not there."""
        value = self._get(name, {})
        if not isinstance(value, dict):
            raise self.error(name, f"a table: [{self.key(name)}]")
        return Table(value, self.key(name))

    def tables(self, name: str) -> list["Table"]:
        value = self._get(name, [])
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            raise self.error(name, f"tables: [[{self.key(name)}]]")
        return [Table(item, f"{self.key(name)}[{number}]") for number, item in enumerate(value, 1)]

    def __contains__(self, name: str) -> bool:
        return name in self._values

    def finish(self) -> None:
        """Raises ConfigError for a key that nobody asked for: it would be a setting that has no effect."""
        for name in self._values:
            if name not in self._asked:
                raise ConfigError(f"{self.key(name)} is not known, expected one of {', '.join(sorted(self._asked))}")

    def _get(self, name: str, default: Any) -> Any:
        self._asked.add(name)
        return self._values.get(name, default)
