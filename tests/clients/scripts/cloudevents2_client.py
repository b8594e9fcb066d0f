"""The `cloudevents` package, 2.x: structured and binary mode by its HTTP binding, which percent-encodes headers."""

import httpx
from cloudevents.core.bindings.http import to_binary_event, to_structured_event
from cloudevents.core.v1.event import CloudEvent
from usage import TOLD, data, moment, numbers, report

URL, KEY = f"{TOLD['url']}/api/v1/events", {"Authorization": f"Bearer {TOLD['key']}"}


def event(n: int) -> CloudEvent:
    attributes = {
        "type": "tallywatt.request",
        "source": 'a "gateway" in Köln, 100% €',
        "id": f"{TOLD['tenant']}-{n}",
        "time": moment(n),
        "subject": TOLD["tenant"],
        "specversion": "1.0",
        "datacontenttype": "application/json",
        "partitionkey": "p",
    }
    return CloudEvent(attributes, data(n))


def send(each: CloudEvent) -> int:
    message = to_binary_event(each) if TOLD["way"] == "binary" else to_structured_event(each)
    return httpx.post(URL, content=message.body, headers=message.headers | KEY).status_code


sent = [event(n) for n in numbers()]
report(statuses=[send(each) for _ in range(TOLD.get("times", 1)) for each in sent])
