"""What the exception codes of Modbus mean (Application Protocol V1.1b3, §7)."""

_NAMES = {
    1: "ILLEGAL FUNCTION",
    2: "ILLEGAL DATA ADDRESS",
    3: "ILLEGAL DATA VALUE",
    4: "SERVER DEVICE FAILURE",
    5: "ACKNOWLEDGE",
    6: "SERVER DEVICE BUSY",
    7: "NEGATIVE ACKNOWLEDGE",
    8: "MEMORY PARITY ERROR",
    10: "GATEWAY PATH UNAVAILABLE",
    11: "GATEWAY TARGET DEVICE FAILED TO RESPOND",
}


def exception_text(code: int) -> str:
    """For people: the name and the number."""
    return f"{_NAMES.get(code, 'UNKNOWN EXCEPTION')} (exception {code})"
