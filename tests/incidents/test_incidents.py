"""Each scripted incident is named by the overview's sentence within a minute, and before it all is well.

`make incidents` plays them with an hour before, several seeds and more looks, and prints what it said.
"""

import pytest

from metering.ingest import drain
from tests.incidents.scripts import INCIDENTS, Incident
from tests.incidents.watching import watch

# Not on a whole minute, as no incident is: the minutes of rollups straddle it.
AT_S = 12 * 60 + 20
LOOKS_S = (0, 60)


@pytest.fixture(autouse=True)
def fast(clickhouse: None, spool: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drain, "PACE_S", 0.0)


@pytest.mark.django_db
@pytest.mark.parametrize("incident", INCIDENTS, ids=lambda each: each.name)
def test_the_sentence_is_right_within_a_minute_and_calm_before(incident: Incident) -> None:
    found = watch(incident, AT_S, LOOKS_S)
    assert [look.sentence.partition(":")[0] for look in found.before] == ["All well"]
    assert found.is_right(found.after[0]), [one.sentence for one in found.after[0].said]
