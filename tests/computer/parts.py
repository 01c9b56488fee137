"""A computer made of files, with the contents that real kernels give them, and the answers that no file tells."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from agent.computer import Computer, Kernel
from agent.computer.kernel import Room
from agent.model import DeviceModel, Problems, Variable, parse_place

DISK = 179 << 8 | 2  # mmcblk0p2: os.makedev(179, 2)
GIB = 1 << 30

PI = {
    "proc/device-tree/model": "Raspberry Pi 4 Model B Rev 1.4\0",
    "proc/device-tree/serial-number": "10000000a1b2c3d4\0",
    "proc/sys/kernel/osrelease": "6.6.51+rpt-rpi-v8\n",
    "etc/os-release": 'NAME="Debian GNU/Linux"\nPRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nID=debian\n',
    "proc/uptime": "86461.27 331200.91\n",
    "proc/loadavg": "0.31 0.22 0.18 1/214 4711\n",
    "proc/meminfo": (
        "MemTotal:        3885396 kB\nMemFree:          312004 kB\nMemAvailable:    1942698 kB\n"
        "Hugepagesize:       2048 kB\nDirectMap4k: x\n"
    ),
    "proc/self/statm": "30123 8192 3072 2 0 9216 0\n",
    "sys/class/thermal/thermal_zone0/type": "cpu-thermal\n",
    "sys/class/thermal/thermal_zone0/temp": "52582\n",
    "sys/class/thermal/cooling_device0/type": "pwm-fan\n",
    "sys/class/rtc/rtc0/name": "rtc-ds1307 1-0068\n",
    "sys/class/rtc/rtc0/since_epoch": "1790000000\n",
    "sys/devices/platform/soc/soc:firmware/get_throttled": "0\n",
    "sys/class/net/lo/operstate": "unknown\n",
    "sys/class/net/lo/type": "772\n",
    "sys/class/net/docker0/operstate": "down\n",
    "sys/class/net/docker0/type": "1\n",
    "sys/class/net/eth0/device/uevent": "DRIVER=bcmgenet\n",
    "sys/class/net/eth0/operstate": "up\n",
    "sys/class/net/eth0/type": "1\n",
    "sys/class/net/eth0/address": "dc:a6:32:01:02:03\n",
    "sys/class/net/eth0/statistics/rx_bytes": "5123456789\n",
    "sys/class/net/eth0/statistics/tx_bytes": "123456\n",
    "sys/class/net/eth0/statistics/rx_errors": "2\n",
    "sys/class/net/eth0/statistics/tx_errors": "1\n",
    "sys/class/net/wlan0/device/uevent": "DRIVER=brcmfmac\n",
    "sys/class/net/wlan0/phy80211/index": "0\n",
    "sys/class/net/wlan0/operstate": "dormant\n",
    "sys/class/net/wlan0/type": "1\n",
    "sys/class/net/wlan0/address": "dc:a6:32:01:02:04\n",
    **{f"sys/class/net/wlan0/statistics/{way}_{what}": "0\n" for way in ("rx", "tx") for what in ("bytes", "errors")},
    "proc/net/wireless": (
        "Inter-| sta-|   Quality        |   Discarded packets               | Missed | WE\n"
        " face | tus | link level noise |  nwid  crypt   frag  retry   misc | beacon | 22\n"
        " wlan0: 0000   54.  -56.  -256        0      0      0      0      0        0\n"
    ),
    "proc/net/if_inet6": (
        "00000000000000000000000000000001 01 80 10 80       lo\n"
        "fe80000000000000dea632fffe010203 02 40 20 80     eth0\n"
        "20010db8000000000000000000000007 02 40 00 00     eth0\n"
    ),
    "sys/devices/mmc/mmc0:0001/life_time": "0x02 0x01\n",
    "sys/devices/mmc/mmc0:0001/block/mmcblk0/mmcblk0p2/partition": "2\n",
    "sys/fs/ext4/mmcblk0p2/lifetime_write_kbytes": "73400320\n",
}
"""A Raspberry Pi 4 whose state directory is on an eMMC."""


class ManualClock:
    """Time that stands still until a test moves it."""

    def __init__(self) -> None:
        self.seconds = 1000.0
        self.wall = datetime(2026, 5, 1, 12, tzinfo=UTC)

    def monotonic(self) -> float:
        return self.seconds

    def now(self) -> datetime:
        return self.wall + timedelta(seconds=self.seconds)


class TreeKernel(Kernel):
    """What the kernel of a machine of files answers."""

    def __init__(self) -> None:
        self.addresses = {"eth0": "192.0.2.17"}
        self.disciplined: bool | None = True
        self.disk: Room | None = Room(32 * GIB, 16 * GIB, DISK)

    def address(self, interface: str) -> str | None:
        return self.addresses.get(interface)

    def synchronised(self) -> bool | None:
        return self.disciplined

    def room(self, folder: Path) -> Room | None:
        return self.disk


def write(root: Path, files: dict[str, str]) -> None:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")


async def until(done: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not done():  # noqa: ASYNC110  # a thread ends it, in its own time
            await asyncio.sleep(0.002)


class Machine:
    """A computer below `root`, its clock and kernel, and the model that it joined."""

    def __init__(self, root: Path, files: dict[str, str] = PI, cause: str = "PowerUp") -> None:
        self.root, self.files = root, files
        self.clock, self.kernel = ManualClock(), TreeKernel()
        self.cause = cause
        write(root, files)
        if "sys/devices/mmc/mmc0:0001/life_time" in files:
            disk = root / "sys/devices/mmc/mmc0:0001/block/mmcblk0"
            (disk / "device").symlink_to("../..")
            block = root / "sys/dev/block/179:2"
            block.parent.mkdir(parents=True)
            block.symlink_to("../../devices/mmc/mmc0:0001/block/mmcblk0/mmcblk0p2")

    def start(self, poll: float = 0.005) -> Computer:
        self.computer = Computer(
            self.root, self.root, self.clock, restart_cause=self.cause, kernel=self.kernel, poll=poll
        )
        self.model = DeviceModel()
        self.computer.join(self.model)
        self.turned: list[tuple[str, bool, str]] = []
        self.problems = Problems(self.model, self._turned)
        return self.computer

    def _turned(self, variable: Variable, cause: str, text: str) -> None:
        self.turned.append((str(variable.component), bool(variable.actual.value), text or cause))

    async def fresh(self) -> None:
        """Wait until `run` took, and judged, a reading that was begun after this call."""
        probe = self.at("ClockCtrlr.Set").actual
        for _ in range(2):  # the first may have been under way
            self.clock.seconds += 0.001
            await until(lambda now=self.clock.seconds: probe.time == now)  # type: ignore[misc]

    def at(self, place: str) -> Variable:
        return self.model.find(*parse_place(place))

    def text(self, place: str) -> str:
        return self.at(place).actual.text()

    def there(self) -> dict[str, str]:
        return {str(variable): variable.actual.text() for variable in self.model.variables()}
