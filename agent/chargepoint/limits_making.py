"""Out of a board's `limits` and `ems`: who limits, and the interfaces on which control systems say so."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from agent.board import Board
from agent.board.limits_spec import ContactEms, FuseSpec, LimitsSpec, ModbusEms, ThermalSpec
from agent.board.limits_spec import MqttEms as MqttSpec
from agent.board.limits_wiring import external
from agent.chargepoint.limits import Limiters
from agent.charging.car import Rating
from agent.charging.derating import ThermalDerating, ThermalSettings
from agent.charging.external import ExternalSource
from agent.charging.failsafe import FailsafeSettings
from agent.charging.fuse import FuseGuard, FuseSettings
from agent.charging.limits import Source
from agent.clock import Clock
from agent.ems.contact import ContactSource, Record
from agent.ems.telemetry import Telemetry
from agent.model import DeviceModel


def ratings(board: Board) -> dict[int, Rating]:
    """What each EVSE of `board` can do."""
    return {
        number: Rating(one.phases or 1, one.voltage, one.min_current, one.max_current)
        for number, one in board.evses.items()
    }


def limiters(board: Board, model: DeviceModel, clock: Clock, changed: Callable[[], None], record: Record) -> Limiters:
    """Who limits; `changed` is called when a control system said something, `record` at each signal of a contact."""
    spec = board.limits
    sources: list[Source] = []
    externals: dict[str, ExternalSource] = {}
    for name, one in board.ems.items():
        if isinstance(one, ContactEms):
            active = model.get(external(name), "Active")
            assert active is not None  # the wiring made it
            sources.append(
                ContactSource(name, active, kind=one.source, limit=one.limit, settle=one.settle, record=record)
            )
        else:
            externals[name] = ExternalSource(
                name,
                kind=one.source,
                failsafe=FailsafeSettings(**one.failsafe.model_dump()),
                clock=clock,
                scopes=(0, *board.evses),
                changed=changed,
            )
            sources.append(externals[name])
    return Limiters(
        sources=sources,
        externals=externals,
        systems={name: external(name) for name in board.ems},
        record=record,
        fuse=None if spec.fuse is None else _fuse(spec.fuse),
        thermal=None if spec.thermal is None else _thermal(spec.thermal, tuple(board.evses)),
        sensor="" if spec.thermal is None else spec.thermal.sensor,
        connection=_connection(spec),
        station=spec.station,
        by_priority=spec.sharing == "priority",
        rotate=spec.rotate,
        pauses_per_hour=spec.pauses,
        obey=spec.obey,
        tolerance=spec.tolerance,
    )


def _connection(spec: LimitsSpec) -> float | None:
    ratings = [] if spec.station is None else [spec.station]
    if spec.fuse is not None:
        ratings.append(spec.fuse.rating - spec.fuse.margin)
    return min(ratings, default=None)


def _fuse(spec: FuseSpec) -> FuseGuard:
    return FuseGuard(FuseSettings(spec.rating, spec.margin, spec.safe_current, spec.window, spec.rise))


def _thermal(spec: ThermalSpec, evses: tuple[int, ...]) -> ThermalDerating:
    return ThermalDerating(ThermalSettings(spec.curve, spec.safe_current), evses)


LATER = 1.0
"""Seconds after the start before a broker is called: its library is imported after BootNotification."""


async def _later(job: Coroutine[Any, Any, None]) -> None:
    try:
        await asyncio.sleep(LATER)
    except BaseException:
        job.close()
        raise
    await job


def interfaces(
    board: Board, externals: Mapping[str, ExternalSource], telemetry: Callable[[], Telemetry], clock: Clock
) -> list[Coroutine[Any, Any, None]]:
    """What runs for the control systems that reach the station by a network, each until it is cancelled."""
    jobs: list[Coroutine[Any, Any, None]] = []
    for name, one in board.ems.items():
        if isinstance(one, ModbusEms):
            from agent.ems.modbus_server import ModbusEmsServer

            server = ModbusEmsServer(
                externals[name], listen=one.listen, port=one.port, allow=one.allow, telemetry=telemetry
            )
            jobs.append(server.run())
        elif isinstance(one, MqttSpec):
            from agent.ems.mqtt import MqttEms

            broker = MqttEms(
                externals[name],
                host=one.host,
                port=one.port,
                topic=one.topic,
                telemetry=telemetry,
                clock=clock,
                username=one.username,
                password_file=one.password_file,
                tls=one.tls,
                trust=one.trust,
                ttl=one.ttl,
            )
            jobs.append(_later(broker.run()))
    return jobs
