"""The monitors at work on a real store: what was answered survives, what the disk refuses leaves nothing behind."""

import asyncio
import contextlib
import sqlite3

import pytest

from agent.model import Component, VariableName
from agent.monitoring import Fired, MonitorRequest, MonitorType
from agent.monitors import LONGEST, ROOM, MonitorDesk
from agent.store import Store, StoreError
from tests.monitoring.monitoring_parts import (
    ALIGNED,
    CABINET,
    PERIODIC,
    TEMPERATURE,
    UPPER,
    ManualClock,
    declared,
    example_model,
)
from tests.ocpp.parts import until


class Running:
    """A desk on a store in `folder`, its clock in the test's hand; `fired` is what it told."""

    def __init__(self, folder, *, preconfigured=()):
        self.clock = ManualClock()
        self.store = Store(folder)
        self.preconfigured = preconfigured
        self.boot()

    def boot(self):
        self.model = example_model()
        self.fired: list[Fired] = []
        self.desk = MonitorDesk(
            self.model, self.clock, self.store, fire=self.fired.append, preconfigured=self.preconfigured
        )
        self.desk.start()
        self.desk.online(True)

    async def set(self, type=UPPER, value=60.0, severity=3, id=None):
        (result,) = await self.desk.set([MonitorRequest(CABINET, TEMPERATURE, type, value, severity, id)])
        return result

    def read(self, value):
        self.model.find(CABINET, TEMPERATURE).update(value)

    def ids(self):
        return [one.id for one in self.desk.report()]

    def told(self):
        return [("cleared " if one.cleared else "") + one.actual for one in self.fired]


@pytest.fixture
def running(tmp_path):
    one = Running(tmp_path)
    yield one
    one.store.close()


@contextlib.asynccontextmanager
async def at_work(desk):
    task = asyncio.create_task(desk.run())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


