"""Who may start and stop (part 2 C, D): decided from the local list and the cache, or the CSMS is to be asked.

The list goes before the cache (C13.FR.01), and both before the CSMS. To ask is the caller's part; the CSMS's answer
comes back by `answered`, and `judge` or `judge_stop` say what it means.
"""

import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeVar

from agent.clock import Clock
from agent.evse.auth_cache import AuthCache
from agent.evse.auth_store import StoreFailed, TokenShelf, TokenStore
from agent.evse.auth_tokens import Entry, well_formed
from agent.evse.local_list import FAILED, LocalList
from agent.evse.records import NO_AUTHORIZATION, IdToken, IdTokenInfo
from agent.evse.settings import EvseSettings
from agent.model import DeviceModel

__all__ = ["AuthCache", "Authorizer", "Decision", "LocalList", "TokenStore"]

Result = TypeVar("Result")
Verdict = Literal["accepted", "rejected", "ask"]
Source = Literal["list", "cache", "offline", "none", "csms"]

_CONTROLLERS: dict[Source, str] = {"list": "LocalAuthListCtrlr", "cache": "AuthCacheCtrlr"}
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Decision:
    """`info` is what is known of the token; its status says why it was rejected. `token` is the one to send: with the
    additionalInfo that list or cache keep of it. `source` "offline" is an unknown token that is trusted (C15), "none"
    a decision that took no one's word.
    """

    verdict: Verdict
    info: IdTokenInfo | None
    source: Source
    token: IdToken | None = None

    @property
    def accepted(self) -> bool:
        return self.verdict == "accepted"


@dataclass(frozen=True, slots=True)
class _Known:
    """What list or cache say: `info` with the status that counts here and now."""

    source: Source
    info: IdTokenInfo
    token: IdToken
    expired: bool = False


