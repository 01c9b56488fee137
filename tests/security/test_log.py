"""The security log on a real disk: rolling, bounded, with torn lines told apart, exported by time."""

import errno
import os
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent import rolling
from agent.security import log as module
from agent.security.log import Entry, SecurityLog, entry_from
from tests.security.parts import NOW, Hands, read, until


def entry(type: str = "ResetOrReboot", info: str = "", seconds: float = 0, critical: bool = True) -> Entry:
    return Entry(NOW + timedelta(seconds=seconds), True, type, critical, info)


def fill(folder: Path, *entries: Entry) -> SecurityLog:
    log = SecurityLog(folder, Hands())
    for one in entries:
        log.write(one)
    log.close()
    return log


@pytest.mark.requirement("A04.FR.04")
def test_critical_and_other_events_are_kept_in_their_order(tmp_path: Path) -> None:
    log = fill(tmp_path, entry(info="PowerUp"), entry("InvalidMessages", "FormatViolation", 1.5, False))
    assert read(log) == [
        {
            "time": "2026-11-25T12:00:00.000Z",
            "clock": "set",
            "type": "ResetOrReboot",
            "critical": True,
            "techInfo": "PowerUp",
        },
        {
            "time": "2026-11-25T12:00:01.500Z",
            "clock": "set",
            "type": "InvalidMessages",
            "critical": False,
            "techInfo": "FormatViolation",
        },
    ]


def test_what_was_just_written_is_read_without_any_end(tmp_path: Path) -> None:
    log = SecurityLog(tmp_path, Hands())
    assert not log.there()
    for number in range(100):
        log.write(entry(info=str(number)))
        assert len(read(log)) == number + 1
    assert log.there()
    log.close()


def test_only_the_time_that_was_asked_for_is_read_and_what_has_no_time(tmp_path: Path) -> None:
    unset = Entry(datetime(1970, 1, 1, tzinfo=UTC), False, "StartupOfTheDevice", True, "unset")
    log = fill(tmp_path, unset, *(entry(info=str(number), seconds=number) for number in range(5)))

    def told(since: float | None, till: float | None) -> list[str]:
        times = [None if one is None else NOW + timedelta(seconds=one) for one in (since, till)]
        return [one["techInfo"] for one in read(log, *times)]

    assert told(None, None) == ["unset", "0", "1", "2", "3", "4"]
    assert told(2, None) == ["unset", "2", "3", "4"]
    assert told(None, 1) == ["unset", "0", "1"]
    assert told(1, 3) == ["unset", "1", "2", "3"]
    assert told(9, None) == ["unset"]


def test_after_a_power_cut_in_a_line_the_others_are_whole(tmp_path: Path) -> None:
    fill(tmp_path, entry(info="first"))
    (file,) = tmp_path.iterdir()
    whole = file.read_bytes()
    for cut in range(1, len(whole) - 1):
        file.write_bytes(whole + whole[:cut])
        log = fill(tmp_path, entry(info="after"))
        assert [one["techInfo"] for one in read(log)] == ["first", "after"]


def test_a_line_that_was_changed_is_not_exported(tmp_path: Path) -> None:
    log = fill(tmp_path, entry(info="first"), entry(info="second"))
    (file,) = tmp_path.iterdir()
    file.write_bytes(file.read_bytes().replace(b"first", b"fjrst"))
    assert [one["techInfo"] for one in read(log)] == ["second"]


def test_it_stays_within_four_files_and_the_newest_stay(tmp_path: Path) -> None:
    log = fill(tmp_path, *(entry(info="x" * 250, seconds=one, critical=False) for one in range(200)))
    for round in range(1, 12):
        log = fill(
            tmp_path, *(entry(info="x" * 250, seconds=200 * round + one, critical=False) for one in range(200))
        )
    sizes = [one.stat().st_size for one in tmp_path.iterdir()]
    assert len(sizes) == module.FILES
    assert all(size < module.SEGMENT + module.BATCH * 1024 for size in sizes)
    found = read(log)
    assert found[-1]["time"] == (NOW + timedelta(seconds=2399)).isoformat(timespec="milliseconds").replace(
        "+00:00", "Z"
    )
    assert found == sorted(found, key=lambda one: one["time"])


