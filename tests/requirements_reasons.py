"""Why some requirements of charging (part 2, blocks C to K) and diagnostics (N) have no test of their own."""

_CSMS = "on the CSMS's side"
_15118 = "ISO 15118 is not there"
_NO_DISPLAY = "there is no display: languages and messages are kept, none is shown"
_NO_KEYS = "there is no keypad for PIN codes"
_MAY = "optional, and not done"
_BACKOFF = "recommended; there is no keypad for PIN codes"
_NO_SIGNED_START = "no transaction waits for a signature: DataSigned is not in TxStartPoint's valuesList"
_ONE_MESSAGE = "optional; the samples of one moment fit into one message"
_MIN_RATE = "optional: minChargingRate is kept and reported, and not used to share power"
_LOCAL = "on the Local Controller's side: to the station its profiles are the CSMS's (K01)"
_PHASES = "no EVSE here switches phases: ACPhaseSwitchingSupported is false"
_ENDED_VALUES = "optional: intermediate values are bounded as E06.FR.12 and E06.FR.13 say"
_NO_SINGLE_RESET = "optional; a single EVSE cannot be reset, which B11.FR.09 answers"
_NO_ROTATION = "PhaseRotation is not reported"


def _same(reason: str, *ids: str) -> dict[str, str]:
    """One reason for several: `C07.FR.01-17` is a range."""
    found: dict[str, str] = {}
    for one in ids:
        first, _, last = one.partition("-")
        case, _, number = first.rpartition(".")
        for n in range(int(number), int(last or number) + 1):
            found[f"{case}.{n:02}"] = reason
    return found


CHARGING: dict[str, str] = {
    **_same(_NO_SINGLE_RESET, "B12.FR.07-08", "B12.FR.10"),
    **_same(_CSMS, "C01.FR.06-07", "C01.FR.10-11", "C01.FR.17-20", "C02.FR.02", "C04.FR.01-02", "C05.FR.04"),
    **_same(_NO_DISPLAY, "C01.FR.08-09", "C01.FR.12-13"),
    **_same(_NO_KEYS, "C04.FR.03-05"),
    **_same(_BACKOFF, "C04.FR.06"),
    **_same(_CSMS, "C06.FR.04", "C09.FR.02", "C09.FR.09-10", "C09.FR.12-13", "C12.FR.03", "D01.FR.03"),
    **_same(_15118, "C07.FR.01-02", "C07.FR.04-17", "C08.FR.01-02", "E15.FR.01-05", "F04.FR.01-06", "J03.FR.04"),
    **_same(_MAY, "C09.FR.04", "C13.FR.03", "G05.FR.04", "H03.FR.07"),
    **_same("there is no display to choose a transaction on (C16.FR.02)", "C16.FR.01"),
    **_same(_CSMS, "E01.FR.11-12", "E02.FR.02", "E02.FR.04", "E03.FR.02", "E05.FR.01", "F03.FR.01", "G02.FR.03-04"),
    **_same(_CSMS, "G05.FR.03", "J01.FR.18", "J02.FR.19"),
    **_same(_NO_SIGNED_START, "E01.FR.04"),
    **_same("samples are signed alike while the line is away: E07.FR.12", "E11.FR.08"),
    **_same("a car that suspends is told as SuspendedEV (E01.FR.19)", "E01.FR.20"),
    **_same(_ONE_MESSAGE, "E02.FR.11", "E03.FR.09", "E04.FR.09", "E11.FR.06", "E12.FR.06", "F01.FR.16", "F02.FR.04"),
    **_same(_ONE_MESSAGE, "J01.FR.15", "J02.FR.14"),
    **_same(_MAY, "E02.FR.16", "E06.FR.09", "E07.FR.04", "F01.FR.07", "F01.FR.18", "F02.FR.15", "J02.FR.01"),
    **_same(_ENDED_VALUES, "E07.FR.09-10", "E08.FR.10-11", "E09.FR.06-07", "E10.FR.05-06", "F03.FR.05-06"),
    **_same("the same code as K05.FR.02, FR.03 and FR.05, which are shown", "F01.FR.10", "F02.FR.17-19", "F02.FR.27"),
    **_same(_CSMS, "F01.FR.04", "F01.FR.06", "F02.FR.12", "F02.FR.14"),
    **_same(_NO_ROTATION, "J01.FR.13", "J02.FR.09"),
    **_same("no other message asks about tokens", "C01.FR.04", "C06.FR.03"),
    **_same(_CSMS, "C01.FR.24"),
    **_same("the same code as E05.FR.02, FR.03 and FR.09 to FR.11, which are shown", "C15.FR.03-07"),
    **_same("ids are random UUIDs (version 4)", "E01.FR.08", "E02.FR.08"),
    **_same(
        "the same code online and offline: E07.FR.01 and FR.02, E04.FR.01 and FR.02", "E08.FR.01-03", "E08.FR.05-06"
    ),
    **_same("the queue's rule, which E04.FR.07 and FR.08 show", "E12.FR.04-05", "J02.FR.12-13"),
    **_same("the queue is durable: E04.FR.01 and the power cuts show it", "B12.FR.05"),
    **_same("the answer to a token of a TransactionEvent is handled alike for all: E05", "F01.FR.03"),
    **_same("the same code as E02 and E03, which are shown", "F01.FR.05"),
    **_same(
        "no test yet; done in agent/chargepoint/desk.py", "F01.FR.20-25", "F02.FR.08", "F02.FR.20", "F02.FR.22-26"
    ),
    **_same("StatusNotification follows every change of AvailabilityState (G01.FR.01)", "G01.FR.05-08", "G03.FR.04"),
    **_same("StatusNotification follows every change of AvailabilityState (G01.FR.01)", "G04.FR.05", "H02.FR.04"),
    **_same("StatusNotification follows every change of AvailabilityState (G01.FR.01)", "H02.FR.06"),
}

SMART_CHARGING: dict[str, str] = {
    **_same(_CSMS, "K01.FR.02", "K02.FR.01", "K02.FR.03", "K10.FR.02"),
    **_same(_LOCAL, "K03.FR.01-03", "K14.FR.01-06"),
    **_same(_MIN_RATE, "K02.FR.06", "K03.FR.07", "K04.FR.04"),
    **_same(_PHASES, "K01.FR.46-47"),
    **_same("no EVSE here is of type DC", "K01.FR.44"),
    **_same("every EVSE of a board has a max_current; the station's own limit is its fuse", "K04.FR.02"),
    **_same("what limits does not ask whether the station is online: K06.FR.01", "K06.FR.02"),
    **_same(_15118, "K15.FR.01-19", "K15.FR.21-22", "K16.FR.01-14", "K17.FR.01-16"),
}

DIAGNOSTICS: dict[str, str] = {
    **_same(_CSMS, "N01.FR.18", "N07.FR.03", "N08.FR.02", "N09.FR.01", "N09.FR.04", "N09.FR.08", "N10.FR.08-09"),
}
