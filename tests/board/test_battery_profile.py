"""The battery profile against registers as SunSpec's model 802 lays them out, over a real wire."""

from drivers import Quality
from tests.drivers.modbus_parts import Sunk, device, load_profile, make_bus, running, tcp, tcp_server

WORDS = {40069: 802, 40070: 62, 40072: 500, 40080: 4215, 40103: 4012, 40113: 0xFF85, 40116: 0xFFB3}
POWERS = {40122: 2, 40125: 0xFFFE, 40128: 0xFFFF, 40130: 0xFFFF, 40132: 2}
"""Two's complement powers of ten, at the places of WHRtg_SF, SoC_SF, V_SF, A_SF and W_SF."""


async def test_a_battery_reads_as_sunspec_lays_it_out() -> None:
    profile = load_profile("sunspec-battery")
    registers = dict.fromkeys(range(40069, 40133), 0) | WORDS | POWERS
    async with tcp_server(device(7, holding=registers)) as port:
        sink = Sunk()
        bus = make_bus(tcp(port), {"battery": (7, profile)})
        async with running(bus, sink):
            await sink.until(lambda: len(sink.last) == len(profile.points))
            assert await bus.identity("battery") == 802
    assert all(reading.quality is Quality.GOOD for reading in sink.last.values())
    assert {point: reading.value for point, reading in sink.last.items()} == {
        "battery.capacity": 50000,
        "battery.state_of_charge": 42.15,
        "battery.voltage": 401.2,
        "battery.current": -12.3,
        "battery.power": -7700,
    }
