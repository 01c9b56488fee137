"""The record of the grid operator's signals: synced, torn lines told apart, thrifty, exported as CSV."""

import io
import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.ems import signals as module
from agent.ems.contact import Record
from agent.ems.signals import Signal, Signals, export, signal_from
from agent.rolling import Thrift

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)


class Hands:
    def __init__(self, start: datetime = NOW) -> None:
        self.time, self.start = 100.0, start

    def monotonic(self) -> float:
        return self.time

    def now(self) -> datetime:
        return self.start + timedelta(seconds=self.time - 100)


def rows(folder: Path, since: datetime | None = None) -> list[str]:
    out = io.StringIO()
    export(folder, out, since)
    return out.getvalue().splitlines()[1:]


def until(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


def write(folder: Path, clock: Hands, *signals: tuple[str, str, float | None, float]) -> None:
    """Record each after its last element's s, and let them be written."""
    record = Signals(folder, clock)
    for source, what, watts, after in signals:
        clock.time += after
        record.record(source, what, watts)
    record.close()


def test_signals_are_exported_in_their_order_with_utc_times(tmp_path: Path) -> None:
    write(tmp_path, Hands(), ("relay", "given", 4200.0, 0), ("relay", "released", None, 90.5))
    assert rows(tmp_path) == [
        "2026-11-25T12:00:00.000Z,set,relay,given,4200,1",
        "2026-11-25T12:01:30.500Z,set,relay,released,,1",
    ]
    assert rows(tmp_path, NOW + timedelta(seconds=60)) == ["2026-11-25T12:01:30.500Z,set,relay,released,,1"]


def test_it_is_what_a_contact_records_to(tmp_path: Path) -> None:
    record: Record = Signals(tmp_path, Hands()).record
    record("relay", "unknown", 4200.0)
    until(lambda: len(rows(tmp_path)) == 1)


def test_a_signal_is_on_the_disk_without_any_end(tmp_path: Path) -> None:
    record = Signals(tmp_path, Hands())
    record.record("relay", "given", 4200.0)
    until(lambda: len(rows(tmp_path)) == 1)
    record.record("relay", "released", None)
    until(lambda: len(rows(tmp_path)) == 2)
    assert record.problem is None


def test_after_a_power_cut_in_a_line_the_others_are_whole(tmp_path: Path) -> None:
    write(tmp_path, Hands(), ("relay", "given", 4200.0, 0))
    (file,) = tmp_path.iterdir()
    whole = file.read_bytes()
    for cut in range(1, len(whole)):
        file.write_bytes(whole + whole[:cut])
        write(tmp_path, Hands(), ("relay", "released", None, 1))
        out = io.StringIO()
        found = export(tmp_path, out)
        # Cut just before its end of line a line is whole.
        assert (found.lines, found.damaged) == ((2, 1) if cut < len(whole) - 1 else (3, 0))


def test_a_line_that_was_changed_is_not_exported(tmp_path: Path) -> None:
    write(tmp_path, Hands(), ("relay", "given", 4200.0, 0))
    (file,) = tmp_path.iterdir()
    file.write_bytes(file.read_bytes().replace(b"4200", b"9200"))
    assert rows(tmp_path) == []


def test_a_time_of_an_unset_clock_is_reckoned_from_another_line_of_the_same_boot(tmp_path: Path) -> None:
    clock = Hands(datetime(1970, 1, 1, tzinfo=UTC))
    write(tmp_path, clock, ("relay", "given", 4200.0, 0))
    assert rows(tmp_path) == ["1970-01-01T00:00:00.000Z,unset,relay,given,4200,1"]
    clock.start = NOW
    write(tmp_path, clock, ("relay", "released", None, 60))
    assert rows(tmp_path)[0] == "2026-11-25T12:00:00.000Z,reckoned,relay,given,4200,1"


def test_a_time_of_an_unset_clock_of_another_boot_stays_in_doubt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_boot", lambda: "before")
    write(tmp_path, Hands(datetime(1970, 1, 1, tzinfo=UTC)), ("relay", "given", 4200.0, 0))
    monkeypatch.undo()
    write(tmp_path, Hands(), ("relay", "released", None, 0))
    assert [row.split(",")[1] for row in rows(tmp_path, NOW)] == ["unset", "set"]


def test_a_contact_that_chatters_costs_few_lines_and_is_counted(tmp_path: Path) -> None:
    clock = Hands()
    record = Signals(tmp_path, clock, thrift=Thrift(burst=5, refill=600))
    for number in range(1000):
        clock.time += 0.1
        record.record("relay", "given" if number % 2 else "released", 4200.0 if number % 2 else None)
    record.record("other", "given", 4200.0)
    record.close()
    found = [row.split(",") for row in rows(tmp_path)]
    assert len(found) == 7
    assert sum(int(row[-1]) for row in found if row[2] == "relay") == 1000
    last = [row for row in found if row[2] == "relay"][-1]
    assert (last[3], int(last[-1])) == ("given", 995)


def test_what_was_held_back_is_written_when_it_may(tmp_path: Path) -> None:
    clock = Hands()
    record = Signals(tmp_path, clock, thrift=Thrift(burst=1, refill=600))
    for what in ("given", "released", "given"):
        record.record("relay", what, None)
    until(lambda: len(rows(tmp_path)) == 1)
    clock.time += 601
    record.record("other", "given", None)
    until(lambda: len(rows(tmp_path)) == 3)
    record.close()
    assert any(row.endswith("relay,given,,2") for row in rows(tmp_path))


@given(st.lists(st.floats(min_value=0, max_value=100), max_size=200), st.integers(1, 5))
def test_no_source_writes_more_than_it_may_and_no_signal_is_uncounted(gaps: list[float], burst: int) -> None:
    thrift, now, lines = Thrift(burst, 50.0), 0.0, list[Signal]()
    for gap in gaps:
        now += gap
        given_now = thrift.give(Signal(NOW, True, "", now, "relay", "given", None), now)
        lines += [given_now] if given_now else []
        due = thrift.due()
        assert due is None or due >= now - 1e-6
    assert len(lines) <= burst + now / 50.0 + 1e-6
    assert sum(line.times for line in (*lines, *thrift.rest())) == len(gaps)


def test_a_disk_that_fails_is_told_once_and_nothing_is_lost(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = tmp_path / "away"
    record = Signals(folder, Hands(), retry=0.01)
    with caplog.at_level(logging.WARNING):
        record.record("relay", "given", 4200.0)
        until(lambda: record.problem is not None)
        record.record("relay", "released", None)
        time.sleep(0.1)
        folder.mkdir()
        until(lambda: record.problem is None)
    assert [row.split(",")[3] for row in rows(folder)] == ["given", "released"]
    assert [one.levelname for one in caplog.records] == ["ERROR", "WARNING"]


def test_with_a_dead_disk_memory_stays_bounded_and_closing_comes_to_an_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_WAITING", 10)
    record = Signals(tmp_path / "away", Hands(), thrift=Thrift(burst=1000, refill=600), retry=0.01)
    for _ in range(100):
        record.record("relay", "given", 4200.0)
    record.close(timeout=20)
    assert len(record._waiting) <= 10 and record._dropped >= 90
    assert record._thread is not None and not record._thread.is_alive()


def test_files_are_begun_anew_and_what_is_older_than_two_years_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Hands()
    for _ in range(12):  # a signal each 100 days
        write(tmp_path, clock, ("relay", "given", 4200.0, 100 * 86400))
    found = rows(tmp_path)
    oldest = datetime.fromisoformat(found[0].split(",")[0])
    assert timedelta(days=600) < clock.now() - oldest <= timedelta(days=731)
    monkeypatch.setattr(module, "SEGMENT", 10)
    monkeypatch.setattr(module, "MOST_SEGMENTS", 5)
    for _ in range(9):
        write(tmp_path, clock, ("relay", "released", None, 1))
    assert len(list(tmp_path.iterdir())) == 5
    assert len(rows(tmp_path)) == 5


def test_a_clock_that_is_not_set_deletes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, Hands(), ("relay", "given", 4200.0, 0))
    monkeypatch.setattr(module, "SEGMENT", 10)
    write(tmp_path, Hands(datetime(1970, 1, 1, tzinfo=UTC)), ("relay", "given", 4200.0, 0))
    write(tmp_path, Hands(), ("relay", "released", None, 0))
    assert len(rows(tmp_path)) == 3


@given(st.text(max_size=30), st.text(max_size=30), st.none() | st.floats(0, 1e6), st.integers(1, 10**6))
def test_a_line_is_read_as_it_was_written(source: str, what: str, watts: float | None, times: int) -> None:
    text = [one.replace("\n", " ").replace("\r", " ") for one in (source, what)]
    try:
        signal = Signal(NOW, True, "b", 1.5, text[0], text[1], watts, times)
        line = signal.line()
    except UnicodeEncodeError:
        return
    found = signal_from(line)
    assert line.count(b"\n") == 1
    assert (found.source, found.what, found.times) == (text[0], text[1], times)
