"""What the cases of part 5 are made of: a driver, a car and a CSMS around one bench, and what they wait for."""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any

from drivers.bench.bench import Bench
from drivers.bench.charger import Charger
from drivers.bench.csms import Payload
from drivers.bench.ev import EvSettings
from drivers.bench.refusals import InTheWay
from drivers.bench.transactions import Transaction

CARD, OTHER, THIRD = "04A1B2C3D4E5F6", "04112233445566", "04FFEEDDCCBBAA"
KIND = "ISO14443"
GROUP = "GROUP-1"
MASTER = "MASTER-1"

FACTORY = {
    "AuthCtrlr.AuthorizeRemoteStart": "true",
    "AuthCtrlr.DisableRemoteAuthorization": "false",
    "AuthCtrlr.LocalAuthorizeOffline": "true",
    "AuthCtrlr.LocalPreAuthorize": "false",
    "AuthCtrlr.MasterPassGroupId": "",
    "AuthCtrlr.OfflineTxForUnknownIdEnabled": "false",
    "AuthCacheCtrlr.DisablePostAuthorize": "false",
    "AuthCacheCtrlr.Enabled": "true",
    "AuthCacheCtrlr.LifeTime": "86400",
    "LocalAuthListCtrlr.DisablePostAuthorize": "false",
    "LocalAuthListCtrlr.Enabled": "true",
    "MonitoringCtrlr.OfflineQueuingSeverity": "5",
    "OCPPCommCtrlr.MessageAttemptInterval[TransactionEvent]": "1",
    "OCPPCommCtrlr.MessageAttempts[TransactionEvent]": "5",
    "OCPPCommCtrlr.UnlockOnEVSideDisconnect": "true",
    "SampledDataCtrlr.TxUpdatedInterval": "300",
    "TxCtrlr.EVConnectionTimeOut": "60",
    "TxCtrlr.MaxEnergyOnInvalidId": "0",
    "TxCtrlr.StopTxOnEVSideDisconnect": "true",
    "TxCtrlr.StopTxOnInvalidId": "true",
    "TxCtrlr.TxStartPoint": "PowerPathClosed",
    "TxCtrlr.TxStopPoint": "EVConnected,Authorized",
}
"""What every test begins with."""

SETUP = {
    "OCPPCommCtrlr.RetryBackOffWaitMinimum": "1",
    "OCPPCommCtrlr.RetryBackOffRandomRange": "0",
    "OCPPCommCtrlr.RetryBackOffRepeatTimes": "0",
}

HOLD = 1.3
"""Seconds after which the same card counts as held to a reader once more."""

CONTACT = 0.5
"""Seconds from a plug until the station is sure of the car behind it: its pilot is polled, and debounced."""

PATIENCE = 12.0

MONITORING = ("SetVariableMonitoring", "SetMonitoringBase", "SetMonitoringLevel")
"""What changes the station's monitors."""


def token(number: str = CARD) -> dict[str, Any]:
    return {"idToken": number, "type": KIND}


def info(status: str = "Accepted", group: str | None = None, **more: Any) -> dict[str, Any]:
    told: dict[str, Any] = {"status": status, **more}
    if group is not None:
        told["groupIdToken"] = {"idToken": group, "type": "Central"}
    return told


def listed(number: str = CARD, status: str | None = "Accepted", group: str | None = None) -> dict[str, Any]:
    """An entry of a local list; without a `status` it is to be removed."""
    entry: dict[str, Any] = {"idToken": token(number)}
    return entry if status is None else {**entry, "idTokenInfo": info(status, group)}


def matches(told: Mapping[str, Any], payload: Payload) -> bool:
    """Whether a TransactionEvent says all of `told`: its own fields, or those of its transactionInfo."""
    return all(payload.get(key, payload["transactionInfo"].get(key)) == value for key, value in told.items())


