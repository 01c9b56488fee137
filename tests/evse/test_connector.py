"""The hardware of one connector as it is seen: debounced, fresh, and compared with what was commanded."""

import pytest

from agent.board import load
from agent.board.wiring import wire
from agent.evse.connector import DEBOUNCE, MOVE_SECONDS, Connector
from agent.model import Value
from tests.evse.evse_parts import connectors, inputs
from tests.evse.meter_parts import Bench


class Hardware:
    """Connector `number` of bench-ac's EVSE 1, its inputs set by hand."""

    def __init__(self, number: int = 1) -> None:
        self.bench = Bench()
        self.connector: Connector = connectors(self.bench)[number]
        wiring = next(one for one in wire(load("bench-ac")).connectors if (one.evse, one.connector) == (1, number))
        self.variables = inputs(self.bench, wiring)
        self.now = 50.0
        self.see(pilot="A", plugged=False, cable_current=0.0, contactor_closed=False, locked=False, fault=0)

    def see(self, after: float = 0.0, **values: Value | None) -> Connector:
        self.now += after
        for role, value in values.items():
            if role in self.variables:
                self.variables[role].update(value, self.now)
        self.connector.step(self.now)
        return self.connector


def test_nothing_is_known_before_the_controller_was_heard() -> None:
    connector = connectors(Bench())[1]
    connector.step(0.0)
    assert (connector.pilot, connector.raw, connector.fresh) == (None, None, False)
    assert (connector.connected, connector.asks, connector.locked, connector.closed) == (False, False, None, None)


def test_the_first_word_of_the_pilot_counts_at_once() -> None:
    assert Hardware().connector.pilot == "A"


def test_a_pilot_that_flickers_is_no_car() -> None:
    hardware = Hardware()
    assert hardware.see(1, pilot="B").pilot == "A"
    assert hardware.connector.due() == hardware.now + DEBOUNCE
    assert hardware.see(DEBOUNCE - 0.01, pilot="A").pilot == "A"
    assert hardware.see(DEBOUNCE).pilot == "A"
    assert hardware.connector.due() is None


def test_a_pilot_that_stays_is_a_car() -> None:
    hardware = Hardware()
    hardware.see(1, pilot="B")
    connector = hardware.see(DEBOUNCE + 0.001)
    assert (connector.pilot, connector.connected, connector.asks) == ("B", True, False)


@pytest.mark.parametrize("pilot", ["C", "C2", "D"])
def test_a_car_that_asks_is_heard_without_debouncing(pilot: str) -> None:
    connector = Hardware().see(1, pilot=pilot)
    assert connector.asks
    assert not connector.connected


def test_a_silent_controller_keeps_the_car_but_is_not_fresh() -> None:
    hardware = Hardware()
    hardware.see(1, pilot="C")
    hardware.see(1)
    connector = hardware.see(1, pilot=None)
    assert (connector.pilot, connector.raw, connector.fresh, connector.asks) == ("C", None, False, False)


@pytest.mark.parametrize("role", ["pilot", "contactor_closed", "locked", "fault"])
def test_every_reading_that_safety_hangs_on_must_be_fresh(role: str) -> None:
    hardware = Hardware()
    assert hardware.connector.fresh
    assert not hardware.see(1, **{role: None}).fresh


def test_a_fixed_cable_needs_no_lock() -> None:
    connector = Hardware(2).connector
    assert (connector.has_lock, connector.locked, connector.fresh) == (False, False, True)


def test_a_lock_that_does_not_move_is_stuck_and_one_that_moves_again_is_not() -> None:
    hardware = Hardware()
    hardware.connector.command.lock = True
    hardware.see(1)
    assert hardware.connector.due() == hardware.now + MOVE_SECONDS
    assert not hardware.see(MOVE_SECONDS - 0.01).retention.stuck
    assert hardware.see(0.01).retention.stuck
    assert not hardware.see(1, locked=True).retention.stuck


def test_a_silent_lock_is_not_called_stuck() -> None:
    hardware = Hardware()
    hardware.connector.command.lock = True
    hardware.see(1, locked=None)
    assert not hardware.see(2 * MOVE_SECONDS).retention.stuck


def test_a_contactor_that_stays_closed_is_welded() -> None:
    hardware = Hardware()
    hardware.see(1, pilot="B", contactor_closed=True)
    assert hardware.see(MOVE_SECONDS - 0.1).fault is None
    assert hardware.see(0.2).fault == "the contactor does not open: welded"


def test_a_contactor_that_does_not_close_for_a_car_that_asks_is_a_fault() -> None:
    hardware = Hardware()
    hardware.connector.command.enable, hardware.connector.command.offered = True, 16.0
    hardware.see(1, pilot="C")
    assert hardware.see(MOVE_SECONDS + 0.1).fault == "the contactor does not close"


def test_a_contactor_stays_open_for_a_car_that_does_not_ask() -> None:
    hardware = Hardware()
    hardware.connector.command.enable, hardware.connector.command.offered = True, 16.0
    hardware.see(1, pilot="B")
    assert hardware.see(2 * MOVE_SECONDS).fault is None


@pytest.mark.parametrize(("role", "value"), [("pilot", "E"), ("pilot", "F"), ("fault", 4)])
def test_what_the_controller_reports_as_a_fault(role: str, value: Value) -> None:
    assert Hardware().see(1, **{role: value}).fault is not None


@pytest.mark.parametrize(("read", "allowed"), [(13.0, 13.0), (63.0, 63.0), (0.0, None), (None, None)])
def test_a_cable_allows_what_its_resistor_says(read: float | None, allowed: float | None) -> None:
    assert Hardware().see(1, cable_current=read).cable_current == allowed


def test_a_cable_without_a_car_is_plugged_into_a_socket_only() -> None:
    assert Hardware(1).see(1, plugged=True).plugged
    assert not Hardware(2).see(1, plugged=True).plugged


def test_feedback_decides_whether_energy_can_flow_and_the_command_where_it_is_silent() -> None:
    hardware = Hardware()
    hardware.connector.command.enable = True
    assert not hardware.see(1, pilot="C").powered
    assert hardware.see(1, contactor_closed=True).powered
    assert hardware.see(1, contactor_closed=None).powered
