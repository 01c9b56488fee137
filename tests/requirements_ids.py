"""The OCPP requirements that this agent answers for: part 2's ids by use case, and why some have no test."""

_NUMBERS: dict[str, tuple[int, ...]] = {
    "B01": tuple(range(1, 14)),
    "B02": tuple(range(1, 10)),
    "B03": tuple(range(1, 9)),
    "B04": (1, 2),
    "B05": tuple(range(1, 14)),
    "B06": (*range(1, 12), *range(13, 18)),  # part 2 has no B06.FR.12
    "B07": (*range(1, 6), *range(7, 15)),  # nor B07.FR.06
    "B08": (*range(1, 19), *range(20, 26)),  # nor B08.FR.19
    "B11": tuple(range(1, 11)),
    "F06": tuple(range(1, 18)),
}

TITLES = {
    "B01": "Cold boot, accepted",
    "B02": "Cold boot, pending",
    "B03": "Cold boot, rejected",
    "B04": "Offline and back",
    "B05": "Set variables",
    "B06": "Get variables",
    "B07": "Get base report",
    "B08": "Get custom report",
    "B11": "Reset without ongoing transaction",
    "F06": "Trigger message",
}

IDS: dict[str, tuple[str, ...]] = {
    use_case: tuple(f"{use_case}.FR.{number:02}" for number in numbers) for use_case, numbers in _NUMBERS.items()
}
"""Use case → the ids of its requirements, in part 2's order."""

_CSMS = "on the CSMS's side"
_NO_AVAILABILITY = "ChangeAvailability is not there yet (block G): nothing is ever set to Inoperative"
_NO_SINGLE_RESET = "optional; a single EVSE cannot be reset, which B11.FR.09 answers"
_NO_TRIGGER = "the message is not there yet, which F06.FR.08 answers"
_ALL_BASES = "every reportBase of the specification is supported"
_NO_RESERVATIONS = "there are no reservations yet (block H): no EVSE is ever Reserved"

REASONS: dict[str, str] = {
    "B01.FR.02": _CSMS,
    "B01.FR.07": _NO_AVAILABILITY,
    "B01.FR.10": _CSMS,
    "B01.FR.11": _CSMS,
    "B01.FR.12": _CSMS,
    "B01.FR.13": _NO_RESERVATIONS,
    "B02.FR.03": "optional; there are no transactions yet (block E)",
    "B02.FR.05": "remote start is not there yet (block F): the CSMS is told NotSupported",
    "B02.FR.09": _CSMS,
    "B03.FR.01": "optional; there are no transactions yet (block E)",
    "B03.FR.03": _CSMS,
    "B03.FR.04": "optional; the station keeps the connection open",
    "B03.FR.07": _CSMS,
    "B05.FR.11": _CSMS,
    "B05.FR.13": _CSMS,
    "B06.FR.05": _CSMS,
    "B07.FR.02": _ALL_BASES,
    "B07.FR.05": _ALL_BASES,
    "B07.FR.14": _CSMS,
    "B08.FR.02": "every criterion of the specification is supported",
    "B11.FR.02": _NO_AVAILABILITY,
    "B11.FR.05": _NO_RESERVATIONS,
    "B11.FR.06": "without firmware updates and transactions a reset is always possible",
    "B11.FR.07": "optional; without transactions a reset never has to wait",
    "B11.FR.08": _NO_SINGLE_RESET,
    "B11.FR.10": _NO_SINGLE_RESET,
    "F06.FR.01": _CSMS,
    "F06.FR.02": _CSMS,
    "F06.FR.06": _NO_TRIGGER,
    "F06.FR.07": _NO_TRIGGER,
    "F06.FR.11": "a StatusNotification is of one connector (F06.FR.12); no other message of an EVSE is there yet",
    "F06.FR.13": _CSMS,
    "F06.FR.14": _NO_TRIGGER,
    "F06.FR.15": _NO_TRIGGER,
    "F06.FR.16": _NO_TRIGGER,
}
"""Requirement → why no test shows it. A test that carries the id takes its place."""
