"""Part 5, Local Authorization List: the list itself (D01, D02), and who may charge by it (C09, C13, C14)."""

import pytest

from tests.certification.parts import CARD, GROUP, OTHER, THIRD, Stand, info, listed, never, token

pytestmark = pytest.mark.asyncio(loop_scope="module")

PRE_AUTHORIZE = {"AuthCtrlr.LocalPreAuthorize": "true"}


async def starts(stand: Stand) -> None:
    """`CARD` starts a charge at the car that is there."""
    await stand.swipe()
    await stand.event(eventType="Started", triggerReason="Authorized", idToken=token())
    await stand.charging()


async def nothing(stand: Stand) -> None:
    """For a while, no transaction and no energy."""
    await never(lambda: stand.events() or stand.state()["contactor"], "it charges", 0.7)


# --- the list -----------------------------------------------------------------------------------------------------


@pytest.mark.requirement("D01.FR.04", "D01.FR.06", "D01.FR.15")
async def test_tc_d_01_full(stand: Stand) -> None:
    assert await stand.send_list([listed(CARD), listed(OTHER)], version=1) == "Accepted"
    assert await stand.list_version() == 1
    assert await stand.get("LocalAuthListCtrlr.Entries") == "2"
    assert await stand.send_list([listed(THIRD)], version=2) == "Accepted"
    assert await stand.list_version() == 2
    assert await stand.get("LocalAuthListCtrlr.Entries") == "1"


@pytest.mark.requirement("D01.FR.16")
async def test_tc_d_02_differential_update(stand: Stand) -> None:
    await stand.set(PRE_AUTHORIZE)
    await stand.send_list([listed(CARD, "Blocked")])
    before = await stand.list_version()
    assert await stand.send_list([listed(CARD), listed(OTHER)], "Differential") == "Accepted"
    assert await stand.list_version() == before + 1
    assert await stand.get("LocalAuthListCtrlr.Entries") == "2"
    await stand.plug()
    await starts(stand)
    assert stand.authorized() == []


@pytest.mark.requirement("D01.FR.17")
async def test_tc_d_03_differential_remove(stand: Stand) -> None:
    await stand.set(PRE_AUTHORIZE)
    await stand.send_list([listed(CARD), listed(OTHER)])
    assert await stand.send_list([listed(CARD, None)], "Differential") == "Accepted"
    assert await stand.get("LocalAuthListCtrlr.Entries") == "1"
    await stand.plug()
    await starts(stand)
    assert stand.authorized() == [CARD]


@pytest.mark.requirement("D01.FR.04")
async def test_tc_d_04_full_with_empty_list(stand: Stand) -> None:
    await stand.send_list([listed(CARD)])
    assert await stand.send_list([]) == "Accepted"
    assert await stand.get("LocalAuthListCtrlr.Entries") == "0"


@pytest.mark.requirement("D01.FR.05")
async def test_tc_d_05_differential_with_empty_list(stand: Stand) -> None:
    await stand.send_list([listed(CARD)])
    before = await stand.list_version()
    assert await stand.send_list([], "Differential") == "Accepted"
    assert await stand.list_version() == before + 1
    assert await stand.get("LocalAuthListCtrlr.Entries") == "1"


@pytest.mark.requirement("D01.FR.18", "D01.FR.19")
async def test_tc_d_06_version_mismatch(stand: Stand) -> None:
    await stand.send_list([listed(CARD)])
    before = await stand.list_version()
    assert await stand.send_list([listed(OTHER)], "Differential", version=before) == "VersionMismatch"
    assert await stand.list_version() == before
    assert await stand.get("LocalAuthListCtrlr.Entries") == "1"


async def test_tc_d_07_persistent_over_reboot(stand: Stand) -> None:
    await stand.set(PRE_AUTHORIZE)
    await stand.send_list([listed(CARD)])
    before = await stand.list_version()
    await stand.boot("Reset")
    assert await stand.list_version() == before
    await stand.plug()
    await starts(stand)
    assert stand.authorized() == []


@pytest.mark.requirement("D02.FR.01")
async def test_tc_d_08_get_local_list_version(stand: Stand) -> None:
    number = await stand.list_version() + 10
    await stand.send_list([listed(CARD)], version=number)
    assert await stand.call("GetLocalListVersion", {}) == {"versionNumber": number}


@pytest.mark.requirement("D01.FR.13", "D02.FR.02")
async def test_tc_d_10_function_disabled(stand: Stand) -> None:
    await stand.set({"LocalAuthListCtrlr.Enabled": "false"})
    assert await stand.send_list([listed(CARD)], version=1) == "Failed"
    assert await stand.list_version() == 0


