"""What was wrong with one reading of a source: each fault once, with everything it holds for."""


class Faults:
    def __init__(self) -> None:
        self._where: dict[str, list[str]] = {}

    def add(self, what: str, where: str = "") -> None:
        """`where`: such as `GPU 3`. The same fault in eight GPUs is one fault."""
        places = self._where.setdefault(what, [])
        if where and where not in places:
            places.append(where)

    @property
    def texts(self) -> tuple[str, ...]:
        return tuple(f"{what} ({', '.join(places)})" if places else what for what, places in self._where.items())
