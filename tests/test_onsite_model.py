"""What a running agent answers to "model" and "events"."""

import asyncio
import json
import re
from datetime import UTC
from pathlib import Path
from typing import Any

import pytest

from agent.cli_watch import EventLines, whole
from agent.model import (
    Attribute,
    AttributeType,
    Component,
    DeviceModel,
    Variable,
)
from agent.onsite import LONGEST_ANSWER, OnsiteError
from agent.onsite_model import CHARACTERS, EVENTS, LONGEST_TEXT, ROWS, ModelView, events_report, model_report
from tests.watch_parts import PLAIN, TEXT, Station, answering


@pytest.fixture
def station() -> Station:
    return Station()


# --- the answer "model" -------------------------------------------------------------------------------------------


def test_a_variable_is_told_with_its_age_and_what_it_may_be_set_to(station: Station) -> None:
    station.speed.update(447.5, 98.75)
    report = model_report(station.model, station.clock, {"match": "fanspeed"})
    assert (report["total"], report["matching"], report["next"]) == (5, 1, None)
    assert report["variables"] == [
        {
            "address": "AirCoolingSystem[left]@1,2.FanSpeed[rear]", "component": "AirCoolingSystem",
            "instance": "left", "evse": 1, "connector": 2, "variable": "FanSpeed", "variable_instance": "rear",
            "value": "447.5", "unit": "RPM", "age": 1.25, "max_age": 10.0, "target": "450", "min_set": "0",
            "max_set": "1000", "secret": False, "problem": None,
        }
    ]  # fmt: skip


def test_no_secret_leaves_the_agent(station: Station) -> None:
    report = model_report(station.model, station.clock, {})
    assert "hunter2" not in json.dumps(report)
    assert {row["variable"]: row["value"] for row in report["variables"] if row["secret"]} == {
        "BasicAuthPassword": None,
        "ApnPassword": None,
    }


def test_a_token_is_told_by_a_pseudonym_and_a_place_without_its_password(station: Station) -> None:
    station.model.add(Variable(Component("TokenReader"), "Token", TEXT, Attribute("04A1B2C3")))
    station.mode.actual.value = "wss://me:hunter2@csms.example.com/"
    station.event(1, variable="Token", value="04A1B2C3", tech_info="wss://me:hunter2@csms.example.com/ is closed")
    told = {row["variable"]: row["value"] for row in station.answers["model"]({})["variables"]}
    (event,) = station.answers["events"]({})["events"]
    assert told["Mode"] == "wss://***@csms.example.com/" and event["tech_info"] == f"{told['Mode']} is closed"
    assert told["Token"] == event["value"] and re.fullmatch(r"#[0-9a-f]{12}", event["value"])


def test_what_is_wrong_with_the_component_is_told_of_each_of_its_variables(station: Station) -> None:
    station.problems.open(station.fan, "silent", "fan: no answer")
    station.problems.open(station.fan, "target", "450 not reached")
    texts = station.problems.texts
    found = {
        row["variable"]: row["problem"] for row in model_report(station.model, station.clock, {}, texts)["variables"]
    }
    assert found["FanSpeed"] == found["Problem"] == "fan: no answer; 450 not reached" and found["Mode"] is None
    assert model_report(station.model, station.clock, {"most": 1})["variables"][0]["problem"] == "Problem"


def test_only_what_changed_since_is_told(station: Station) -> None:
    view = ModelView(station.model, station.clock, station.problems.texts)

    def changed(since: int | None) -> tuple[int, list[str]]:
        report = view.report({} if since is None else {"since": since})
        return report["version"], [row["variable"] for row in report["variables"]]

    version, found = changed(None)
    assert len(found) == 5
    station.speed.update(447.5, 100.0)
    version, found = changed(version)
    assert found == ["FanSpeed"]
    station.speed.update(447.5, 101.0)
    version, found = changed(version)
    assert found == [], "a reading that says the same again is no change"
    station.speed.attributes[AttributeType.TARGET].value = 500.0
    station.mode.actual.value = "night"
    version, found = changed(version)
    assert found == ["FanSpeed", "Mode"]
    station.problems.open(station.fan, "silent", "fan: no answer")
    version, found = changed(version)
    assert found == ["FanSpeed", "Problem"]
    assert changed(version - 1)[1] == ["FanSpeed", "Problem"], "somebody else may look more slowly"


def test_a_version_of_another_start_leaves_nothing_out(station: Station) -> None:
    old = model_report(station.model, station.clock, {})["version"]
    station.clock.seconds += 5
    assert len(model_report(station.model, station.clock, {"since": old})["variables"]) == 5
    later = model_report(station.model, station.clock, {})["version"]
    station.clock.seconds -= 3600
    assert len(model_report(station.model, station.clock, {"since": later})["variables"]) == 5


