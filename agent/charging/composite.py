"""What the installed profiles allow: now, and over a time to come (part 2 §K.3.5, K08).

The limit that holds now is kept with the times between which it holds, so a clock that was corrected, in either
direction, is asked about anew. A composite schedule is exact to the second: its value at second k is the lowest limit
at that very moment. Nothing is sampled; times between changes cost nothing.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from agent.charging.book import Book
from agent.charging.curve import NEVER, SECOND, Curve, leading, micros, paint, time_of
from agent.charging.limits import Unit
from agent.charging.profiles import PHASES, STATION_MAX, TX, TX_DEFAULT, Period, Profile

MOST_PERIODS = 1024
"""Of a ChargingScheduleType."""

FURTHEST = 366 * 86_400
"""Seconds that a composite schedule has at most; nobody knows that far ahead."""

_STRETCH = 7 * 86_400
"""Seconds that are reckoned at once."""

Extra = tuple[int, Profile]
"""A limit from outside: scope and profile. Each of them holds beside all the others, whatever its stackLevel."""


@dataclass(frozen=True, slots=True)
class Use:
    """How an EVSE is used: its transaction, and when that began to be ready for energy, where Relative profiles start
    (K01.FR.42); `max_current` is the local limit, A per phase.
    """

    max_current: float
    transaction: str | None = None
    began: datetime | None = None


@dataclass(frozen=True, slots=True)
class Applied:
    """What leads: `value` in A per phase, None where no profile limits; `period` as it was set, in `unit`, and of
    which `profile` (id). `min_rate` is minChargingRate in A per phase. It holds until `until`; None: until told else.
    """

    value: float | None = None
    unit: Unit = "A"
    period: Period | None = None
    profile: int | None = None
    until: datetime | None = None
    min_rate: float | None = None
    phases: int = PHASES
    """Those that `value` counts on: numberPhases, as far as the EVSE has them."""


@dataclass(frozen=True, slots=True)
class Composite:
    """A composite schedule of `seconds`: as many as were asked for, unless that is beyond `FURTHEST`
    or would have had too many periods.
    """

    periods: tuple[Period, ...]
    seconds: int


# --- now -----------------------------------------------------------------------------------------------------------


def limit_at(book: Book, evse: int, when: datetime, use: Use) -> Applied:
    """What TxProfiles, and where none holds TxDefaultProfiles, allow at an EVSE at `when` (K02.FR.04, FR.08)."""
    return _kept(book, (evse, use.transaction, use.began), when)


def station_limit_at(book: Book, when: datetime) -> Applied:
    """What ChargingStationMaxProfiles allow all EVSEs together at `when` (K04.FR.05)."""
    return _kept(book, (0, None, None), when)


def _kept(book: Book, asked: tuple[int, str | None, datetime | None], when: datetime) -> Applied:
    kept = book.derived.get(asked[0])
    if kept is None or kept[0] != asked:
        chain = _chain(book, *asked)
        kept = None
    else:
        _, chain, since, applied = kept
        if since <= when and (applied.until is None or when < applied.until):
            found: Applied = applied
            return found
    applied = _applied(chain, when)
    book.derived[asked[0]] = (asked, chain, when, applied)
    return applied


def _applied(chain: Sequence[Curve], when: datetime) -> Applied:
    curve, index, change = leading(chain, micros(when))
    until = None if change >= NEVER else time_of(change)
    if curve is None:
        return Applied(until=until)
    step = curve.step(index)
    return Applied(
        step.amps,
        curve.schedule.unit,
        step.period,
        curve.profile.id,
        until,
        curve.min_amps(step),
        step.phases,
    )


def _chain(book: Book, scope: int, transaction: str | None, began: datetime | None) -> list[Curve]:
    """The profiles of a scope, the first overrules: TxProfiles before TxDefaultProfiles, high stack levels first."""
    if scope == 0:
        return _curves(book, 0, (one for _, one in book.find(purpose=STATION_MAX)), None)
    own = [
        one
        for place, one in book.find()
        if (one.purpose == TX and place == scope and transaction is not None and one.transaction == transaction)
        or (one.purpose == TX_DEFAULT and place in (0, scope))
    ]
    return _curves(book, scope, own, began)


def _curves(book: Book, scope: int, profiles: Iterable[Profile], began: datetime | None) -> list[Curve]:
    phases = book.evses[scope] if scope else station_phases(book)
    ordered = sorted(profiles, key=lambda one: (one.purpose != TX, -one.stack))
    return [Curve(one, phases, book.voltage, began) for one in ordered]


def station_phases(book: Book) -> int:
    """The phases of the grid connection: as many as the EVSE with the most has."""
    return max(book.evses.values(), default=PHASES)


# --- over a time to come -------------------------------------------------------------------------------------------

_Value = tuple[float, int]
"""A per phase, phases."""
_Line = list[tuple[int, _Value]]
"""A value from each second on; the first second is the stretch's first."""


