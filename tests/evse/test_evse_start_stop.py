"""When a transaction starts and stops: every TxStartPoint with every TxStopPoint, whatever comes first (E01, E06)."""

from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.evse.evse import Evse
from agent.evse.metering import Meter
from agent.evse.records import TransactionEvent
from tests.evse.evse_parts import ANN, BOB, POINTS, Rig, sound

ORDERS = tuple(permutations(("bay", "cable", "token")))
BEGIN = {"bay": "EVDetected", "cable": "CablePluggedIn", "token": "Authorized"}
"""The trigger reason of what a driver does."""


def begin(rig: Rig, step: str) -> None:
    if step == "bay":
        rig.bay = True
        rig.run()
    elif step == "cable":
        rig.plug()
    else:
        rig.present()


def leave(rig: Rig, step: str) -> None:
    if step == "bay":
        rig.bay = False
        rig.run(10)
    elif step == "cable":
        rig.unplug()
        rig.run(10)
    else:
        rig.stop("token", ANN)


def session(start: str, stop: str, order: tuple[str, ...]) -> Rig:
    """A session in which everything happens once: it begins in `order`, charges, and is left the same way back."""
    rig = Rig(TxCtrlr_TxStartPoint=start, TxCtrlr_TxStopPoint=stop)
    for step in order:
        begin(rig, step)
    rig.run(8)
    assert rig.evse.state == "Charging"
    for step in ("token", "cable", "bay"):
        leave(rig, step)
    return rig


def started_by(start: str, order: tuple[str, ...]) -> str:
    """The trigger reason with which a transaction of `start` begins (E01, table of scenarios)."""
    if start == "ParkingBayOccupancy":
        return "EVDetected"
    if start == "EVConnected":
        return "CablePluggedIn"
    if start == "Authorized":
        return "Authorized"
    last = max(("cable", "token"), key=order.index)
    return BEGIN[last]


ENDED = {
    "ParkingBayOccupancy": ("EVDeparted", "Idle"),
    "EVConnected": ("EVCommunicationLost", "Idle"),
    "Authorized": ("StopAuthorized", "EVConnected"),
    "PowerPathClosed": ("StopAuthorized", "EVConnected"),
    "EnergyTransfer": ("ChargingStateChanged", "EVConnected"),
}
"""Of each TxStopPoint: trigger reason and charging state of the event Ended of a driver who stops by token first."""


@pytest.mark.requirement(
    "E01.FR.01", "E01.FR.02", "E01.FR.03", "E01.FR.05", "E01.FR.06", "E01.FR.16",
    "E06.FR.01", "E06.FR.02", "E06.FR.03", "E06.FR.06", "E06.FR.07", "E06.FR.15", "E07.FR.02", "E07.FR.05",
)  # fmt: skip
@pytest.mark.parametrize("order", ORDERS, ids="-".join)
@pytest.mark.parametrize("stop", POINTS)
@pytest.mark.parametrize("start", POINTS)
def test_a_session_is_one_transaction(start: str, stop: str, order: tuple[str, ...]) -> None:
    rig = session(start, stop, order)
    sound(rig.events)
    assert len({event.transaction_id for event in rig.events}) == 1
    if start != "EnergyTransfer":
        assert rig.started.trigger_reason == started_by(start, order)
    trigger, state = ENDED[stop]
    assert (rig.ended.trigger_reason, rig.ended.charging_state) == (trigger, state)
    assert rig.ended.stopped_reason == "Local"
    stops = [event for event in rig.events if event.trigger_reason == "StopAuthorized"]
    assert [event.id_token for event in stops] == [ANN]
    told = [event for event in rig.events if event.evse is not None and event.connector is not None]
    assert [(one.evse, one.connector) for one in told] == [(1, 1)]
    assert told == [next(event for event in rig.events if event.charging_state != "Idle")]
    beginning = rig.events[: rig.events.index(stops[0])]
    assert [event.id_token for event in beginning if event.id_token is not None] == [ANN]
    assert beginning[-1].charging_state == "Charging"
    assert rig.evse.to_json() == ""