def test_a_variable_that_is_added_later_is_told(station: Station) -> None:
    view = ModelView(station.model, station.clock, station.problems.texts)
    assert view.report({})["total"] == 5
    station.model.add(Variable(Component("Late"), "One", TEXT, Attribute("x")))
    assert [row["value"] for row in view.report({"match": "late"})["variables"]] == ["x"]


def big(count: int, text: str) -> DeviceModel:
    model = DeviceModel()
    for number in range(count):
        model.add(Variable(Component("Sensor", str(number)), "Value", TEXT, Attribute(text)))
    return model


async def test_ten_thousand_variables_come_in_pages(station: Station, tmp_path: Path) -> None:
    view = ModelView(big(10_000, "7"), station.clock, station.problems.texts)
    pages = list[int]()

    def told(question: Any) -> Any:
        report = view.report(question)
        pages.append(len(report["variables"]))
        return report

    async with answering(tmp_path, {"model": told}):
        report = await asyncio.to_thread(whole, tmp_path, "")
        assert pages == [ROWS] * 10
        assert [row["instance"] for row in report["variables"]] == [str(number) for number in range(10_000)]
        assert len((await asyncio.to_thread(whole, tmp_path, "SENSOR[999"))["variables"]) == 11
        again = await asyncio.to_thread(whole, tmp_path, "", view.report({})["version"])
    assert again["variables"] == []


def test_the_longest_texts_stay_within_an_answer(station: Station) -> None:
    """The worst of JSON: each character takes six bytes."""
    model, start, seen = big(400, "\x01" * 5000), 0, 0
    while True:
        report = model_report(model, station.clock, {"from": start})
        assert len(json.dumps({"ok": report})) < LONGEST_ANSWER and report["variables"]
        assert {len(row["value"]) for row in report["variables"]} == {LONGEST_TEXT}
        seen += len(report["variables"])
        if report["next"] is None:
            break
        assert report["next"] > start
        start = report["next"]
    assert seen == 400 and CHARACTERS // LONGEST_TEXT < 400


@pytest.mark.parametrize(
    ("question", "message"),
    [
        ({"match": 1}, '"match", a part'),
        ({"from": "x"}, '"from", a number'),
        ({"since": True}, '"since", a number'),
        ({"most": 1.5}, '"most", a number'),
    ],
    ids=["match", "from", "since", "most"],
)
def test_a_question_without_a_meaning_is_refused(station: Station, question: dict[str, Any], message: str) -> None:
    with pytest.raises(OnsiteError, match=message):
        station.answers["model"](question)
    if "match" not in question and "from" not in question:
        with pytest.raises(OnsiteError, match=message):
            station.answers["events"](question)


@pytest.mark.parametrize("question", [{"from": 10**30}, {"from": 5}, {"most": 0}, {"most": -3}, {"match": "nowhere"}])
def test_a_place_where_nothing_is_has_no_variables(station: Station, question: dict[str, Any]) -> None:
    assert station.answers["model"](question)["variables"] == []


# --- the answer "events" ------------------------------------------------------------------------------------------


def ids(report: dict[str, Any]) -> list[int]:
    return [one["id"] for one in report["events"]]


def test_the_last_events_and_those_after(station: Station) -> None:
    for number in range(1, 8):
        station.event(number)
    told = station.answers["events"]
    assert ids(told({"most": 3})) == [5, 6, 7] and told({"most": 0})["last"] == 7
    found = told({"since": 5})
    assert (ids(found), found["lost"], found["more"]) == ([6, 7], False, False)
    assert ids(told({"since": 7})) == [] and not told({"since": 7})["lost"]
    found = told({"since": 99})
    assert ids(found) == [1, 2, 3, 4, 5, 6, 7] and found["lost"]


def test_no_events_are_no_loss(station: Station) -> None:
    found = station.answers["events"]({"since": 3})
    assert (found["events"], found["last"], found["lost"], found["more"]) == ([], None, False, False)


def test_an_event_of_a_password_does_not_tell_it(station: Station) -> None:
    station.event(1, variable="ApnPassword[sim]", value="hunter2")
    report = station.answers["events"]({})
    assert report["events"][0]["value"] is None
    assert "(secret)" in EventLines(PLAIN, UTC).lines(report["events"])[1]


def test_many_events_come_in_parts_that_fit(station: Station) -> None:
    events = [station.event(number, tech_info="\x01" * 5000) for number in range(1, 1001)]
    seen, question = list[int](), {"most": 1000}
    while True:
        report = events_report(events, station.clock, question)
        assert len(json.dumps({"ok": report})) < LONGEST_ANSWER and len(report["events"]) <= EVENTS
        seen += ids(report)
        if not report["more"]:
            break
        question = {"since": seen[-1]}
    assert seen == list(range(1, 1001))
