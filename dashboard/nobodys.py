"""What energy and GPU time that belong to no customer are called: idle, and unattributed by its cause."""

NAMES = {
    "idle": "Idle",
    "gap": "Unattributed: gap in samples",
    "no_event": "Unattributed: work without an event",
    "aborted": "Unattributed: aborted streams",
    "no_engine": "Unattributed: GPU without an engine",
}
# In legends, beside the names of customers and models.
SHORT_NAMES = {
    "idle": "idle",
    "gap": "gap in samples",
    "no_event": "no event",
    "aborted": "aborted",
    "no_engine": "no engine",
}
MEANINGS = {
    "idle": "no request ran on the GPUs",
    "gap": "two samples lay too far apart to say what ran between them",
    "no_event": "the engine's counters show work that no event accounts for",
    "aborted": "the same, while the engine counted requests that it gave up on",
    "no_engine": "no engine claims the GPU",
}


def name(label: str) -> str:
    return NAMES.get(label, f"Unattributed: {label.replace('_', ' ')}")
