"""The charging profiles that are installed (K01, K09, K10), and what of them must be kept over a restart (K01.FR.27).

The profiles of external control systems are not here: the CSMS can neither replace nor clear them.
"""

import json
from collections.abc import Collection, Hashable, Iterable, Mapping
from typing import Any

from agent.charging.checks import INVALID_PROFILE, TOO_MANY, Refused, Rules, duplicate, refusal, start_refusal
from agent.charging.limits import Unit
from agent.charging.profiles import TX, Profile, plain, profile_from

Change = tuple[str, str | None]
"""A key of the store's room and what is to be kept there; None: nothing any more."""


class Book:
    """The installed profiles of one station. `derived` keeps what others reckon from them: each change empties it."""

    def __init__(
        self,
        evses: Mapping[int, int],
        *,
        voltage: float,
        max_stack: int,
        max_periods: int,
        max_profiles: int,
        units: tuple[Unit, ...] = ("A", "W"),
        phase_switching: bool = False,
        usable: tuple[int, ...] = (1,),
    ) -> None:
        """See `Rules` for what they mean."""
        self.rules = Rules(dict(evses), voltage, max_stack, max_periods, max_profiles, units, phase_switching, usable)
        self.version = 0
        self.derived: dict[Hashable, Any] = {}
        self._all: dict[int, tuple[int, Profile]] = {}

    @property
    def count(self) -> int:
        return len(self._all)

    @property
    def evses(self) -> Mapping[int, int]:
        """The EVSEs and their phases."""
        return self.rules.evses

    @property
    def voltage(self) -> float:
        return self.rules.voltage

    # --- K01 -------------------------------------------------------------------------------------------------------

    def check(
        self,
        evse: int,
        profile: Profile,
        *,
        transactions: Mapping[int, str | None],
        external: Collection[int] = (),
    ) -> Refused | None:
        """Why `profile` is not taken on `evse`; None: it is.

        `transactions` maps EVSEs to the transaction that runs there; `external` are the ids of the profiles of
        external control systems, which cannot be replaced (K01.FR.05).
        """
        if profile.id in external:
            return Refused(INVALID_PROFILE, f"profile {profile.id} belongs to an external system")
        return (
            refusal(evse, profile, self.rules, transactions)
            or duplicate(evse, profile, self._all.values())
            or self._full(profile)
        )

    def check_start(self, evse: int | None, profile: Profile) -> Refused | None:
        """Why a remote start on `evse` (None: any) may not bring `profile` (K05.FR.05, F01.FR.26)."""
        if evse is not None and evse not in self.rules.evses:
            return Refused("UnknownEvse", f"there is no EVSE {evse}")
        return start_refusal(evse, profile, self.rules) or self._full(profile)

    def _full(self, profile: Profile) -> Refused | None:
        if profile.id in self._all or self.count < self.rules.max_profiles:
            return None
        return Refused(TOO_MANY, f"{self.rules.max_profiles} profiles are installed")

    def install(self, evse: int, profile: Profile) -> list[Change]:
        """Take a profile that was checked, in place of the one with the same id (K01.FR.05); what is to be kept."""
        self._all.pop(profile.id, None)
        self._all[profile.id] = (evse, profile)
        self._changed()
        return [(str(profile.id), json.dumps({"evse": evse, "profile": plain(profile)}, separators=(",", ":")))]

    # --- K09, K10 --------------------------------------------------------------------------------------------------

    def find(
        self,
        *,
        ids: Iterable[int] = (),
        evse: int | None = None,
        purpose: str | None = None,
        stack: int | None = None,
    ) -> list[tuple[int, Profile]]:
        """(EVSE, profile) of all that match whatever is given (K09.FR.03 to .06), as they were installed."""
        wanted = frozenset(ids)
        return [
            (place, one)
            for place, one in self._all.values()
            if (not wanted or one.id in wanted)
            and evse in (None, place)
            and purpose in (None, one.purpose)
            and stack in (None, one.stack)
        ]

    def clear(
        self, *, id: int | None = None, evse: int | None = None, purpose: str | None = None, stack: int | None = None
    ) -> list[Change]:
        """Remove the profile with `id`, or, without one, all that match the rest (K10.FR.03, FR.04).

        What is not to be kept any more; nothing: there is none (K10.FR.01).
        """
        found = self.find(evse=evse, purpose=purpose, stack=stack) if id is None else self.find(ids=(id,))
        return self._remove([one.id for _, one in found])

    # --- transactions ----------------------------------------------------------------------------------------------

    def ended(self, transaction: str) -> list[Change]:
        """Remove the TxProfiles of a transaction that ended (K02.FR.05)."""
        return self._remove([one.id for _, one in self.find(purpose=TX) if one.transaction == transaction])

    def keep_only(self, transactions: Collection[str]) -> list[Change]:
        """Remove the TxProfiles of all but these transactions; after a restart (K02.FR.05)."""
        return self._remove([one.id for _, one in self.find(purpose=TX) if one.transaction not in transactions])

    def _remove(self, ids: list[int]) -> list[Change]:
        for id in ids:
            del self._all[id]
        if ids:
            self._changed()
        return [(str(id), None) for id in ids]

    def _changed(self) -> None:
        self.version += 1
        self.derived.clear()

    # --- over a restart --------------------------------------------------------------------------------------------

    def restore(self, kept: Mapping[str, str]) -> list[str]:
        """Take back what `install` gave to keep; tells what could not be, and leaves that out.

        A profile that the station would refuse by now (fewer stack levels, another unit) holds nevertheless: without
        it cars would draw more than the CSMS allows.
        """
        lost = []
        for key, text in kept.items():
            try:
                evse, profile = _read(text)
                if str(profile.id) != key:
                    raise ValueError(f"it is profile {profile.id}")
                if evse != 0 and evse not in self.rules.evses:
                    raise ValueError(f"there is no EVSE {evse}")
            except (ValueError, RecursionError) as error:
                lost.append(f"charging profile {key}: {error}")
            else:
                self._all[profile.id] = (evse, profile)
        self._changed()
        return lost


def _read(text: str) -> tuple[int, Profile]:
    told = json.loads(text)
    if not isinstance(told, dict) or not isinstance(told.get("profile"), dict):
        raise ValueError("no charging profile")
    evse = told.get("evse")
    if not isinstance(evse, int) or isinstance(evse, bool):
        raise ValueError(f"no EVSE: {evse!r}")
    return evse, profile_from(told["profile"])