def test_a_file_that_rolls_away_while_it_is_read_ends_no_export(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SEGMENT", 10)
    for number in range(4):
        log = fill(tmp_path, entry(info=str(number)))
    lines = log.lines()
    assert b'"0"' in next(lines)
    sorted(tmp_path.iterdir())[1].unlink()
    assert [line.count(b'"2"') + line.count(b'"3"') for line in lines] == [1, 1]


def test_only_critical_events_are_synced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(tmp_path, entry())
    synced = list[int]()
    real = os.fsync
    monkeypatch.setattr(rolling.os, "fsync", lambda number: (synced.append(number), real(number))[1])
    fill(tmp_path, entry("InvalidMessages", critical=False))
    assert synced == []
    fill(tmp_path, entry())
    assert len(synced) == 1


def test_a_process_that_is_killed_keeps_what_was_written(tmp_path: Path) -> None:
    program = (
        "import sys, time\nfrom pathlib import Path\nfrom agent.clock import SystemClock\n"
        "from agent.security.log import Entry, SecurityLog\nclock = SystemClock()\n"
        "log = SecurityLog(Path(sys.argv[1]), clock)\n"
        "for n in range(10**6):\n    log.write(Entry(clock.now(), True, 'ResetOrReboot', True, str(n)))\n"
        "    list(log.lines())\n    print(n, flush=True)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE, text=True, cwd=Path.cwd()
    ) as process:
        assert process.stdout is not None
        seen = [next(process.stdout) for _ in range(20)]
        process.send_signal(signal.SIGKILL)
    found = [one["techInfo"] for one in read(SecurityLog(tmp_path, Hands()))]
    assert found[: len(seen)] == [str(number) for number in range(20)]


def test_a_disk_that_fails_is_told_once_and_written_to_when_it_is_back(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "away"
    log = SecurityLog(folder, Hands(), retry=0.01)
    log.write(entry(info="first"))
    until(lambda: log.problem is not None)
    log.write(entry(info="second"))
    folder.mkdir()
    until(lambda: log.problem is None)
    assert [one["techInfo"] for one in read(log)] == ["first", "second"]
    assert [one.levelname for one in caplog.records] == ["ERROR", "WARNING"]
    log.close()


def test_with_a_dead_disk_memory_stays_bounded_and_critical_lines_go_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_WAITING", 10)
    log = SecurityLog(tmp_path / "away", Hands(), retry=0.01)
    for number in range(5):
        log.write(entry(info=str(number)))
    for _ in range(100):
        log.write(entry("InvalidMessages", critical=False))
    until(lambda: log.problem is not None)
    (tmp_path / "away").mkdir()
    until(lambda: log.problem is None)
    critical = [one["techInfo"] for one in read(log) if one["critical"]]
    assert critical == ["0", "1", "2", "3", "4"]
    assert len(read(log)) <= 10 + module.BATCH
    log.close()


def test_a_disk_that_is_full_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = SecurityLog(tmp_path, Hands(), retry=0.01)

    def no_space(_number: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(rolling.os, "fsync", no_space)
    log.write(entry())
    until(lambda: log.full)
    monkeypatch.undo()
    until(lambda: not log.full)
    log.close()


@given(st.text(st.characters(exclude_categories=("Cs",)), max_size=255), st.integers(1, 10**6), st.booleans())
def test_a_line_is_read_as_it_was_written(info: str, times: int, certain: bool) -> None:
    one = Entry(NOW, certain, "InvalidMessages", False, info, times)
    line = one.line()
    assert line.count(b"\n") == 1
    assert entry_from(line) == one