def composite(
    book: Book,
    evse: int,
    start: datetime,
    seconds: int,
    unit: Unit,
    uses: Mapping[int, Use],
    extra: Sequence[Extra] = (),
    *,
    most: int = MOST_PERIODS,
) -> Composite:
    """What EVSE `evse`, or the station (0), is expected to draw at most from `start` on (K08.FR.02, FR.03, FR.06).

    `uses` has all EVSEs. In A it is per phase; for the station it is the sum over the EVSEs, as if all shared one
    phase. Limits have one decimal place, rounded down (K08.FR.04). Without a transaction, or before it is ready for
    energy, Relative profiles start at `start`. KeyError: no such EVSE.
    """
    origin = micros(start)
    if evse:
        reckon = _of_evse(book, evse, origin, start, uses[evse], extra)
    else:
        reckon = _of_station(book, origin, start, uses, extra)
    periods: list[Period] = []
    seconds = max(0, min(seconds, FURTHEST))
    for first in range(0, seconds, _STRETCH):
        for second, (amps, phases), watts in reckon(first, min(first + _STRETCH, seconds)):
            limit = _tenths(amps if unit == "A" else watts)
            told = None if phases == PHASES else phases
            if periods and (periods[-1].limit, periods[-1].phases) == (limit, told):
                continue
            if len(periods) == most:
                return Composite(tuple(periods), second)
            periods.append(Period(second, limit, told))
    return Composite(tuple(periods), seconds)


_Reckoned = Callable[[int, int], Iterable[tuple[int, _Value, float]]]
"""(first second, second after the last) → (second, (A, phases), W)."""


def _of_evse(book: Book, evse: int, origin: int, start: datetime, use: Use, extra: Sequence[Extra]) -> _Reckoned:
    lines = _evse_lines(book, evse, origin, start, use, extra)
    most = (use.max_current, book.evses[evse])

    def reckon(first: int, end: int) -> Iterable[tuple[int, _Value, float]]:
        for second, value in _lowest(most, [line(first, end) for line in lines], first):
            yield second, value, value[0] * value[1] * book.voltage

    return reckon


def _of_station(
    book: Book, origin: int, start: datetime, uses: Mapping[int, Use], extra: Sequence[Extra]
) -> _Reckoned:
    phases = station_phases(book)
    groups = [_chain(book, 0, None, None), *_extra_curves(book, 0, (0,), start, extra)]
    own = [_line_of(group, origin, phases) for group in groups]
    each = [(use, book.evses[one], _evse_lines(book, one, origin, start, use, extra)) for one, use in uses.items()]

    def reckon(first: int, end: int) -> Iterable[tuple[int, _Value, float]]:
        parts = [
            _lowest((use.max_current, has), [line(first, end) for line in lines], first) for use, has, lines in each
        ]
        cap = _lowest((math.inf, phases), [line(first, end) for line in own], first)
        for second, (limit, *values) in _together([cap, *parts], first):
            amps = min(limit[0], sum(value[0] for value in values))
            watts = min(
                limit[0] * limit[1] * book.voltage, sum(value[0] * value[1] * book.voltage for value in values)
            )
            yield second, (amps, limit[1]), watts

    return reckon


_Liner = Callable[[int, int], _Line]


def _evse_lines(
    book: Book, evse: int, origin: int, start: datetime, use: Use, extra: Sequence[Extra]
) -> list[_Liner]:
    """Everything that limits one EVSE beside its local limit, the station's own limits among it."""
    maximum = _curves(book, evse, (one for _, one in book.find(purpose=STATION_MAX)), None)
    began = start if use.began is None or use.transaction is None else use.began
    groups = [
        maximum,
        _chain(book, evse, use.transaction, began),
        *_extra_curves(book, evse, (0, evse), start, extra),
    ]
    return [_line_of(group, origin, book.evses[evse]) for group in groups if group]


def _extra_curves(
    book: Book, scope: int, scopes: Sequence[int], start: datetime, extra: Sequence[Extra]
) -> list[list[Curve]]:
    return [_curves(book, scope, (one,), start) for place, one in extra if place in scopes]


def _line_of(curves: Sequence[Curve], origin: int, phases: int) -> _Liner:
    """Its steps by the second: what begins between two seconds begins with the later one."""

    def line(first: int, end: int) -> _Line:
        made: _Line = []
        for time, step in paint(curves, origin + first * SECOND, origin + end * SECOND):
            second = -((origin - time) // SECOND)
            if second >= end:
                break
            value = (math.inf, phases) if step is None else (step.amps, step.phases)
            if made and made[-1][0] == second:
                made[-1] = (second, value)
            else:
                made.append((second, value))
        return made

    return line


def _lowest(most: _Value, lines: Sequence[_Line], first: int) -> _Line:
    """The lowest current and the fewest phases of all, and of `most`."""
    if not lines:
        return [(first, most)]
    if len(lines) == 1:
        return [(second, (min(most[0], one[0]), min(most[1], one[1]))) for second, one in lines[0]]
    return [
        (second, (min(most[0], *(one[0] for one in values)), min(most[1], *(one[1] for one in values))))
        for second, values in _together(lines, first)
    ]


def _together(lines: Sequence[_Line], first: int) -> Iterable[tuple[int, list[_Value]]]:
    """All lines at every second at which one of them changes."""
    values = [line[0][1] for line in lines]
    changes = sorted((second, place, value) for place, line in enumerate(lines) for second, value in line[1:])
    now = first
    for second, place, value in changes:
        if second != now:
            yield now, values
            values = list(values)
            now = second
        values[place] = value
    yield now, values


def _tenths(value: float) -> float:
    return math.floor(value * 10 + 1e-6) / 10