class Stand:
    """One test's view of a bench: `since` is the last message that came before the test."""

    def __init__(self, bench: Bench) -> None:
        assert bench.csms is not None
        self.bench, self.csms = bench, bench.csms
        self.station = self.csms.station(bench.identity)
        self.places = bench.world.places
        self.since = 0
        self.evse = 2
        """Where the test takes place: each at the other one, so that none waits until a lowered offer may rise."""
        self._set: dict[str, str] = {}
        self._swiped: dict[tuple[int, str], float] = {}
        self._list_version = 0
        self._profiles = self._monitors = False
        self.known: dict[str, dict[str, Any]] = {}
        """What the CSMS says of tokens, where that is not Accepted."""

    # --- before and after a test ---------------------------------------------------------------------------------

    async def begin(self) -> None:
        """Nothing plugged, no transaction, nobody known, all settings as in `FACTORY`."""
        self.known.clear()
        self.csms.answers.clear()
        self.csms.answers["Authorize"] = lambda payload: {"idTokenInfo": self.says(payload["idToken"])}
        self.csms.answers["TransactionEvent"] = self._event_answer
        self.evse = 3 - self.evse
        await self.set(FACTORY)
        await self.call("ClearCache", {})
        self.since = self.station.last

    def says(self, told: Mapping[str, Any]) -> dict[str, Any]:
        return self.known.get(told["idToken"], info())

    def _event_answer(self, payload: Payload) -> Payload:
        return {"idTokenInfo": self.says(payload["idToken"])} if "idToken" in payload else {}

    async def end(self) -> None:
        """Everybody leaves; transaction of the test must come to its end."""
        self.csms.answers.clear()
        self.known.clear()
        await self.bench.set_network("up")
        if not self.bench.world.powered:
            await self.bench.set_power("on")
        await self.station.until_connected()
        await self.set({"OCPPCommCtrlr.UnlockOnEVSideDisconnect": "true"})
        for number in self.running():
            await self.call("RequestStopTransaction", {"transactionId": number})
        for place, charger in self.places.connectors.items():
            if charger.cable:
                await self._free(place, charger)
        for bay in self.places.bays.values():
            bay.set(False)
        await until(lambda: not self.running(), "the end of every transaction")
        await until(self._all_available, "connectors that are free again")
        if self._list_version:
            await self.send_list([], "Full")
            self._list_version = 0
        for name in self.bench.world.board.ems:
            if self.bench.rig.ems.state()[name]["limit_w"] is not None:
                await self.bench.rig.ems.release(name)
        if self._profiles:
            for purpose in ("ChargingStationMaxProfile", "TxDefaultProfile", "TxProfile"):
                criteria = {"chargingProfilePurpose": purpose}
                await self.call("ClearChargingProfile", {"chargingProfileCriteria": criteria})
            self._profiles = False
        if self._monitors:
            for base in ("FactoryDefault", "All"):
                await self.call("SetMonitoringBase", {"monitoringBase": base})
            await self.call("SetMonitoringLevel", {"severity": 9})
            self._monitors = False

    def running(self) -> list[str]:
        return [one for one, what in self.station.transactions(self.since).items() if not what.ended]

    async def _free(self, place: tuple[int, int], charger: Charger) -> None:
        evse, connector = place
        if charger.ev is not None:
            charger.unplug("ev")
        await until(lambda: charger.state()["pilot"] == "A", "no car")
        if charger.cable and charger.state()["locked"]:
            with contextlib.suppress(TimeoutError, AssertionError):
                await until(lambda: not charger.state()["locked"], "unlocked", 1.5)
        if charger.cable and charger.state()["locked"]:
            await self.call("UnlockConnector", {"evseId": evse, "connectorId": connector})
            await until(lambda: not charger.state()["locked"], "unlocked")
        if charger.cable:
            charger.unplug("station")

    def _all_available(self) -> bool:
        said: dict[tuple[int, int], str] = {}
        for message in self.station.calls("StatusNotification"):
            payload = message.payload
            said[payload["evseId"], payload["connectorId"]] = payload["connectorStatus"]
        return set(said.values()) == {"Available"}

    # --- the CSMS --------------------------------------------------------------------------------------------------

    async def call(self, action: str, payload: Mapping[str, Any]) -> Payload:
        self._profiles = self._profiles or action == "SetChargingProfile"
        self._monitors = self._monitors or action in MONITORING
        return await self.station.call(action, payload)

    async def set(self, settings: Mapping[str, str]) -> None:
        """Set variables, by `Component.Variable[instance]`; all must be accepted."""
        changed = {path: value for path, value in settings.items() if self._set.get(path) != value}
        if not changed:
            return
        answer = await self.call(
            "SetVariables",
            {"setVariableData": [{**_place(path), "attributeValue": value} for path, value in changed.items()]},
        )
        refused = [one for one in answer["setVariableResult"] if one["attributeStatus"] != "Accepted"]
        assert not refused, refused
        self._set.update(changed)

    async def get(self, path: str) -> str:
        answer = await self.call("GetVariables", {"getVariableData": [_place(path)]})
        return str(answer["getVariableResult"][0]["attributeValue"])

    async def send_list(self, entries: list[dict[str, Any]], kind: str = "Full", version: int | None = None) -> str:
        """The status; `version` is the next one where it is left out."""
        number = await self.list_version() + 1 if version is None else version
        request: dict[str, Any] = {"versionNumber": number, "updateType": kind}
        if entries:
            request["localAuthorizationList"] = entries
        status = str((await self.call("SendLocalList", request))["status"])
        if status == "Accepted":
            self._list_version = number
        return status

    async def list_version(self) -> int:
        return int((await self.call("GetLocalListVersion", {}))["versionNumber"])

    # --- the driver and the car ------------------------------------------------------------------------------------

    def connector(self, evse: int | None = None, connector: int = 1) -> Charger:
        return self.places.connector(evse or self.evse, connector)

    def state(self, evse: int | None = None, connector: int = 1) -> dict[str, Any]:
        return self.connector(evse, connector).state()

    async def plug(self, evse: int | None = None, connector: int = 1, **settings: Any) -> None:
        """A car comes, and the CSMS is told (or would be)."""
        since = self.station.last
        self.connector(evse, connector).plug(EvSettings(**{"soc": 40, "capacity_wh": 60_000, **settings}))
        if self.station.connected:
            await self.status("Occupied", evse, connector, since=since)
        await asyncio.sleep(CONTACT)

    async def unplug(self, evse: int | None = None, connector: int = 1) -> None:
        """The cable comes out at the station's side, as soon as it is let go."""
        charger = self.connector(evse, connector)

        def out() -> bool:
            try:
                charger.unplug("station")
            except InTheWay:
                return False
            return True

        await until(out, "the plug comes out")

    async def swipe(self, number: str = CARD, reader: int | None = None) -> None:
        """Hold a card to the EVSE's reader; the same one again, where it is still there, to the station's."""
        if reader is None:
            recent = time.monotonic() - self._swiped.get((self.evse, number), -HOLD) < HOLD
            reader = 0 if recent else self.evse
        before = self._swiped.get((reader, number), 0.0)
        await asyncio.sleep(max(0.0, before + HOLD - time.monotonic()))
        self.places.reader(reader).swipe(number, KIND)
        self._swiped[reader, number] = time.monotonic()

    async def charging(self, evse: int | None = None, connector: int = 1) -> None:
        """Wait until energy flows."""
        await until(lambda: self.state(evse, connector)["power_w"] > 1000, "energy flows")

    async def dark(self, evse: int | None = None, connector: int = 1) -> None:
        """Wait until none flows any more, and the contactor is open."""
        await until(lambda: not self.state(evse, connector)["contactor"], "the contactor opens")

    async def charge(self, number: str = CARD, **settings: Any) -> str:
        """Cable first, then the card, until the CSMS is told of Charging; the transaction's id."""
        since = self.station.last
        await self.plug(**settings)
        await self.swipe(number)
        told = await self.event(since=since, chargingState="Charging")
        await self.charging()
        return str(told["transactionInfo"]["transactionId"])

    async def remember(self, *numbers: str, **told: Any) -> None:
        """Each of these tokens is in the cache, as the CSMS says `info(**told)` of it; nothing else is left of it."""
        start = self._set["TxCtrlr.TxStartPoint"]
        before = dict(self.known)
        await self.set({"TxCtrlr.TxStartPoint": "Authorized"})
        for number in numbers:
            self.known[number] = info(**told)
            since = self.station.last
            await self.swipe(number)
            await self.asked(number, since)
            if self.known[number]["status"] == "Accepted":
                await self.event(since=since, eventType="Started")
                await self.swipe(number, reader=0)
                await self.event(since=since, eventType="Ended")
        self.known = before
        await self.set({"TxCtrlr.TxStartPoint": start})
        self.since = self.station.last

    # --- what the CSMS hears ---------------------------------------------------------------------------------------

    async def status(
        self, status: str, evse: int | None = None, connector: int = 1, since: int | None = None
    ) -> Payload:
        place = {"connectorStatus": status, "evseId": evse or self.evse, "connectorId": connector}
        return await self.station.wait_for(
            "StatusNotification",
            lambda payload: place.items() <= payload.items(),
            self.since if since is None else since,
            PATIENCE,
        )

    async def event(self, since: int | None = None, timeout: float = PATIENCE, **told: Any) -> Payload:
        """The first TransactionEvent of the test that says `told`, see `matches`."""
        try:
            return await self.station.wait_for(
                "TransactionEvent",
                lambda payload: matches(told, payload),
                self.since if since is None else since,
                timeout,
            )
        except TimeoutError:
            raise AssertionError(f"no TransactionEvent with {told}; there were\n{self.story()}") from None

    def events(self, since: int | None = None, **told: Any) -> list[Payload]:
        messages = self.station.calls("TransactionEvent", self.since if since is None else since)
        return [one.payload for one in messages if matches(told, one.payload)]

    def authorized(self, since: int | None = None) -> list[str]:
        """The tokens that the CSMS was asked about."""
        messages = self.station.calls("Authorize", self.since if since is None else since)
        return [one.payload["idToken"]["idToken"] for one in messages]

    async def asked(self, number: str = CARD, since: int | None = None) -> Payload:
        """The Authorize of that token, and not before its answer."""
        first = self.since if since is None else since
        payload = await self.station.wait_for(
            "Authorize", lambda payload: payload["idToken"]["idToken"] == number, first, PATIENCE
        )
        await until(
            lambda: any(m.kind == "result" and m.action == "Authorize" for m in self.station.messages[first:]),
            "an answer to Authorize",
        )
        return payload

    def whole(self, number: str) -> Transaction:
        """The transaction, which must be complete: one Started, one Ended, no gap."""
        found = self.station.transactions()[number]
        assert found.problems() == []
        return found

    async def ended(self, number: str, **told: Any) -> Payload:
        """Wait for its end, which must be as `told`, and hold the whole of it against the rules."""
        last = await self.event(eventType="Ended", transactionId=number)
        assert matches(told, last), last
        self.whole(number)
        return last

    def story(self) -> str:
        return "\n".join(json.dumps(payload)[:400] for payload in self.events()) or "none"

    # --- without a line --------------------------------------------------------------------------------------------

    @contextlib.asynccontextmanager
    async def offline(self) -> AsyncIterator[None]:
        """The line is down meanwhile; after it the station is connected again."""
        await self.bench.set_network("down")
        await self.station.until_connected(False)
        yield
        await self.bench.set_network("up")
        await self.station.until_connected()

    async def boot(self, how: str) -> None:
        """`Reset`, or `power`: an orderly restart or none, until the station has told all its states."""
        since = self.station.last
        if how == "Reset":
            assert (await self.call("Reset", {"type": "Immediate"}))["status"] == "Accepted"
        else:
            await self.bench.set_power("cycle")
        await self.station.wait_for("BootNotification", since=since, timeout=30)
        await self.station.wait_for("StatusNotification", lambda p: p["evseId"] == 2, since, 20)