@contextlib.contextmanager
def broken_disk(store):
    """Nothing can be written meanwhile: another process holds the file."""
    store._connection.execute("PRAGMA busy_timeout = 0")
    other = sqlite3.connect(store.directory / "station.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        other.execute("ROLLBACK")
        other.close()


@pytest.mark.requirement("N07.FR.13")
async def test_what_was_accepted_is_there_after_a_power_cut(running):
    results = await running.desk.set(
        [MonitorRequest(CABINET, TEMPERATURE, UPPER, 60.0 + one, one) for one in range(5)]
    )
    assert await running.desk.clear([results[0].id]) == ["Accepted"]
    assert await running.desk.set_level(4)
    before = list(running.desk.report())
    running.boot()
    assert list(running.desk.report()) == before
    assert running.ids() == [one.id for one in results[1:]]
    assert running.desk.monitors.level == 4


@pytest.mark.requirement("N07.FR.14")
async def test_that_a_threshold_was_exceeded_is_kept_without_a_request(running):
    result = await running.set()
    async with at_work(running.desk):
        running.read(70)
        await until(lambda: f"exceeded/{result.id}" in running.store.kept(ROOM))
    running.boot()  # the sensor reads 20 by now
    assert running.told() == ["cleared 20"]


async def test_a_request_that_the_disk_refuses_leaves_nothing_behind(running):
    first = await running.set()
    running.read(70)
    assert running.told() == ["70"]
    with broken_disk(running.store):
        new, replaced = await running.desk.set(
            [
                MonitorRequest(CABINET, TEMPERATURE, UPPER, 50.0, 4),
                MonitorRequest(CABINET, TEMPERATURE, UPPER, 80.0, 3, first.id),
            ]
        )
        assert [(one.status, one.reason_code, one.id) for one in (new, replaced)] == [
            ("Rejected", "InternalError", None)
        ] * 2
        assert await running.desk.clear([first.id, 4711]) == ["Rejected", "NotFound"]
    assert running.told() == ["70"]
    (left,) = running.desk.report()
    assert (left.id, left.value) == (first.id, 60.0)
    running.read(55)
    assert running.told() == ["70", "cleared 55"]
    again = await running.set(severity=4)
    assert again.accepted
    running.boot()
    assert running.ids() == [first.id, again.id]


async def test_what_triggers_while_a_request_is_written_is_told_after_its_commit(running):
    other = await running.set(severity=5)
    writing = asyncio.create_task(running.set(value=65.0, severity=6))
    await asyncio.sleep(0)
    running.read(70)
    held = running.told()
    result = await writing
    assert held == []
    assert [one.monitor.id for one in running.fired] == [other.id, result.id]


async def test_readings_during_a_refused_request_count_for_the_others(running):
    other = await running.set(severity=5)
    with broken_disk(running.store):
        writing = asyncio.create_task(running.set(value=65.0, severity=6))
        await asyncio.sleep(0)
        running.read(70)
        assert not (await writing).accepted
    assert [one.monitor.id for one in running.fired] == [other.id]
    running.read(50)
    assert running.told() == ["70", "cleared 50"]


async def test_a_request_that_is_given_up_is_in_force_and_kept(running):
    asking = asyncio.create_task(running.set())
    await asyncio.sleep(0)
    asking.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await asking
    (left,) = running.ids()
    async with at_work(running.desk):
        await until(lambda: f"monitor/{left}" in running.store.kept(ROOM))
    running.boot()
    assert running.ids() == [left]


async def test_what_is_not_kept_yet_is_kept_before_the_station_stops(running):
    result = await running.set()
    async with at_work(running.desk):
        running.read(70)
        await until(lambda: f"exceeded/{result.id}" in running.store.kept(ROOM))
        running.read(50)
    await running.desk.rest()
    assert f"exceeded/{result.id}" not in running.store.kept(ROOM)


async def test_a_base_that_the_disk_refuses_changes_nothing(tmp_path):
    one = Running(tmp_path, preconfigured=[declared(7)])
    assert await one.desk.set_base("HardWiredOnly")
    with broken_disk(one.store):
        asking = asyncio.create_task(one.desk.set_base("All"))
        await asyncio.sleep(0)
        one.read(70)
        with pytest.raises(StoreError):
            await asking
    assert one.desk.monitors.base == "HardWiredOnly"
    assert (one.ids(), one.fired) == ([], [])
    one.store.close()


async def test_a_declared_monitor_that_no_variable_can_have_is_left_out(tmp_path, caplog):
    nowhere = declared(7, on=(Component("Nowhere"), "Temperature"))
    one = Running(tmp_path, preconfigured=[nowhere, declared(8, severity=4)])
    assert one.ids() == [8]
    assert "monitor 7: Nowhere.Temperature is not there: it is left out" in caplog.text
    one.store.close()


async def test_what_the_disk_refused_is_written_later(running, caplog):
    result = await running.set()
    async with at_work(running.desk):
        with broken_disk(running.store):
            running.read(70)
            await until(lambda: "locked" in caplog.text)
        running.clock.move(100)
        running.desk.clock_moved()
        await until(lambda: f"exceeded/{result.id}" in running.store.kept(ROOM))


@pytest.mark.requirement("N08.FR.06")
async def test_periods_are_told_as_their_time_comes(running):
    await running.set(PERIODIC, 30)
    async with at_work(running.desk):
        await asyncio.sleep(0)
        assert running.fired == []
        running.clock.move(31)
        await running.set(severity=9)  # anything that wakes it: this clock stands still
        await until(lambda: len(running.fired) == 1)
    assert running.desk._next() - running.clock.monotonic() <= 30


@pytest.mark.requirement("N08.FR.07")
async def test_a_corrected_clock_is_looked_at_at_once(running):
    await running.set(ALIGNED, 3600)
    assert running.desk._next() - running.clock.monotonic() <= LONGEST
    async with at_work(running.desk):
        await asyncio.sleep(0.01)
        running.clock.wall = running.clock.wall.replace(hour=13, minute=0, second=0)
        running.desk.clock_moved()
        await until(lambda: running.fired)
    assert running.fired[0].trigger == "Periodic"


async def test_what_nobody_asks_of_the_disk_is_written_once_a_second_at_most(running):
    await running.set(value=0, severity=1)
    commits = []
    keep = running.store.keep

    async def counting(changes, messages=()):
        commits.append(list(changes))
        return await keep(commits[-1], messages)

    running.store.keep = counting
    async with at_work(running.desk):
        for number in range(100):
            running.read(-1 if number % 2 else 1)
            await asyncio.sleep(0.001)
    assert len(running.fired) >= 100
    assert len(commits) <= 1


async def test_preconfigured_monitors_come_from_the_board_and_can_be_cleared_for_good(tmp_path):
    one = Running(tmp_path, preconfigured=[declared(7), declared(8, severity=4)])
    assert one.ids() == [7, 8]
    assert await one.desk.clear([7]) == ["Accepted"]
    one.boot()
    assert one.ids() == [8]
    assert await one.desk.set_base("FactoryDefault")
    assert sorted(one.ids()) == [7, 8]
    one.store.close()


async def test_transaction_monitors_count_while_one_runs(tmp_path):
    store, model, fired, busy = Store(tmp_path), example_model(), [], set()
    desk = MonitorDesk(model, ManualClock(), store, fire=fired.append, transactions=lambda evse: evse in busy)
    desk.start()
    desk.online(True)
    place = Component("EVSE", evse=1)
    await desk.set([MonitorRequest(place, VariableName("Power"), MonitorType.UPPER_THRESHOLD, 10, 5, None, True)])
    model.find(place, VariableName("Power")).update(20.0)
    assert fired == []
    busy.add(1)
    desk.transactions_changed()
    assert [one.actual for one in fired] == ["20"]
    store.close()
