"""What commands on this computer are told of the Device Model as it is now, and of the last events.

    "model"   asked with "match" (part of an address, in any case), "from" (place among those that match), "most"
              (rows) and "since" (a version: only what changed after it):
              {"time": ISO 8601, "version", "total": variables there are, "matching": how many of them match,
               "next": place to go on from | null, "variables": [
                 {"address", "component", "instance", "evse", "connector", "variable", "variable_instance",
                  "value": text, "unit", "age": s since it was measured | null, "max_age": s | null: is not measured,
                  "target", "min_set", "max_set": text | null, "secret": bool, "problem": text | null}, …]}
    "events"  asked with "most" (the last so many) or "since" (id of an event: what came after it):
              {"time", "last": id of the newest event | null, "more": bool: ask on at once with the last id of these,
               "lost": bool: there may be a gap after "since", "events": [
                 {"id", "time", "component", "variable", "value", "trigger", "cleared", "severity", "tech_info",
                  "cause", "monitor", …: agent.events.recent}, …]}, oldest first

Passwords and what else can only be written leave the agent in neither, their texts are null; nor do tokens, for
which a pseudonym stands (agent.diagnostics.blanking).
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from agent.clock import Clock
from agent.diagnostics.blanking import GONE, variable_value, without_credentials
from agent.model import AttributeType, Component, DeviceModel, Mutability, Variable
from agent.model.problems import PROBLEM
from agent.onsite import OnsiteError

ROWS = 1000
"""Variables looked at for one answer: a hundredth of a second of the station's time."""

EVENTS = 250
"""Events in one answer."""

CHARACTERS = 300_000
"""Characters of texts in one answer; each takes six bytes of JSON at most (agent.onsite.LONGEST_ANSWER)."""

LONGEST_TEXT = 2500
"""Characters of a value, as long as one in OCPP can be (ReportingValueSize); the rest is cut."""

SECRET = ("password", "passphrase", "vpnkey", "secret")
"""A variable with one of these in its name is kept back whatever its mutability, like one that no log may tell."""

_SETTABLE = (AttributeType.TARGET, AttributeType.MIN_SET, AttributeType.MAX_SET)

Answer = Callable[[Mapping[str, Any]], Any]
Texts = Callable[[Component], Mapping[str, str]]
"""cause → text of what is wrong with a component: agent.model.Problems.texts."""


def answers(
    model: DeviceModel, clock: Clock, texts: Texts, recent: Callable[[], Iterable[Mapping[str, Any]]]
) -> dict[str, Answer]:
    """What `agent.onsite.Onsite` is given for `model`, and for the last events (`recent`, oldest first)."""
    view = ModelView(model, clock, texts)
    return {"model": view.report, "events": lambda question: events_report(recent(), clock, question)}


class _Row:
    """A variable with what was seen of it last, and the version in which that was new."""

    __slots__ = ("address", "folded", "problem", "secret", "seen", "variable", "version")

    def __init__(self, variable: Variable, problem: Variable | None) -> None:
        self.variable = variable
        self.problem = problem
        self.address = str(variable)
        self.folded = self.address.casefold()
        self.secret = variable.actual.mutability is Mutability.WRITE_ONLY or _is_secret(variable.name.name)
        self.seen: object = None
        self.version = 0