class Authorizer:
    """Reads the cache at once; `failed` hears of every failure of the store, which never stops a decision."""

    def __init__(
        self, model: DeviceModel, clock: Clock, store: TokenStore, failed: Callable[[str], None] = _log.warning
    ) -> None:
        shelf = TokenShelf(store)
        self._settings = EvseSettings(model)
        self._failed = failed
        self.cache = AuthCache(model, clock, shelf)
        self.list = LocalList(model, clock, shelf)

    # --- starting ------------------------------------------------------------------------------------------------

    async def decide(
        self, token: IdToken, *, online: bool, evse: int | None = None, remote: bool = False
    ) -> Decision:
        """Whether `token` may start, before any question to the CSMS (C01, C10, C12..C15).

        `evse` None is not chosen yet: `allowed_at` is then to be asked later. `remote` is a RequestStartTransaction
        (AuthorizeRemoteStart; C05.FR.01). A master pass is rejected, with its info: it only stops (C16.FR.03).
        """
        if not well_formed(token):
            return _rejected("Invalid", token)
        if token.type == NO_AUTHORIZATION.type or not self._authorizes:
            return Decision("accepted", None, "none", token)
        if remote and (token.type == "Central" or not self._settings.flag("AuthCtrlr", "AuthorizeRemoteStart", True)):
            return Decision("accepted", None, "csms", token)  # C03.FR.01, F01.FR.02
        try:
            known = await self._known(token, evse)
        except StoreFailed as error:  # it may be known and blocked: no one may take it for unknown
            self._failed(str(error))
            return self._ask_or("Unknown", token) if online else _rejected("Unknown", token)
        return self._online(token, known) if online else self._offline(token, known)

    def _online(self, token: IdToken, known: _Known | None) -> Decision:
        if known is None:
            return self._ask_or("Unknown", token)  # C01.FR.02
        settings = self._settings
        if known.info.accepted:
            # C06.FR.02: a local id is always asked for.
            local = settings.flag("AuthCtrlr", "LocalPreAuthorize") and token.type != "Local"
            return self._start(known) if local or not self._may_ask else _ask(known)
        if self._may_ask and (
            known.expired  # C14.FR.05: as if it were not in the list
            or not settings.flag(_CONTROLLERS[known.source], "DisablePostAuthorize")
        ):
            return _ask(known)  # C10.FR.03, C12.FR.05, C14.FR.03
        return Decision("rejected", known.info, known.source, known.token)

    def _offline(self, token: IdToken, known: _Known | None) -> Decision:
        if known is None:
            if self._settings.flag("AuthCtrlr", "OfflineTxForUnknownIdEnabled"):
                return Decision("accepted", None, "offline", token)  # C15.FR.08
            return _rejected("Unknown", token)
        allowed = self._settings.flag("AuthCtrlr", "LocalAuthorizeOffline", True)
        if known.info.accepted and not allowed and not self._is_master(known.info):
            known = replace(known, info=replace(known.info, status="NotAtThisTime"))
        return self._start(known)  # C13.FR.02, C13.FR.05

    def _start(self, known: _Known) -> Decision:
        may = known.info.accepted and not self.is_master_pass(known.info)
        return Decision("accepted" if may else "rejected", known.info, known.source, known.token)

    def judge(self, token: IdToken, info: IdTokenInfo, evse: int | None = None) -> Decision:
        """Whether `token` may start at `evse`, now that the CSMS said `info` of it (C01.FR.21, C16.FR.03)."""
        return self._start(_Known("csms", _here(info, evse), token))

    @staticmethod
    def allowed_at(info: IdTokenInfo | None, evse: int) -> bool:
        """Whether a token of which `info` was said may charge at `evse` (C01.FR.21)."""
        return info is None or not info.evse_ids or evse in info.evse_ids

    # --- stopping ------------------------------------------------------------------------------------------------

    async def may_stop(
        self, presented: IdToken, started: IdToken, group: IdToken | None, *, online: bool
    ) -> Decision:
        """Whether `presented` ends the authorization that `started`, of `group`, began (E07.FR.01, C01.FR.03, C09).

        "accepted" is the same token, one known to be of the same group, or a master pass (`is_master_pass` of its
        info; C16.FR.04, C16.FR.05). "ask" is one whose group only the CSMS can tell (C09.FR.05).
        """
        if presented.same(started):
            return Decision("accepted", None, "none", presented)
        if not well_formed(presented):
            return _rejected("Invalid", presented)
        if not self._authorizes:
            return Decision("accepted", None, "none", presented)
        known = await self._survive(self._known(presented, None), None)
        if known is None or (known.info.accepted and not _has_group(known.info)):
            asked = presented if known is None else known.token
            return self._ask_or("Unknown", asked) if online else _rejected("Unknown", asked)
        if not known.info.accepted:  # C09.FR.11; while online, the CSMS may know better (C10.FR.03)
            return self._online(presented, known) if online else self._start(known)
        if group is None:
            group = await self.group_of(started)
        stops = self.is_master_pass(known.info) or _same_group(known.info.group, group)
        return Decision("accepted" if stops else "rejected", known.info, known.source, known.token)

    def judge_stop(self, token: IdToken, info: IdTokenInfo, group: IdToken | None) -> Decision:
        """Whether `token` stops what was started by `group`, now that the CSMS said `info` of it (C09.FR.03)."""
        stops = info.accepted and (self.is_master_pass(info) or _same_group(info.group, group))
        return Decision("accepted" if stops else "rejected", info, "csms", token)

    async def group_of(self, token: IdToken) -> IdToken | None:
        """The group of `token`, from a valid entry of list or cache."""
        known = await self._survive(self._known(token, None), None)
        return known.info.group if known is not None and known.info.accepted else None

    def is_master_pass(self, info: IdTokenInfo | None) -> bool:
        """Whether a token of which `info` was said is valid and in the group that stops everything (C16)."""
        return info is not None and info.accepted and self._is_master(info)

    def _is_master(self, info: IdTokenInfo) -> bool:
        master = self._settings.text("AuthCtrlr", "MasterPassGroupId")
        return master != "" and info.group is not None and info.group.id.casefold() == master.casefold()

    # --- what the CSMS says --------------------------------------------------------------------------------------

    async def answered(self, token: IdToken, info: IdTokenInfo) -> None:
        """An AuthorizeResponse or TransactionEventResponse said `info` of `token` (C10.FR.04, C10.FR.05)."""
        await self._survive(self.cache.put(token, info), None)

    async def clear_cache(self) -> bool:
        """C11: whether it is empty now."""
        if not self.cache.enabled:
            return False
        return await self._survive(self._cleared(), False)

    async def _cleared(self) -> bool:
        await self.cache.clear()
        return True

    async def list_version(self) -> int:
        """D02: 0 without a list."""
        return await self._survive(self.list.version(), 0)

    async def send_list(
        self, version: int, *, full: bool, entries: Sequence[tuple[IdToken, IdTokenInfo | None]], size: int
    ) -> str:
        """D01: Accepted, Failed or VersionMismatch."""
        return await self._survive(self.list.change(version, entries, full=full, size=size), FAILED)

    # --- the parts -----------------------------------------------------------------------------------------------

    @property
    def _authorizes(self) -> bool:
        return self._settings.flag("AuthCtrlr", "Enabled", True)

    @property
    def _may_ask(self) -> bool:
        return not self._settings.flag("AuthCtrlr", "DisableRemoteAuthorization")

    def _ask_or(self, status: str, token: IdToken) -> Decision:
        return Decision("ask", None, "none", token) if self._may_ask else _rejected(status, token)

    async def _known(self, token: IdToken, evse: int | None) -> _Known | None:
        """What is known of `token` for `evse`. Raises StoreFailed where the list cannot be read."""
        listed = await self.list.find(token)
        if listed is not None:
            if self.list.expired(listed):
                info = replace(listed.info, status="Expired")
                return _Known("list", info, _with(token, listed), expired=True)
            return _Known("list", _here(listed.info, evse), _with(token, listed))
        cached = await self._survive(self.cache.use(token), None)
        return None if cached is None else _Known("cache", _here(cached.info, evse), _with(token, cached))

    async def _survive(self, work: Awaitable[Result], otherwise: Result) -> Result:
        """The result of `work`; `otherwise` where the store failed, which is told."""
        try:
            return await work
        except StoreFailed as error:
            self._failed(str(error))
            return otherwise


def _ask(known: _Known) -> Decision:
    return Decision("ask", known.info, "none", known.token)


def _rejected(status: str, token: IdToken) -> Decision:
    return Decision("rejected", IdTokenInfo(status), "none", token)


def _here(info: IdTokenInfo, evse: int | None) -> IdTokenInfo:
    """`info` as it counts at `evse` (C01.FR.21)."""
    if info.accepted and evse is not None and not Authorizer.allowed_at(info, evse):
        return replace(info, status="NotAtThisLocation")
    return info


def _with(token: IdToken, entry: Entry) -> IdToken:
    return replace(token, additional_info=token.additional_info or entry.additional_info)


def _has_group(info: IdTokenInfo) -> bool:
    return info.group is not None and info.group.id != ""


def _same_group(one: IdToken | None, other: IdToken | None) -> bool:
    """Part 2 C §1.2: equal and not empty."""
    return one is not None and one.id != "" and one.same(other)
