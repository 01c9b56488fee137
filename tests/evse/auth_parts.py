"""What the tests of authorization share: a model with the controllers' settings, a clock, a disk that can fail."""

from datetime import UTC, datetime, timedelta

from agent.evse.records import IdToken, IdTokenInfo
from agent.model import Attribute, Characteristics, Component, DataType, DeviceModel, Value, Variable
from agent.store import Store

START = datetime(2026, 1, 1, tzinfo=UTC)

SETTINGS: dict[str, Value] = {
    "AuthCtrlr.Enabled": True,
    "AuthCtrlr.LocalAuthorizeOffline": True,
    "AuthCtrlr.LocalPreAuthorize": True,
    "AuthCtrlr.OfflineTxForUnknownIdEnabled": False,
    "AuthCtrlr.DisableRemoteAuthorization": False,
    "AuthCtrlr.AuthorizeRemoteStart": True,
    "AuthCtrlr.MasterPassGroupId": "",
    "AuthCacheCtrlr.Enabled": True,
    "AuthCacheCtrlr.DisablePostAuthorize": False,
    "AuthCacheCtrlr.LifeTime": 86_400,
    "AuthCacheCtrlr.Storage": 0,
    "LocalAuthListCtrlr.Enabled": True,
    "LocalAuthListCtrlr.DisablePostAuthorize": False,
    "LocalAuthListCtrlr.SupportsExpiryDateTime": True,
    "LocalAuthListCtrlr.Entries": 0,
    "LocalAuthListCtrlr.Storage": 0,
    "LocalAuthListCtrlr.ItemsPerMessage": 100,
    "LocalAuthListCtrlr.BytesPerMessage": 65_536,
}

_TYPES = {bool: DataType.BOOLEAN, int: DataType.INTEGER, str: DataType.STRING}


class Clock:
    """A clock that moves when it is told to."""

    def __init__(self) -> None:
        self.time = START

    def monotonic(self) -> float:
        return (self.time - START).total_seconds()

    def now(self) -> datetime:
        return self.time

    def move(self, seconds: float) -> None:
        self.time += timedelta(seconds=seconds)


class Settings:
    """A Device Model with the controllers of authorization; `limits` are maxLimits."""

    def __init__(self, limits: dict[str, float] | None = None) -> None:
        self.model = DeviceModel()
        for path, value in SETTINGS.items():
            component, name = path.split(".")
            limit = (limits or {}).get(path)
            characteristics = Characteristics(_TYPES[type(value)], max_limit=limit)
            self.model.add(Variable(Component(component), name, characteristics, Attribute(value)))

    def set(self, path: str, value: Value | None) -> None:
        self._variable(path).update(value)

    def get(self, path: str) -> Value | None:
        return self._variable(path).actual.value

    def _variable(self, path: str) -> Variable:
        component, name = path.split(".")
        found = self.model.get(Component(component), name)
        assert found is not None, path
        return found


def read_only(store: Store, on: bool = True) -> None:
    """Make every write of `store` fail, as on a disk that has become read-only."""
    store._run(lambda c: c.execute(f"PRAGMA query_only = {'ON' if on else 'OFF'}").fetchall()).result()


def lose_table(store: Store) -> None:
    """Make every read of what is kept fail, as on a damaged file."""
    store._run(lambda c: c.execute("ALTER TABLE kept RENAME TO lost").fetchall()).result()


def card(number: int | str, kind: str = "ISO14443") -> IdToken:
    return IdToken(number if isinstance(number, str) else f"{number:08X}", kind)


def group(name: str) -> IdToken:
    return IdToken(name, "Central")


OK = IdTokenInfo("Accepted")
BLOCKED = IdTokenInfo("Blocked")
EVERYTHING = IdTokenInfo(
    "Accepted",
    START + timedelta(days=30),
    IdToken("FAMILY", "Central", (("account-7", "billing"),)),
    (1, 2),
    "de-AT",
    "en",
    -9,
    "Grüß Gott, 漢字",
)
"""Every field there is."""
