"""What happens to clients when their process forks or ends, without the program's doing."""

import atexit
import contextlib
import os
import time
from typing import Protocol


class Living(Protocol):
    """A client that is in use."""

    @property
    def exit_timeout_s(self) -> float: ...

    def after_fork(self) -> None:
        """In the child: forget the parent's lane, threads and connections."""

    def at_exit(self, timeout_s: float) -> None:
        """Send what can be sent in so many seconds."""


# Held strongly: a client that goes out of sight still has events to send.
_living: set[Living] = set()


def began(client: Living) -> None:
    _living.add(client)


def ended(client: Living) -> None:
    _living.discard(client)


def _after_fork() -> None:
    for client in tuple(_living):
        client.after_fork()


def _at_exit() -> None:
    """All clients together have the time of the most patient one."""
    clients = tuple(_living)
    give_up_at = time.monotonic() + max((client.exit_timeout_s for client in clients), default=0.0)
    for client in clients:
        with contextlib.suppress(Exception):  # nothing may keep an interpreter from ending
            client.at_exit(max(0.0, give_up_at - time.monotonic()))


atexit.register(_at_exit)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
