"""The `lago-python-client` package: single events and batches, and the errors that it makes of our answers."""

from lago_python_client import Client
from lago_python_client.exceptions import LagoApiError
from lago_python_client.models import BatchEvent, Event
from usage import TOLD, data, moment, numbers, report


def properties(n: int) -> dict[str, object]:
    if TOLD.get("words") == "canonical":
        return data(n)
    details = {"prompt_tokens_details": {"cached_tokens": n}}
    return {"model": "m", "prompt_tokens": 100 + n, "completion_tokens": 10 + n} | details | TOLD.get("fault", {})


def event(n: int) -> Event:
    return Event(
        transaction_id=f"{TOLD['tenant']}-{n}",
        external_subscription_id=TOLD.get("subscription", TOLD["tenant"]),
        code="llm_tokens",
        timestamp=f"{moment(n).timestamp():.3f}" if n % 2 else int(moment(n).timestamp()),
        properties=properties(n),
    )


sent = [event(n) for n in numbers()]
client = Client(api_key=TOLD["key"], api_url=f"{TOLD['url']}/lago/")
shown = []
try:
    for _ in range(TOLD.get("times", 1)):
        if TOLD["way"] == "batch":
            client.events.batch_create(BatchEvent(events=sent))
        else:
            shown += [client.events.create(each) for each in sent]
    report(error=None, ids=[each.lago_id for each in shown], timestamps=[each.timestamp for each in shown])
except LagoApiError as error:
    report(error=error.status_code, response=error.response)
