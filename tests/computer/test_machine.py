"""What a computer tells of itself, out of files as real kernels write them; and what it does not have."""

import asyncio
import contextlib
from pathlib import Path

import pytest

from agent.board import load
from agent.board.wiring import wire
from agent.computer import MAX_AGE, Computer, Kernel
from agent.computer.storage import used_up
from agent.model import DataType, DeviceModel, Mutability, Variable, parse
from agent.model.catalogue import UNITS, is_component, lookup
from tests.computer.parts import GIB, PI, Machine, write


async def told(machine: Machine) -> Machine:
    """The machine after one reading."""
    machine.start()
    await once(machine)
    return machine


async def once(machine: Machine) -> None:
    """Let `run` poll until the values are those of now."""
    task = asyncio.create_task(machine.computer.run(machine.problems))
    await machine.fresh()
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


@pytest.fixture
async def pi(tmp_path: Path) -> Machine:
    return await told(Machine(tmp_path))


EXPECTED = {
    "Controller.Model": "Raspberry Pi 4 Model B Rev 1.4",
    "Controller.SerialNumber": "10000000a1b2c3d4",
    "Controller.RestartCause": "PowerUp",
    "Controller.FirmwareVersion[Kernel]": "6.6.51+rpt-rpi-v8",
    "Controller.FirmwareVersion[OS]": "Debian GNU/Linux 12 (bookworm)",
    "Controller.Temperature": "52.582",
    "Controller.Load[1min]": "0.31",
    "Controller.Load[15min]": "0.18",
    "Controller.Uptime": "86461.27",
    "Controller.Time[Boot]": "2026-04-30T12:15:38.000Z",
    "Controller.Throttled": "false",
    "Controller.Problem": "false",
    "ELVSupply.UnderVoltage": "false",
    "ELVSupply.Problem": "false",
    "ClockCtrlr.Synchronised": "true",
    "ClockCtrlr.Set": "true",
    "RealTimeClock.Model": "rtc-ds1307 1-0068",
    "RealTimeClock.Time": "2026-09-21T14:13:20.000Z",
    "Memory.Total": str(3885396 * 1024),
    "Memory.Free": str(1942698 * 1024),
    "Memory.Percent[Free]": "50",
    "Memory.Problem": "false",
    "Disk.Total": str(32 * GIB),
    "Disk.Free": str(16 * GIB),
    "Disk.Percent[Free]": "50",
    "Disk.Percent[Wear]": "20",
    "Disk.Written": str(70 * GIB),
    "DataLink[eth0].MACAddress": "dc:a6:32:01:02:03",
    "DataLink[eth0].Active": "true",
    "DataLink[eth0].NetworkAddress": "192.0.2.17",
    "DataLink[eth0].NetworkAddress[IPv6]": "2001:db8::7",
    "DataLink[eth0].Received": "5123456789",
    "DataLink[eth0].Sent": "123456",
    "DataLink[eth0].Errors": "3",
    "DataLink[wlan0].Active": "false",
    "DataLink[wlan0].NetworkAddress": "",
    "DataLink[wlan0].SignalStrength": "-56",
}


async def test_a_raspberry_pi_tells_its_state(pi: Machine) -> None:
    there = pi.there()
    assert {place: there.get(place) for place in EXPECTED} == EXPECTED
    assert float(there["Memory.Used[Agent]"]) >= 8192 * 4096
    assert "DataLink[lo].Active" not in there and "DataLink[docker0].Active" not in there
    assert "DataLink[eth0].SignalStrength" not in there


async def test_every_value_is_one_of_its_type_and_nothing_can_be_set(pi: Machine) -> None:
    for variable in pi.model.variables():
        text = variable.actual.text()
        if text:
            parse(text, variable.characteristics.data_type)
        assert variable.actual.mutability is Mutability.READ_ONLY and not variable.actual.persistent
        assert variable.characteristics.unit in (None, *UNITS)


async def test_standard_names_keep_their_standard_type_and_unit(pi: Machine) -> None:
    checked = 0
    for variable in pi.model.variables():
        name = variable.name
        standard = lookup(variable.component.name, name.name, name.instance)
        if standard is not None and standard.data_type is not None:
            assert variable.characteristics.data_type is standard.data_type, str(variable)
            assert variable.characteristics.unit in (standard.units or (None,)), str(variable)
            checked += 1
    assert checked > 15
    own = {variable.component.name for variable in pi.model.variables() if not is_component(variable.component.name)}
    assert own == {"Memory", "Disk"}


