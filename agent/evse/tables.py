"""The state machines of the EVSEs as literal tables (`agent.evse.machine`); README.md draws each of them."""

from agent.evse.machine import Row

CONNECTOR = (
    Row("Available", "plug", "", (), "Occupied"),
    Row("Available", "reserve", "", (), "Reserved"),
    Row("Available", "inoperative", "", (), "Unavailable"),
    Row("Available", "fault", "", (), "Faulted"),
    Row("Occupied", "unplug", "is_inoperative", (), "Unavailable"),
    Row("Occupied", "unplug", "is_reserved", (), "Reserved"),
    Row("Occupied", "unplug", "", (), "Available"),
    Row("Occupied", "inoperative", "", (), "Unavailable"),
    Row("Occupied", "fault", "", (), "Faulted"),
    Row("Reserved", "release", "is_in_use", (), "Occupied"),
    Row("Reserved", "release", "", (), "Available"),
    Row("Reserved", "inoperative", "", (), "Unavailable"),
    Row("Reserved", "fault", "", (), "Faulted"),
    Row("Unavailable", "operative", "is_in_use", (), "Occupied"),
    Row("Unavailable", "operative", "is_reserved", (), "Reserved"),
    Row("Unavailable", "operative", "", (), "Available"),
    Row("Unavailable", "fault", "", (), "Faulted"),
    Row("Faulted", "repair", "is_inoperative", (), "Unavailable"),
    Row("Faulted", "repair", "is_in_use", (), "Occupied"),
    Row("Faulted", "repair", "is_reserved", (), "Reserved"),
    Row("Faulted", "repair", "", (), "Available"),
)
"""ConnectorStatusEnumType (part 2 §3.23), by G01's overview (errata 2.28, 2.29), G03.FR.05 to .07 and H03.FR.10.

`plug` at a Reserved connector changes nothing (G01.FR.09): until the reservation is consumed or gone the cable is
there, but not in use. A connector that a change of availability waits for is inoperative as soon as its cable is
pulled (G01.FR.05), so that it is never Available in between.
"""
