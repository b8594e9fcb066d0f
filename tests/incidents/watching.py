"""Plays an incident and reads the overview's sentence: before it, and at moments after it began."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta

from dashboard.operator.state import Mark, Signals, findings
from dashboard.operator.state_reading import is_in
from dashboard.operator.state_words import Said
from metering.public import LiveScope, causes, fleet_engines
from tests.incidents.playing import Play, lately, plan
from tests.incidents.scripts import Incident, tenant

DEPLOYED_BEFORE_S = 60


@dataclass(frozen=True)
class Look:
    """What the page says `after_s` seconds from the beginning of the incident; negative before it."""

    after_s: int
    said: Sequence[Said]

    @property
    def sentence(self) -> str:
        return self.said[0].sentence


@dataclass(frozen=True)
class Watched:
    incident: Incident
    says: tuple[str, ...]
    never: tuple[str, ...]
    looks: tuple[Look, ...]

    @property
    def before(self) -> Sequence[Look]:
        return [look for look in self.looks if look.after_s <= 0]

    @property
    def after(self) -> Sequence[Look]:
        return [look for look in self.looks if look.after_s > 0]

    def is_right(self, look: Look) -> bool:
        said = all(words in look.sentence for words in self.says)
        return said and not any(words in one.sentence for words in self.never for one in look.said)


def watch(incident: Incident, at_s: int, looks_s: Sequence[int], *, seed: int = 1) -> Watched:
    """The incident begins `at_s` seconds after the run; `looks_s`: when to look, seconds from there, in order."""
    play = Play(plan(lately(at_s + looks_s[-1]), incident.changes(at_s), seed=seed))
    deployed = play.start + timedelta(seconds=at_s - DEPLOYED_BEFORE_S)
    deploys = [Mark(deployed, "llama-3.3-70b 2026.11.2")] if incident.deploy else []
    try:
        looks = tuple(_looks(play, at_s, looks_s, deploys))
    finally:
        play.close()
    names = {"node": play.plan.nodes[0].name, "tenant": tenant(play.plan), "region": play.region}
    says, never = (tuple(words.format(**names) for words in each) for each in (incident.says, incident.never))
    return Watched(incident, says, never, looks)


def _looks(play: Play, at_s: int, looks_s: Sequence[int], deploys: Sequence[Mark]) -> Iterator[Look]:
    for after_s in looks_s:
        play.go(play.start + timedelta(seconds=at_s + after_s))
        yield Look(after_s, findings(signals(play, deploys)))


def signals(play: Play, deploys: Sequence[Mark] = ()) -> Signals:
    """As the page reads them, at the play's present and narrowed to its region."""
    scope = LiveScope(region=play.region)
    engines = [one for one in fleet_engines(play.now) if is_in(one, scope)]
    known = [each for each in deploys if each.at <= play.now]
    return Signals(play.now, causes(scope, play.now), engines, True, known)
