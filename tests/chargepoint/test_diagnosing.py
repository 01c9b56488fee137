"""A board's diagnostics as a whole: a bundle of it at a real server, with what the station lends."""

import asyncio
import contextlib
import gzip
import json
import logging
from datetime import timedelta

import pytest

from agent.board import load
from agent.board.wiring import wire
from agent.chargepoint.diagnosing import Diagnosing, signal_lines
from agent.clock import SystemClock
from agent.diagnostics.job import LogRequest
from agent.diagnostics.rings import LastMessages
from agent.ems.signals import Signals
from agent.store import Store
from tests.diagnostics.parts import NOON, unpacked
from tests.diagnostics.server import Behaviour, server
from tests.ocpp.parts import until


@pytest.mark.requirement("N01.FR.03", "N01.FR.04")
async def test_both_logs_of_a_real_board_reach_a_real_server(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", "/nonexistent")
    board, clock, posted = load("bench-ac"), SystemClock(), []
    signals = Signals(tmp_path, clock)
    signals.record("grid", "limit", 4200.0)
    signals.close()
    behaviour = Behaviour()
    with contextlib.closing(Store(tmp_path)) as store, server(behaviour) as port:
        one = Diagnosing(
            board,
            store,
            wire(board).model,
            clock,
            {"identity": "CS 001"},
            posted.append,
            LastMessages(clock),
            buses=lambda: {"rs485": 1},
            security=lambda: [(NOON, "StartupOfTheDevice")],
        )
        running = asyncio.create_task(one.run())
        await asyncio.sleep(0)
        logging.getLogger("agent.test").warning("something happened")
        for number, kind in enumerate(("DiagnosticsLog", "SecurityLog"), start=1):
            answer = await one.offered.uploads.request(LogRequest(number, kind, f"http://127.0.0.1:{port}/"))
            answer.then()
            await until(lambda: posted and posted[-1].status == "Uploaded")
            assert {one.request_id for one in posted} == {number}
            posted.clear()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    found = unpacked(behaviour.got[0].body)
    assert json.loads(found["versions.json"])["station"]["identity"] == "CS 001"
    assert "something happened" in found["journal.log"] and "grid,limit,4200" in found["signals.csv"]
    assert found["security.log"] == "StartupOfTheDevice\n" and "missing.txt" not in found
    files = [name for name in found if name.startswith("board/")]
    assert files[0] == "board/bench-ac.yaml" and len(files) == 1 + len(board.profiles)
    assert gzip.decompress(behaviour.got[1].body) == b"StartupOfTheDevice\n"
    assert one.offered.customers is None


def test_signals_are_dated_where_a_clock_dated_them(tmp_path):
    clock = SystemClock()
    signals = Signals(tmp_path, clock)
    signals.record("grid", "limit", None)
    signals.close()
    head, line = signal_lines(tmp_path)
    assert head[0] is None and head[1].startswith("time,")
    assert line[0] is not None and abs(line[0] - clock.now()) < timedelta(minutes=1)
