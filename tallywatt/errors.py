"""What can go wrong in `record()`. Everything that happens later, on the way to the server, is retried and never raised."""


class TallywattError(Exception):
    """The base of all errors of this client."""


class InvalidEvent(TallywattError, ValueError):
    """A field has an unknown name, or a value of the wrong type. Nothing was recorded."""


class InvalidUsage(TallywattError, ValueError):
    """A usage block does not hold the token counts that its convention demands."""


class OutboxFull(TallywattError):
    """The outbox (or the queue in memory) has reached its limit. Nothing was recorded."""


class OutboxError(TallywattError):
    """The disk refused: what `record()` was given may be stored or not. Recording it again with the same id is safe."""


class Closed(TallywattError):
    """The client was closed. Nothing was recorded."""