async def test_what_is_measured_has_an_age_and_what_is_constant_has_a_value(pi: Machine) -> None:
    for variable in pi.model.variables():
        if variable.max_age is None:
            assert variable.actual.value is not None, str(variable)
        else:
            assert variable.max_age == MAX_AGE and variable.actual.time is not None, str(variable)
            assert variable.characteristics.supports_monitoring


async def test_a_machine_that_tells_nothing_has_nothing_but_itself(tmp_path: Path) -> None:
    machine = Machine(tmp_path, {})
    machine.kernel.disk = None
    machine.kernel.disciplined = None
    await told(machine)
    assert set(machine.there()) == {
        "Controller.Problem",
        "Controller.RestartCause",
        "Controller.FirmwareVersion[Agent]",
        "Controller.FirmwareVersion[Python]",
        "ClockCtrlr.Problem",
        "ClockCtrlr.Synchronised",
        "ClockCtrlr.Set",
    }
    assert machine.text("ClockCtrlr.Synchronised") == ""


async def test_files_without_sense_give_no_values_and_no_error(tmp_path: Path) -> None:
    nonsense = dict.fromkeys(PI, "\0\xff not a number at all")
    machine = await told(Machine(tmp_path, nonsense))
    for place in ("Controller.Temperature", "Controller.Uptime", "Controller.Load[1min]", "RealTimeClock.Time"):
        assert machine.text(place) == ""
    assert "Memory.Total" not in machine.there()
    assert machine.turned == []


async def test_the_model_stays_small_on_a_machine_with_much_of_everything(tmp_path: Path) -> None:
    files = dict(PI)
    for number in range(1, 12):
        files[f"sys/class/thermal/thermal_zone{number}/type"] = "acpitz\n"
        files[f"sys/class/thermal/thermal_zone{number}/temp"] = "40000\n"
        for name, content in PI.items():
            if "/wlan0/" in name:
                files[name.replace("wlan0", f"wlan{number}")] = content
    machine = await told(Machine(tmp_path, files))
    assert 50 < len(machine.model) <= 60
    assert machine.text("Controller.Temperature") == "52.582"  # the processor's first
    assert machine.text("Controller.Temperature[acpitz]") == "40"


async def test_a_zone_that_is_not_the_first_may_be_the_processors(tmp_path: Path) -> None:
    files = {
        "sys/class/thermal/thermal_zone0/type": "acpitz\n",
        "sys/class/thermal/thermal_zone0/temp": "27800\n",
        "sys/class/thermal/thermal_zone7/type": "x86_pkg_temp\n",
        "sys/class/thermal/thermal_zone7/temp": "61000\n",
    }
    machine = await told(Machine(tmp_path, files))
    assert (machine.text("Controller.Temperature"), machine.text("Controller.Temperature[acpitz]")) == ("61", "27.8")


@pytest.mark.parametrize(
    ("content", "under", "slowed"),
    [("0", "false", "false"), ("50005", "true", "true"), ("50000", "false", "false"), ("2", "false", "true")],
)
async def test_the_firmwares_bits_of_now_count_and_not_those_of_the_past(
    tmp_path: Path, content: str, under: str, slowed: str
) -> None:
    files = {**PI, "sys/devices/platform/soc/soc:firmware/get_throttled": f"{content}\n"}
    machine = await told(Machine(tmp_path, files))
    assert (machine.text("ELVSupply.UnderVoltage"), machine.text("Controller.Throttled")) == (under, slowed)


async def test_a_kernel_without_that_file_has_an_alarm(tmp_path: Path) -> None:
    files = {name: content for name, content in PI.items() if "get_throttled" not in name}
    files["sys/class/hwmon/hwmon0/name"] = "cpu_thermal\n"
    files["sys/class/hwmon/hwmon2/name"] = "rpi_volt\n"
    files["sys/class/hwmon/hwmon2/in0_lcrit_alarm"] = "1\n"
    machine = await told(Machine(tmp_path, files))
    assert machine.text("ELVSupply.UnderVoltage") == "true"
    assert "Controller.Throttled" not in machine.there()