# --- offline ------------------------------------------------------------------------------------------------------


@pytest.mark.requirement("C13.FR.02", "C13.FR.03", "C13.FR.05")
async def test_tc_c_21_offline_list_accepted(stand: Stand) -> None:
    await stand.send_list([listed(CARD)])
    async with stand.offline():
        await stand.plug()
        await stand.swipe()
        await stand.charging()
    first = await stand.event(eventType="Started", idToken=token())
    assert first["offline"] is True
    assert stand.authorized() == []


async def refused_offline(stand: Stand, status: str) -> None:
    await stand.set({"AuthCtrlr.OfflineTxForUnknownIdEnabled": "true"})
    await stand.send_list([listed(CARD, status)])
    async with stand.offline():
        await stand.plug()
        await stand.swipe()
        await nothing(stand)


@pytest.mark.requirement("C13.FR.06")
async def test_tc_c_22_offline_list_invalid(stand: Stand) -> None:
    await refused_offline(stand, "Invalid")


@pytest.mark.requirement("C13.FR.06")
async def test_tc_c_23_offline_list_blocked(stand: Stand) -> None:
    await refused_offline(stand, "Blocked")


@pytest.mark.requirement("C13.FR.06")
async def test_tc_c_24_offline_list_expired(stand: Stand) -> None:
    await refused_offline(stand, "Expired")


@pytest.mark.requirement("C13.FR.01")
async def test_tc_c_25_offline_list_before_cache(stand: Stand) -> None:
    await stand.remember(CARD)
    await refused_offline(stand, "Blocked")


# --- online -------------------------------------------------------------------------------------------------------


@pytest.mark.requirement("C14.FR.02", "C14.FR.04")
async def test_tc_c_27_online_list_accepted(stand: Stand) -> None:
    await stand.set(PRE_AUTHORIZE)
    await stand.send_list([listed(CARD)])
    await stand.plug()
    await starts(stand)
    assert stand.authorized() == []


async def listed_and_refused(stand: Stand, status: str) -> None:
    await stand.set(PRE_AUTHORIZE)
    await stand.send_list([listed(CARD, status)])
    stand.known[CARD] = info(status)
    await stand.plug()
    await stand.swipe()
    await stand.asked()
    await nothing(stand)


@pytest.mark.requirement("C14.FR.03")
async def test_tc_c_28_online_list_invalid_and_not_accepted(stand: Stand) -> None:
    await listed_and_refused(stand, "Invalid")


@pytest.mark.requirement("C14.FR.03")
async def test_tc_c_29_online_list_blocked(stand: Stand) -> None:
    await listed_and_refused(stand, "Blocked")


@pytest.mark.requirement("C14.FR.03")
async def test_tc_c_30_online_list_expired(stand: Stand) -> None:
    await listed_and_refused(stand, "Expired")


@pytest.mark.requirement("C14.FR.03")
async def test_tc_c_31_online_list_invalid_and_accepted(stand: Stand) -> None:
    await stand.set(PRE_AUTHORIZE)
    await stand.send_list([listed(CARD, "Invalid")])
    await stand.plug()
    await starts(stand)
    assert stand.authorized() == [CARD]


async def test_tc_c_58_list_disable_post_authorize(stand: Stand) -> None:
    await stand.set({**PRE_AUTHORIZE, "LocalAuthListCtrlr.DisablePostAuthorize": "true"})
    await stand.send_list([listed(CARD, "Invalid")])
    await stand.plug()
    await stand.swipe()
    await nothing(stand)
    assert stand.authorized() == []


# --- groups -------------------------------------------------------------------------------------------------------


@pytest.mark.requirement("C09.FR.07")
async def test_tc_c_40_group_id_success_with_list(stand: Stand) -> None:
    await stand.send_list([listed(CARD, group=GROUP), listed(OTHER, group=GROUP)])
    stand.known |= {CARD: info(group=GROUP), OTHER: info(group=GROUP)}
    number = await stand.charge()
    asked = stand.authorized()
    await stand.swipe(OTHER)
    await stand.ended(number, triggerReason="StopAuthorized", idToken=token(OTHER))
    assert stand.authorized() == asked


@pytest.mark.requirement("C09.FR.11")
async def test_tc_c_43_group_id_invalid_status_with_list(stand: Stand) -> None:
    await stand.send_list([listed(CARD, group=GROUP), listed(OTHER, "Invalid", GROUP)])
    stand.known |= {CARD: info(group=GROUP), OTHER: info("Invalid", GROUP)}
    await stand.charge()
    await stand.swipe(OTHER)
    await never(lambda: not stand.state()["contactor"], "it stops")
    assert not stand.events(triggerReason="StopAuthorized")