@contextlib.asynccontextmanager
async def standing(board: str, folder: Path) -> AsyncIterator[Stand]:
    """A bench with the station `board`, from its boot on; its log goes to `folder`."""
    bench = Bench(board, overrides=SETUP, agent_log=folder / "agent.log")
    await bench.start()
    try:
        await bench.until_ready()
        stand = Stand(bench)
        await stand.station.wait_for("StatusNotification", lambda payload: payload["evseId"] == 2, timeout=30)
        yield stand
    finally:
        await bench.stop()
        print((folder / "agent.log").read_text()[-4_000:])


def _place(path: str) -> dict[str, Any]:
    component, _, name = path.partition(".")
    variable, _, instance = name.rstrip("]").partition("[")
    told: dict[str, Any] = {"name": variable}
    if instance:
        told["instance"] = instance
    return {"component": {"name": component}, "variable": told}


async def until(question: Callable[[], object], what: str, seconds: float = PATIENCE) -> None:
    """Ask until the answer is yes. Raises AssertionError."""
    deadline = time.monotonic() + seconds
    while not question():
        assert time.monotonic() < deadline, f"never happened: {what}"
        await asyncio.sleep(0.03)


async def never(question: Callable[[], object], what: str, seconds: float = 1.0) -> None:
    """Look for a while that the answer stays no. Raises AssertionError."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        assert not question(), f"happened: {what}"
        await asyncio.sleep(0.03)
