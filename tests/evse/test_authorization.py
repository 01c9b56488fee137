"""Who may start and stop: list before cache before CSMS, online and offline, groups, master passes."""

import logging
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from itertools import product
from pathlib import Path

import pytest

from agent.evse.authorization import Authorizer, Decision
from agent.evse.records import NO_AUTHORIZATION, IdToken, IdTokenInfo
from agent.model import Value
from agent.store import Store
from tests.evse.auth_parts import (
    BLOCKED,
    EVERYTHING,
    OK,
    START,
    Clock,
    Settings,
    card,
    group,
    lose_table,
    read_only,
)

CARD = card("04A2B3C4")
FAMILY = IdTokenInfo("Accepted", group=group("FAMILY"))
POLICE = IdTokenInfo("Accepted", group=group("POLICE"))


class World:
    """An authorizer on a real store."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.clock, self.settings = folder, Clock(), Settings()
        self.failures: list[str] = []
        self.version = 0
        self._open()

    def _open(self) -> None:
        self.store = Store(self.folder)
        self.authorizer = Authorizer(self.settings.model, self.clock, self.store, self.failures.append)

    def power_cut(self) -> None:
        self.store.close()
        self._open()

    def set(self, settings: Mapping[str, Value | None]) -> None:
        for path, value in settings.items():
            self.settings.set(path, value)

    async def listed(self, info: IdTokenInfo, token: IdToken = CARD) -> None:
        self.version += 1
        answer = await self.authorizer.send_list(self.version, full=False, entries=[(token, info)], size=100)
        assert answer == "Accepted"

    async def cached(self, info: IdTokenInfo, token: IdToken = CARD) -> None:
        await self.authorizer.answered(token, info)

    async def says(self, online: bool, token: IdToken = CARD, evse: int | None = None) -> tuple[str, str, str | None]:
        """(verdict, source, status)."""
        return short(await self.authorizer.decide(token, online=online, evse=evse))


def short(decision: Decision) -> tuple[str, str, str | None]:
    return decision.verdict, decision.source, decision.info and decision.info.status


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    made.store.close()


# --- nothing to decide -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("online", [True, False])
@pytest.mark.parametrize(
    "token",
    [card(""), card("x" * 37), card("a b"), card("ü"), card("a\n"), card(1, "RFID"), card(1, "NoAuthorization")],
)
async def test_a_malformed_token_is_invalid_and_neither_asked_nor_kept(
    world: World, token: IdToken, online: bool
) -> None:
    world.set({"AuthCtrlr.OfflineTxForUnknownIdEnabled": True, "AuthCtrlr.Enabled": False})
    assert await world.says(online, token) == ("rejected", "none", "Invalid")
    stop = await world.authorizer.may_stop(token, CARD, None, online=online)
    assert short(stop) == ("rejected", "none", "Invalid")
    await world.cached(OK, token)
    assert len(world.authorizer.cache) == 0


@pytest.mark.requirement("C02.FR.01")
@pytest.mark.parametrize("online", [True, False])
async def test_a_start_button_needs_no_authorization(world: World, online: bool) -> None:
    assert await world.says(online, NO_AUTHORIZATION) == ("accepted", "none", None)


@pytest.mark.parametrize("online", [True, False])
async def test_with_authorization_disabled_every_token_is_accepted_unasked(world: World, online: bool) -> None:
    await world.listed(BLOCKED)
    world.set({"AuthCtrlr.Enabled": False})
    decision = await world.authorizer.decide(CARD, online=online)
    assert short(decision) == ("accepted", "none", None) and decision.token == CARD
    assert (await world.authorizer.may_stop(card(9), CARD, None, online=online)).verdict == "accepted"


# --- online ------------------------------------------------------------------------------------------------------


@pytest.mark.requirement("C01.FR.02")
async def test_an_unknown_token_is_asked_for_online_even_where_unknown_ones_are_trusted_offline(world: World) -> None:
    world.set({"AuthCtrlr.OfflineTxForUnknownIdEnabled": True})
    assert await world.says(True) == ("ask", "none", None)


@pytest.mark.requirement("C12.FR.02", "C14.FR.04")
@pytest.mark.parametrize("source", ["list", "cache"])
async def test_a_token_known_as_accepted_starts_unasked_where_that_is_allowed(world: World, source: str) -> None:
    await (world.listed if source == "list" else world.cached)(OK)
    assert await world.says(True) == ("accepted", source, "Accepted")
    world.set({"AuthCtrlr.LocalPreAuthorize": False})
    assert await world.says(True) == ("ask", "none", "Accepted")


@pytest.mark.requirement("C10.FR.03", "C12.FR.05", "C14.FR.03")
@pytest.mark.parametrize("status", ["Blocked", "Expired", "Invalid", "ConcurrentTx", "NotAtThisTime"])
@pytest.mark.parametrize("source", ["list", "cache"])
async def test_a_token_known_as_not_accepted_is_asked_for_again_unless_that_is_disabled(
    world: World, source: str, status: str
) -> None:
    await (world.listed if source == "list" else world.cached)(IdTokenInfo(status))
    assert await world.says(True) == ("ask", "none", status)
    here, there = (
        ("LocalAuthListCtrlr", "AuthCacheCtrlr") if source == "list" else ("AuthCacheCtrlr", "LocalAuthListCtrlr")
    )
    world.set({f"{there}.DisablePostAuthorize": True})
    assert await world.says(True) == ("ask", "none", status)
    world.set({f"{here}.DisablePostAuthorize": True})
    assert await world.says(True) == ("rejected", source, status)


@pytest.mark.requirement("C14.FR.02", "C14.FR.05", "C13.FR.02", "C13.FR.05", "C13.FR.06")
async def test_an_expired_list_entry_is_asked_for_online_and_rejected_offline(world: World) -> None:
    await world.listed(IdTokenInfo("Accepted", START + timedelta(hours=1)))
    await world.cached(OK)
    world.set({"LocalAuthListCtrlr.DisablePostAuthorize": True, "AuthCtrlr.OfflineTxForUnknownIdEnabled": True})
    assert (await world.says(True))[0] == "accepted" == (await world.says(False))[0]
    world.clock.move(3601)
    assert await world.says(True) == ("ask", "none", "Expired")
    assert await world.says(False) == ("rejected", "list", "Expired")
    world.set({"LocalAuthListCtrlr.SupportsExpiryDateTime": False})
    assert await world.says(True) == ("accepted", "list", "Accepted") == await world.says(False)


@pytest.mark.requirement("C13.FR.01", "C14.FR.01")
async def test_the_list_goes_before_the_cache(world: World) -> None:
    await world.listed(BLOCKED)
    await world.cached(OK)
    assert await world.says(False) == ("rejected", "list", "Blocked")
    assert await world.says(True) == ("ask", "none", "Blocked")
    await world.listed(OK)
    await world.cached(BLOCKED)
    assert await world.says(False) == ("accepted", "list", "Accepted") == await world.says(True)
    world.set({"LocalAuthListCtrlr.Enabled": False})
    assert await world.says(False) == ("rejected", "cache", "Blocked")


async def test_without_remote_authorization_list_and_cache_alone_decide(world: World) -> None:
    world.set({"AuthCtrlr.DisableRemoteAuthorization": True, "AuthCtrlr.LocalPreAuthorize": False})
    assert await world.says(True) == ("rejected", "none", "Unknown")
    await world.cached(OK)
    assert await world.says(True) == ("accepted", "cache", "Accepted")
    await world.listed(BLOCKED)
    assert await world.says(True) == ("rejected", "list", "Blocked")
    assert short(await world.authorizer.may_stop(card(9), CARD, None, online=True)) == ("rejected", "none", "Unknown")


@pytest.mark.requirement("C06.FR.02")
async def test_a_local_id_is_always_asked_for(world: World) -> None:
    ticket = card("TICKET-1", "Local")
    await world.listed(OK, ticket)
    assert (await world.says(True, ticket))[0] == "ask"
    assert (await world.says(False, ticket))[0] == "accepted"


@pytest.mark.requirement("C03.FR.01", "C05.FR.01")
async def test_a_remote_start_by_a_central_id_is_never_asked_for(world: World) -> None:
    decision = await world.authorizer.decide(card("SMS-1", "Central"), online=True, remote=True)
    assert short(decision) == ("accepted", "csms", None)


@pytest.mark.requirement("F01.FR.01", "F01.FR.02")
async def test_a_remote_start_is_authorized_as_a_local_one_where_that_is_set(world: World) -> None:
    assert (await world.authorizer.decide(CARD, online=True, remote=True)).verdict == "ask"
    await world.cached(OK)
    assert short(await world.authorizer.decide(CARD, online=True, remote=True))[:2] == ("accepted", "cache")
    world.set({"AuthCtrlr.AuthorizeRemoteStart": False})
    assert short(await world.authorizer.decide(card(9), online=True, remote=True)) == ("accepted", "csms", None)


# --- offline -----------------------------------------------------------------------------------------------------


@pytest.mark.requirement("C13.FR.02", "C13.FR.04", "C13.FR.05", "C13.FR.06", "C15.FR.08")
@pytest.mark.parametrize(("unknown", "local", "pre"), list(product([True, False], repeat=3)))
async def test_offline_every_token_by_what_is_known_of_it(
    world: World, unknown: bool, local: bool, pre: bool
) -> None:
    world.set(
        {
            "AuthCtrlr.OfflineTxForUnknownIdEnabled": unknown,
            "AuthCtrlr.LocalAuthorizeOffline": local,
            "AuthCtrlr.LocalPreAuthorize": pre,  # for online only
            "LocalAuthListCtrlr.DisablePostAuthorize": pre,
        }
    )
    await world.listed(OK, card(1))
    await world.cached(OK, card(2))
    await world.listed(BLOCKED, card(3))
    await world.cached(BLOCKED, card(4))
    good = ("accepted", "Accepted") if local else ("rejected", "NotAtThisTime")
    seen = [await world.says(False, card(number)) for number in range(1, 6)]
    assert seen[0] == (good[0], "list", good[1])
    assert seen[1] == (good[0], "cache", good[1])
    assert seen[2] == ("rejected", "list", "Blocked")
    assert seen[3] == ("rejected", "cache", "Blocked")
    assert seen[4] == (("accepted", "offline", None) if unknown else ("rejected", "none", "Unknown"))


@pytest.mark.requirement("C15.FR.01")
async def test_an_unknown_token_that_was_trusted_is_not_cached(world: World) -> None:
    world.set({"AuthCtrlr.OfflineTxForUnknownIdEnabled": True})
    assert (await world.says(False))[0] == "accepted"
    assert len(world.authorizer.cache) == 0


@pytest.mark.requirement("C10.FR.02", "D01.FR.10")
async def test_what_is_known_is_known_after_a_power_cut(world: World) -> None:
    await world.listed(OK, card(1))
    await world.cached(OK, card(2))
    world.power_cut()
    assert (await world.says(False, card(1)))[:2] == ("accepted", "list")
    assert (await world.says(False, card(2)))[:2] == ("accepted", "cache")


# --- where -------------------------------------------------------------------------------------------------------


@pytest.mark.requirement("C01.FR.21")
@pytest.mark.parametrize("source", ["list", "cache"])
async def test_a_token_for_some_evses_is_accepted_there_alone(world: World, source: str) -> None:
    await (world.listed if source == "list" else world.cached)(IdTokenInfo("Accepted", evse_ids=(2, 3)))
    assert await world.says(False, evse=2) == ("accepted", source, "Accepted") == await world.says(True, evse=3)
    assert await world.says(False, evse=1) == ("rejected", source, "NotAtThisLocation")
    assert await world.says(True, evse=1) == ("ask", "none", "NotAtThisLocation")
    assert short(world.authorizer.judge(CARD, IdTokenInfo("Blocked", evse_ids=(2,)), 1))[2] == "Blocked"
    decision = await world.authorizer.decide(CARD, online=False)
    assert decision.accepted
    assert [world.authorizer.allowed_at(decision.info, evse) for evse in (1, 2)] == [False, True]
    assert world.authorizer.allowed_at(OK, 1) and world.authorizer.allowed_at(None, 1)


@pytest.mark.requirement("C01.FR.21")
async def test_the_csms_answer_counts_at_the_evses_that_it_names(world: World) -> None:
    info = IdTokenInfo("Accepted", evse_ids=(2,))
    assert short(world.authorizer.judge(CARD, info, 2)) == ("accepted", "csms", "Accepted")
    assert short(world.authorizer.judge(CARD, info, 1)) == ("rejected", "csms", "NotAtThisLocation")
    assert short(world.authorizer.judge(CARD, BLOCKED, 2)) == ("rejected", "csms", "Blocked")


# --- what the CSMS says ------------------------------------------------------------------------------------------


@pytest.mark.requirement("C10.FR.04", "C10.FR.05", "C12.FR.06")
async def test_an_answer_of_the_csms_counts_from_then_on(world: World) -> None:
    await world.cached(OK)
    assert (await world.says(False))[0] == "accepted"
    await world.cached(BLOCKED)
    assert await world.says(False) == ("rejected", "cache", "Blocked")


async def test_everything_known_of_a_token_comes_with_the_decision(world: World) -> None:
    token = replace(CARD, additional_info=(("card 7", "print"),))
    await world.listed(EVERYTHING, token)
    decision = await world.authorizer.decide(CARD, online=False, evse=1)
    assert decision.info == EVERYTHING
    assert decision.token is not None and decision.token.additional_info == token.additional_info
    own = replace(CARD, additional_info=(("card 8", "print"),))
    decision = await world.authorizer.decide(own, online=False)
    assert decision.token is not None and decision.token.additional_info == own.additional_info


# --- groups ------------------------------------------------------------------------------------------------------


@pytest.mark.requirement("E07.FR.01", "C01.FR.03", "C01.FR.25", "C09.FR.07")
@pytest.mark.parametrize("online", [True, False])
async def test_the_token_that_started_always_stops(world: World, online: bool) -> None:
    await world.listed(BLOCKED)
    again = IdToken(CARD.id.lower(), CARD.type, (("more", "info"),))
    assert short(await world.authorizer.may_stop(again, CARD, None, online=online)) == ("accepted", "none", None)
    other_type = IdToken(CARD.id, "ISO15693")
    stop = await world.authorizer.may_stop(other_type, CARD, None, online=online)
    assert stop.verdict == ("ask" if online else "rejected")


@pytest.mark.requirement("C09.FR.03", "C09.FR.07", "E07.FR.01", "C01.FR.03")
@pytest.mark.parametrize("online", [True, False])
@pytest.mark.parametrize("source", ["list", "cache"])
async def test_a_valid_token_of_the_same_group_stops_unasked(world: World, source: str, online: bool) -> None:
    world.set(
        {"AuthCtrlr.LocalPreAuthorize": False, "AuthCtrlr.LocalAuthorizeOffline": False}
    )  # those are for starts
    await (world.listed if source == "list" else world.cached)(FAMILY, card(2))
    stop = await world.authorizer.may_stop(card(2), CARD, group("family"), online=online)
    assert short(stop) == ("accepted", source, "Accepted")
    for other in (group("NEIGHBOURS"), IdToken("FAMILY", "Local"), None):
        stop = await world.authorizer.may_stop(card(2), CARD, other, online=online)
        assert stop.verdict == "rejected"


@pytest.mark.requirement("C09.FR.03")
async def test_the_group_that_started_is_looked_up_where_it_is_not_told(world: World) -> None:
    await world.cached(FAMILY, card(2))
    await world.cached(FAMILY)
    assert (await world.authorizer.may_stop(card(2), CARD, None, online=False)).verdict == "accepted"


@pytest.mark.requirement("C09.FR.05")
async def test_a_token_of_unknown_group_is_asked_for_online_and_rejected_offline(world: World) -> None:
    await world.listed(OK, card(3))
    await world.cached(IdTokenInfo("Accepted", group=group("")), card(4))
    for token in (card(2), card(3), card(4)):
        asked = await world.authorizer.may_stop(token, CARD, group("FAMILY"), online=True)
        assert short(asked) == ("ask", "none", None)
        alone = await world.authorizer.may_stop(token, CARD, group("FAMILY"), online=False)
        assert short(alone) == ("rejected", "none", "Unknown")


@pytest.mark.requirement("C09.FR.11")
@pytest.mark.parametrize("source", ["list", "cache"])
async def test_a_token_of_the_group_that_is_not_accepted_does_not_stop(world: World, source: str) -> None:
    info = IdTokenInfo("Blocked", group=group("FAMILY"))
    await (world.listed if source == "list" else world.cached)(info, card(2))
    stop = await world.authorizer.may_stop(card(2), CARD, group("FAMILY"), online=False)
    assert short(stop) == ("rejected", source, "Blocked")
    stop = await world.authorizer.may_stop(card(2), CARD, group("FAMILY"), online=True)
    assert stop.verdict == "ask"
    assert world.authorizer.judge_stop(card(2), info, group("FAMILY")).verdict == "rejected"


@pytest.mark.requirement("C09.FR.03", "C09.FR.11")
async def test_the_csms_answer_stops_where_its_group_is_the_same(world: World) -> None:
    judge = world.authorizer.judge_stop
    assert short(judge(card(2), FAMILY, group("FAMILY"))) == ("accepted", "csms", "Accepted")
    assert judge(card(2), FAMILY, group("NEIGHBOURS")).verdict == "rejected"
    assert judge(card(2), OK, None).verdict == "rejected"
    assert judge(card(2), IdTokenInfo("Accepted", group=group("")), group("")).verdict == "rejected"


async def test_a_group_is_told_by_valid_entries_only(world: World) -> None:
    assert await world.authorizer.group_of(CARD) is None
    await world.cached(FAMILY)
    assert await world.authorizer.group_of(CARD) == group("FAMILY")
    await world.listed(replace(FAMILY, status="Blocked"))
    assert await world.authorizer.group_of(CARD) is None
    await world.listed(replace(FAMILY, cache_expiry=START + timedelta(seconds=1)))
    assert await world.authorizer.group_of(CARD) == group("FAMILY")
    world.clock.move(2)
    assert await world.authorizer.group_of(CARD) is None


# --- master pass -------------------------------------------------------------------------------------------------


@pytest.mark.requirement("C16.FR.03", "C12.FR.09")
@pytest.mark.parametrize("online", [True, False])
@pytest.mark.parametrize("source", ["list", "cache"])
async def test_a_master_pass_does_not_start(world: World, source: str, online: bool) -> None:
    await (world.listed if source == "list" else world.cached)(POLICE)
    assert (await world.says(online))[0] == "accepted"
    world.set({"AuthCtrlr.MasterPassGroupId": "police", "AuthCtrlr.LocalAuthorizeOffline": False})
    decision = await world.authorizer.decide(CARD, online=online)
    assert short(decision) == ("rejected", source, "Accepted") and world.authorizer.is_master_pass(decision.info)
    judged = world.authorizer.judge(CARD, POLICE)
    assert judged.verdict == "rejected" and world.authorizer.is_master_pass(judged.info)


@pytest.mark.requirement("C16.FR.04", "C16.FR.05")
@pytest.mark.parametrize("online", [True, False])
@pytest.mark.parametrize("source", ["list", "cache"])
async def test_a_master_pass_stops_what_any_group_started(world: World, source: str, online: bool) -> None:
    world.set({"AuthCtrlr.MasterPassGroupId": "POLICE"})
    await (world.listed if source == "list" else world.cached)(POLICE, card(2))
    stop = await world.authorizer.may_stop(card(2), CARD, group("FAMILY"), online=online)
    assert stop.verdict == "accepted" and world.authorizer.is_master_pass(stop.info)
    judged = world.authorizer.judge_stop(card(2), POLICE, group("FAMILY"))
    assert judged.verdict == "accepted" and world.authorizer.is_master_pass(judged.info)


async def test_a_master_pass_is_valid_and_of_the_group_that_is_set(world: World) -> None:
    master = world.authorizer.is_master_pass
    assert not master(POLICE) and not master(IdTokenInfo("Accepted", group=group("")))
    world.set({"AuthCtrlr.MasterPassGroupId": "POLICE"})
    assert (
        master(POLICE) and not master(replace(POLICE, status="Blocked")) and not master(FAMILY) and not master(None)
    )


# --- the disk ----------------------------------------------------------------------------------------------------


@pytest.mark.requirement("C11.FR.01", "C11.FR.03", "C11.FR.04")
async def test_the_cache_is_cleared_only_where_it_is_enabled(world: World) -> None:
    await world.cached(OK)
    world.set({"AuthCacheCtrlr.Enabled": False})
    assert not await world.authorizer.clear_cache()
    world.set({"AuthCacheCtrlr.Enabled": True})
    assert (await world.says(False))[0] == "accepted"
    assert await world.authorizer.clear_cache()
    assert await world.says(False) == ("rejected", "none", "Unknown")


@pytest.mark.requirement("C11.FR.05", "D01.FR.02")
async def test_a_disk_that_refuses_is_told_and_stops_no_decision(world: World) -> None:
    await world.cached(OK)
    read_only(world.store)
    assert not await world.authorizer.clear_cache()
    assert await world.authorizer.send_list(1, full=True, entries=[(CARD, OK)], size=0) == "Failed"
    await world.cached(OK, card(2))
    assert len(world.failures) == 3 and "readonly" in world.failures[0]
    assert (await world.says(False))[0] == "accepted" == (await world.says(False, card(2)))[0]


async def test_a_list_that_cannot_be_read_makes_no_token_unknown(world: World) -> None:
    world.set({"AuthCtrlr.OfflineTxForUnknownIdEnabled": True})
    await world.listed(BLOCKED)
    await world.cached(FAMILY, card(2))
    lose_table(world.store)
    assert await world.says(False) == ("rejected", "none", "Unknown")
    assert await world.says(True) == ("ask", "none", None)
    assert await world.authorizer.group_of(card(2)) is None
    assert (await world.authorizer.may_stop(card(2), CARD, group("FAMILY"), online=False)).verdict == "rejected"
    assert await world.authorizer.list_version() == 0
    assert len(world.failures) == 5


async def test_without_anyone_to_tell_a_failure_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    store = Store(tmp_path)
    authorizer = Authorizer(Settings().model, Clock(), store)
    read_only(store)
    with caplog.at_level(logging.WARNING):
        await authorizer.answered(CARD, OK)
    assert "readonly" in caplog.text and CARD.id.casefold() not in caplog.text.casefold()
    store.close()


@pytest.mark.requirement("D02.FR.01", "D01.FR.01")
async def test_the_list_has_the_version_it_was_sent_with(world: World) -> None:
    assert await world.authorizer.send_list(41, full=True, entries=[(CARD, OK)], size=100) == "Accepted"
    assert await world.authorizer.list_version() == 41
    assert await world.authorizer.send_list(41, full=False, entries=[], size=10) == "VersionMismatch"