async def test_a_usb_modem_tells_who_made_it_and_ppp_has_its_carrier(tmp_path: Path) -> None:
    files = {
        "sys/devices/usb1/1-1/manufacturer": "QUECTEL\n",
        "sys/devices/usb1/1-1/product": "EC25-E\n",
        "sys/devices/usb1/1-1/1-1:1.4/uevent": "DRIVER=qmi_wwan\n",
        "sys/class/net/wwan0/operstate": "unknown\n",
        "sys/class/net/wwan0/carrier": "1\n",
        "sys/class/net/wwan0/type": "65534\n",
        "sys/class/net/ppp0/operstate": "unknown\n",
        "sys/class/net/ppp0/type": "512\n",
        "sys/class/net/tun0/type": "65534\n",
    }
    machine = Machine(tmp_path, files)
    (tmp_path / "sys/class/net/wwan0/device").symlink_to("../../../devices/usb1/1-1/1-1:1.4")
    await told(machine)
    there = machine.there()
    assert (there["DataLink[wwan0].Manufacturer"], there["DataLink[wwan0].Model"]) == ("QUECTEL", "EC25-E")
    assert (there["DataLink[wwan0].Active"], there["DataLink[ppp0].Active"]) == ("true", "false")
    assert "DataLink[tun0].Active" not in there


async def test_an_interface_that_loses_its_address_says_so_at_once(pi: Machine) -> None:
    del pi.kernel.addresses["eth0"]
    write(pi.root, {"sys/class/net/eth0/operstate": "down\n", "proc/net/if_inet6": ""})
    await once(pi)
    assert pi.text("DataLink[eth0].NetworkAddress") == pi.text("DataLink[eth0].NetworkAddress[IPv6]") == ""
    assert pi.text("DataLink[eth0].Active") == "false"


@pytest.mark.parametrize(
    ("content", "percent"),
    [("0x01 0x01", 10), ("0x01 0x0a", 100), ("0x0b 0x00", 100), ("0x00 0x00", None), ("", None), ("0xff", None)],
)
def test_the_wear_is_the_worse_of_both_kinds_of_cells(content: str, percent: float | None) -> None:
    assert used_up(content) == percent


async def test_the_boot_time_does_not_tremble_and_follows_a_correction(pi: Machine) -> None:
    boot, heard = pi.at("Controller.Time[Boot]"), []
    boot.listen(lambda variable, old, new: heard.append(new))
    pi.clock.seconds += 10
    write(pi.root, {"proc/uptime": "86470.31 331200.91\n"})
    await once(pi)
    assert heard == []
    pi.clock.seconds += 3600  # an hour that the uptime knows nothing of: the wall clock was moved
    await once(pi)
    assert len(heard) == 1


async def test_a_file_of_systemd_says_synchronised_too(tmp_path: Path) -> None:
    machine = Machine(tmp_path, {**PI, "run/systemd/timesync/synchronized": ""})
    machine.kernel.disciplined = False
    await told(machine)
    assert machine.text("ClockCtrlr.Synchronised") == "true"


async def test_what_the_board_says_itself_stays_the_boards(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    machine.start()
    wiring = wire(load("bench-ac"))
    before = {str(variable): variable for variable in wiring.model.variables()}
    machine.computer.join(wiring.model)
    again = DeviceModel()
    machine.computer.join(again)
    assert len(wiring.model) == len(before) + len(machine.computer.variables())
    assert all(wiring.model.get(one.component, one.name) is one for one in before.values())
    own = Variable(*_parts(machine, "Controller.Model"))
    third = DeviceModel()
    third.add(own)
    machine.computer.join(third)
    assert third.get(own.component, own.name) is own
    assert len(third) == len(again)


def _parts(machine: Machine, place: str):  # type: ignore[no-untyped-def]
    one = machine.at(place)
    return one.component, one.name, one.characteristics


def test_this_machine_can_be_read(tmp_path: Path) -> None:
    """The real files of whatever runs the tests, and the real kernel."""
    from agent.clock import SystemClock

    computer = Computer(Path("/"), tmp_path, SystemClock(), restart_cause="LocalReset")
    values = {str(variable): value for variable, value in computer.read().items()}
    assert isinstance(values["Controller.Uptime"], float)
    assert isinstance(values["Memory.Percent[Free]"], float) and 0 < values["Memory.Percent[Free]"] <= 100
    assert isinstance(values["Disk.Free"], float)
    assert values["ClockCtrlr.Synchronised"] in (True, False, None)
    assert len(computer.variables()) <= 60
    assert {one.characteristics.data_type for one in computer.variables()} >= {DataType.DECIMAL, DataType.STRING}


def test_the_real_kernel_knows_the_loopbacks_address_and_no_unknown_interfaces(tmp_path: Path) -> None:
    kernel = Kernel()
    assert kernel.address("lo") == "127.0.0.1"
    assert kernel.address("no-such-if") is None
    assert kernel.room(tmp_path / "nowhere") is None
    room = kernel.room(tmp_path)
    assert room is not None and 0 < room.free <= room.total