@pytest.mark.parametrize("order", [order for order in ORDERS if order[0] != "cable"], ids="-".join)
@pytest.mark.parametrize("start", POINTS)
def test_nothing_starts_before_its_point_holds(start: str, order: tuple[str, ...]) -> None:
    rig = Rig(TxCtrlr_TxStartPoint=start, TxCtrlr_TxStopPoint="EVConnected")
    needs = {
        "ParkingBayOccupancy": {"bay"},
        "EVConnected": {"cable"},
        "Authorized": {"token"},
        "PowerPathClosed": {"cable", "token"},
        "EnergyTransfer": {"cable", "token"},
    }[start]
    done: set[str] = set()
    for step in order:
        assert bool(rig.events) == needs.issubset(done)
        begin(rig, step)
        done.add(step)
    rig.run(4)
    assert rig.started.seq_no == 0


@pytest.mark.requirement("E01.FR.06")
def test_energy_that_flows_is_what_starts_a_transaction() -> None:
    rig = Rig(TxCtrlr_TxStartPoint="EnergyTransfer", TxCtrlr_TxStopPoint="EnergyTransfer")
    rig.plug(pilot="B")
    rig.present()
    rig.run(20)
    assert rig.events == []
    rig.plant.pilot = "C"
    rig.run(2)
    assert rig.started.charging_state == "Charging"
    assert rig.started.id_token == ANN


def test_a_transaction_of_energy_tells_that_the_charging_state_changed() -> None:
    rig = Rig(TxCtrlr_TxStartPoint="EnergyTransfer")
    rig.plug(pilot="B")
    rig.present()
    rig.run(20)
    rig.plant.pilot = "C"
    rig.run(2)
    assert rig.started.trigger_reason == "ChargingStateChanged"


@pytest.mark.requirement("E01.FR.05", "G05.FR.01")
def test_a_path_is_closed_once_the_plug_is_locked() -> None:
    rig = Rig(TxCtrlr_TxStartPoint="PowerPathClosed")
    rig.plant.broken["locked"] = False
    rig.plug()
    rig.present()
    assert rig.events == []
    del rig.plant.broken["locked"]
    rig.run()
    assert rig.started.trigger_reason == "Authorized"


@pytest.mark.requirement("E06.FR.07")
def test_a_car_that_stops_drawing_ends_a_transaction_of_energy() -> None:
    rig = Rig(TxCtrlr_TxStopPoint="EnergyTransfer")
    rig.charge()
    rig.plant.draws = False
    rig.run(20)
    assert (rig.ended.trigger_reason, rig.ended.stopped_reason) == ("ChargingStateChanged", "StoppedByEV")
    assert not rig.command.enable
    sound(rig.events)


def test_a_car_that_pauses_does_not_end_another_transaction() -> None:
    rig = Rig()
    rig.charge()
    rig.plant.draws = False
    rig.run(20)
    assert (rig.last.trigger_reason, rig.last.charging_state) == ("ChargingStateChanged", "SuspendedEV")
    rig.plant.draws = True
    rig.run()
    assert rig.last.charging_state == "Charging"
    assert "Ended" not in rig.types


@pytest.mark.requirement("E01.FR.14")
def test_a_second_car_of_an_evse_starts_nothing_before_the_first_has_left() -> None:
    rig = Rig(TxCtrlr_TxStartPoint="EVConnected", TxCtrlr_TxStopPoint="EVConnected")
    rig.plug()
    rig.plug(rig.fixed)
    assert (rig.started.connector, rig.types) == (1, ["Started"])
    rig.unplug()
    rig.run(10)
    assert [event.connector for event in rig.events if event.event_type == "Started"] == [1, 2]