class ModelView:
    """The Device Model in pages. What changed between two looks is found by comparing, so that nobody who does not
    look pays for it; a reading that says the same again is no change.
    """

    def __init__(self, model: DeviceModel, clock: Clock, texts: Texts) -> None:
        self._model, self._clock, self._texts = model, clock, texts
        self._rows: list[_Row] = []
        # Greater than any of an agent that ran before, whose versions somebody may still ask with.
        self._version = int(clock.now().timestamp() * 1000)

    def report(self, question: Mapping[str, Any]) -> dict[str, Any]:
        """The answer to "model". Raises OnsiteError for a question that has no meaning."""
        match, since = question.get("match", ""), _number(question, "since")
        if not isinstance(match, str):
            raise OnsiteError('expected "match", a part of an address')
        start = max(0, _number(question, "from") or 0)
        most = _number(question, "most")
        most = ROWS if most is None else max(0, min(most, ROWS))
        if len(self._rows) != len(self._model):
            self._rows = self._read()
        part = match.casefold()
        matching = [row for row in self._rows if part in row.folded] if part else self._rows
        if since is not None and since > self._version:
            since = None  # of another time: the clock was set back meanwhile
        self._version += 1
        now = self._clock.monotonic()
        found, room, place = list[dict[str, Any]](), CHARACTERS, start
        while place < min(len(matching), start + most) and room > 0:
            row = matching[place]
            self._look(row)
            if since is None or row.version > since:
                shown = self._shown(row, now)
                room -= sum(len(one) for one in shown.values() if isinstance(one, str))
                found.append(shown)
            place += 1
        return {
            "time": _iso(self._clock),
            "version": self._version,
            "total": len(self._rows),
            "matching": len(matching),
            "next": place if place < len(matching) else None,
            "variables": found,
        }

    def _read(self) -> list[_Row]:
        rows = list[_Row]()
        for component in self._model.components():
            problem = self._model.get(component, PROBLEM)
            rows += [_Row(variable, problem) for variable in self._model.variables(component)]
        return rows

    def _look(self, row: _Row) -> None:
        attributes = row.variable.attributes.values()
        seen = (*(one.current for one in attributes), self._wrong(row))
        if seen != row.seen:
            row.seen, row.version = seen, self._version

    def _wrong(self, row: _Row) -> str | None:
        if row.problem is None or row.problem.actual.value is not True:
            return None
        return (
            without_credentials("; ".join(self._texts(row.variable.component).values()))[:LONGEST_TEXT] or "Problem"
        )

    def _shown(self, row: _Row, now: float) -> dict[str, Any]:
        variable = row.variable
        component, name, time = variable.component, variable.name, variable.actual.time
        target, min_set, max_set = (_text(row, kind) for kind in _SETTABLE)
        return {
            "address": row.address,
            "component": component.name,
            "instance": component.instance,
            "evse": component.evse,
            "connector": component.connector,
            "variable": name.name,
            "variable_instance": name.instance,
            "value": _text(row, AttributeType.ACTUAL),
            "unit": variable.characteristics.unit,
            "age": None if time is None else round(max(0.0, now - time), 3),
            "max_age": variable.max_age,
            "target": target,
            "min_set": min_set,
            "max_set": max_set,
            "secret": row.secret,
            "problem": self._wrong(row),
        }


def model_report(
    model: DeviceModel, clock: Clock, question: Mapping[str, Any], texts: Texts = lambda _: {}
) -> dict[str, Any]:
    """One answer to "model", for who looks once. Raises OnsiteError."""
    return ModelView(model, clock, texts).report(question)


def events_report(recent: Iterable[Mapping[str, Any]], clock: Clock, question: Mapping[str, Any]) -> dict[str, Any]:
    """The answer to "events" out of `recent`, oldest first. Raises OnsiteError for a question without a meaning."""
    events, since, most = list(recent), _number(question, "since"), _number(question, "most")
    last = events[-1]["id"] if events else None
    lost = False
    if since is None:
        events = events[max(0, len(events) - (EVENTS if most is None else max(0, most))) :]
    else:
        known = next((place for place in reversed(range(len(events))) if events[place]["id"] == since), None)
        # Not among those that are kept: too many came since, or the agent was started again.
        lost = known is None and bool(events)
        events = events if known is None else events[known + 1 :]
    taken = _fitting(events)
    return {"time": _iso(clock), "last": last, "more": len(taken) < len(events), "lost": lost, "events": taken}


def _fitting(events: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The first of `events`, as many as one answer holds."""
    found, room = list[dict[str, Any]](), CHARACTERS
    for event in events[:EVENTS]:
        if room <= 0:
            break
        name = event["variable"].partition("[")[0]
        shown = {**event, "value": None if _is_secret(name) else variable_value(name, event["value"])}
        shown = {
            k: without_credentials(one)[:LONGEST_TEXT] if isinstance(one, str) else one for k, one in shown.items()
        }
        room -= sum(len(one) for one in shown.values() if isinstance(one, str))
        found.append(shown)
    return found


def _text(row: _Row, kind: AttributeType) -> str | None:
    attribute = row.variable.attributes.get(kind)
    if attribute is None or row.secret:
        return None
    return variable_value(row.variable.name.name, attribute.text())[:LONGEST_TEXT]


def _is_secret(name: str) -> bool:
    folded = name.casefold()
    return variable_value(name, "") == GONE or any(word in folded for word in SECRET)


def _number(question: Mapping[str, Any], key: str) -> int | None:
    found = question.get(key)
    if isinstance(found, bool) or not isinstance(found, int | None):
        raise OnsiteError(f'expected "{key}", a number')
    return found


def _iso(clock: Clock) -> str:
    return clock.now().isoformat(timespec="milliseconds")
