"""The bench's EMS against the real Modbus interface: limits, faults, and an agent that comes and goes."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from agent.charging.limits import State
from drivers.bench.ems_modbus import ModbusEms
from drivers.bench.refusals import InTheWay, Unusable
from tests.ems.modbus_parts import FAILSAFE, Rig, client, serving, until

QUICK = replace(FAILSAFE, after=0.5)


@contextlib.asynccontextmanager
async def living(port: int | None, *, beat: float = 0.05, late: float = 1.0) -> AsyncIterator[ModbusEms]:
    assert port is not None
    ems = ModbusEms("127.0.0.1", port, beat=beat, late=late)
    task = asyncio.create_task(ems.run())
    try:
        yield ems
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def holds(rig: Rig, state: State, value: float | None) -> bool:
    limit = rig.limits()[0]
    return limit.state is state and limit.value == value


async def test_a_limit_is_with_the_station_when_impose_returns_and_heartbeats_keep_it() -> None:
    async with serving(failsafe=QUICK) as rig, living(rig.server.port) as ems:
        await until(lambda: ems.connected)
        await ems.impose(4200)
        assert holds(rig, State.ACTIVE, 4200)
        assert ems.limit_w == 4200
        await asyncio.sleep(1.0)
        assert holds(rig, State.ACTIVE, 4200)
        await ems.impose(10, "A")
        assert (rig.value(0), rig.limits()[0].unit) == (10, "A")
        assert ems.limit_w == 6900
        await ems.release()
        assert rig.value(0) is None
        assert ems.limit_w is None


async def test_a_duration_ends_with_a_release() -> None:
    async with serving() as rig, living(rig.server.port) as ems:
        await until(lambda: ems.connected)
        await ems.impose(5000, "W", 0.2)
        assert rig.value(0) == 5000
        await until(lambda: rig.value(0) is None)
        assert ems.limit_w is None


@pytest.mark.parametrize("fault", ["offline", "garbage", "slow"])
async def test_an_ems_with_a_fault_leads_to_the_failsafe_and_a_sound_one_out_of_it(fault: str) -> None:
    async with serving(failsafe=QUICK) as rig, living(rig.server.port) as ems:
        await until(lambda: ems.connected)
        await ems.impose(9000)
        ems.set_fault(fault)
        await until(lambda: holds(rig, State.FAILSAFE, 4200))
        ems.set_fault("none")
        await until(lambda: holds(rig, State.ACTIVE, 9000))


async def test_what_is_imposed_before_the_station_is_there_is_told_when_it_comes_and_again_after_a_restart() -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    async with living(port) as ems:
        await ems.impose(6000)
        async with serving(port=port) as rig:
            await until(lambda: holds(rig, State.ACTIVE, 6000))
        async with serving(port=port) as rig:
            await until(lambda: holds(rig, State.ACTIVE, 6000))
            await ems.release()
        async with serving(port=port) as rig:
            await until(lambda: rig.limits()[0].state is State.RELEASED)


async def test_what_is_no_limit_is_unusable_and_changes_nothing() -> None:
    async with serving() as rig, living(rig.server.port) as ems:
        await until(lambda: ems.connected)
        await ems.impose(5000)
        for limit, unit, duration in (
            (-1.0, "W", None), (float("nan"), "W", None), (1e10, "W", None), (7000.0, "A", None), (1.0, "kW", None),
            (1.0, "W", 0.0),
        ):  # fmt: skip
            with pytest.raises(Unusable):
                await ems.impose(limit, unit, duration)
        with pytest.raises(Unusable):
            ems.set_fault("exception")
        assert ems.limit_w == rig.value(0) == 5000


async def test_a_refused_limit_is_in_the_way_and_the_old_one_stays() -> None:
    async with serving() as rig, living(rig.server.port) as ems:
        await until(lambda: ems.connected)
        await ems.impose(5000)
        with pytest.raises(InTheWay):
            await ems.impose(5_000_000)
        assert ems.limit_w == rig.value(0) == 5000


async def test_a_burst_of_changes_ends_with_the_last_one() -> None:
    async with serving() as rig, living(rig.server.port) as ems, client(rig):
        await until(lambda: ems.connected)
        await asyncio.gather(*(ems.impose(4000 + n) for n in range(50)))
        await until(lambda: rig.value(0) == 4049)
        assert ems.limit_w == 4049