def test_a_car_that_stays_starts_no_transaction_of_its_own_after_one_ended() -> None:
    rig = Rig(TxCtrlr_TxStartPoint="EVConnected", TxCtrlr_TxStopPoint="Authorized")
    rig.charge()
    rig.stop("token", ANN)
    rig.run(30)
    assert rig.types[-1] == "Ended"
    rig.present(BOB)
    assert rig.last.event_type != "Ended"
    assert rig.evse.tx is not None and rig.evse.tx.id == "tx-2"


@pytest.mark.requirement("E03.FR.01")
def test_a_token_is_told_in_the_first_event_after_it_was_presented() -> None:
    rig = Rig(TxCtrlr_TxStartPoint="EVConnected")
    rig.plug()
    assert rig.started.id_token is None
    rig.present()
    assert (rig.events[1].trigger_reason, rig.events[1].id_token) == ("Authorized", ANN)
    assert all(event.id_token is None for event in rig.events[2:])


def floating(start: str) -> Rig:
    """A driver who is authorized before an EVSE was chosen, then plugs in at EVSE 1 and charges."""
    rig = Rig(TxCtrlr_TxStartPoint=start)
    meter = Meter(rig.bench.model, 0, rig.clock)
    other = Evse(0, {}, settings=rig.bench.settings, meter=meter, clock=rig.clock, new_id=lambda: "tx-0")
    other.authorize(ANN)
    other.step()
    rig.events += [event for event, text in other.take()]
    rig.run(2)
    rig.plug()
    rig.evse.take_over(other)
    rig.run(10)
    assert (other.busy, other.to_json(), other.take()) == (False, "", [])
    return rig


@pytest.mark.requirement("E01.FR.16")
@pytest.mark.parametrize("start", [point for point in POINTS if point != "ParkingBayOccupancy"])
def test_a_driver_who_was_there_before_an_evse_was_chosen_charges(start: str) -> None:
    rig = floating(start)
    assert (rig.evse.state, rig.plant.closed) == ("Charging", True)
    assert [event.id_token for event in rig.events if event.id_token is not None] == [ANN]
    assert [(event.evse, event.connector) for event in rig.events if event.evse is not None] == [(1, 1)]
    rig.stop("token", ANN)
    assert rig.ended.stopped_reason == "Local"
    assert {event.transaction_id for event in rig.events} == {"tx-0" if start == "Authorized" else "tx-1"}
    sound(rig.events)


def test_the_cable_of_a_driver_who_was_there_before_is_told() -> None:
    assert [event.trigger_reason for event in floating("Authorized").events[:2]] == ["Authorized", "CablePluggedIn"]


def names(events: list[TransactionEvent]) -> list[str]:
    return [event.transaction_id for event in events]


@settings(max_examples=40, deadline=None)
@given(
    start=st.sets(st.sampled_from(POINTS), min_size=1),
    stop=st.sets(st.sampled_from(POINTS), min_size=1),
    steps=st.lists(
        st.sampled_from(("bay", "no bay", "cable", "no cable", "token", "stop", "pause", "draw", "wait")), max_size=14
    ),
)
def test_whatever_happens_each_transaction_starts_once_and_ends_once(
    start: set[str], stop: set[str], steps: list[str]
) -> None:
    rig = Rig(TxCtrlr_TxStartPoint=",".join(sorted(start)), TxCtrlr_TxStopPoint=",".join(sorted(stop)))
    for step in steps:
        if step in ("bay", "no bay"):
            rig.bay = step == "bay"
        elif step == "cable":
            rig.plug()
        elif step == "no cable":
            rig.unplug()
        elif step == "token":
            rig.evse.authorize(ANN)
        elif step == "stop" and rig.evse.auth is not None:
            rig.evse.end_authorization("token", ANN)
        elif step in ("pause", "draw"):
            rig.plant.draws = step == "draw"
        rig.run(2 if step != "wait" else 10)
    sound(rig.events)
    seen = list(dict.fromkeys(names(rig.events)))
    assert names(rig.events) == sorted(names(rig.events), key=seen.index), "one ends before the next starts"
    for transaction in seen[:-1]:
        last = [event for event in rig.events if event.transaction_id == transaction][-1]
        assert last.event_type == "Ended"
