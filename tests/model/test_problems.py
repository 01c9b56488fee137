"""`Problem`: true while any cause stands, told once per turn."""

from agent.model import Characteristics, Component, DataType, DeviceModel, Problems, Variable

FAN = Component("Fan")


class World:
    """A fan with a `Problem`, a pump without one, and the reports that were made."""

    def __init__(self) -> None:
        self.model = DeviceModel()
        self.problem = self.model.add(Variable(FAN, "Problem", Characteristics(DataType.BOOLEAN)))
        self.model.add(Variable(Component("Pump"), "Active", Characteristics(DataType.BOOLEAN)))
        self.reports: list[tuple[str, object, str, str]] = []
        self.problems = Problems(self.model, self.report)

    def report(self, variable: Variable, cause: str, text: str) -> None:
        self.reports.append((str(variable), variable.actual.value, cause, text))


def test_problem_turns_true_with_the_first_cause_and_false_with_the_last() -> None:
    world = World()
    world.problems.open(FAN, "stale FanSpeed", "not read for 3.1 s")
    world.problems.open(FAN, "target FanSpeed", "250 instead of 500")
    world.problems.close(FAN, "stale FanSpeed")
    assert world.problem.actual.value is True
    world.problems.close(FAN, "target FanSpeed")
    assert world.problem.actual.value is False
    assert world.reports == [
        ("Fan.Problem", True, "stale FanSpeed", "not read for 3.1 s"),
        ("Fan.Problem", False, "target FanSpeed", ""),
    ]


def test_a_cause_that_stands_already_only_gets_its_new_text() -> None:
    world = World()
    world.problems.open(FAN, "write", "no answer")
    world.problems.open(Component("FAN"), "write", "refused")
    assert world.problems.texts(FAN) == {"write": "refused"}
    assert len(world.reports) == 1
    world.problems.close(FAN, "write")
    assert world.problems.texts(FAN) == {}


def test_closing_what_does_not_stand_is_no_turn() -> None:
    world = World()
    world.problems.close(FAN, "write")
    world.problems.open(FAN, "stale", "")
    world.problems.close(FAN, "write")
    assert world.problem.actual.value is True
    assert len(world.reports) == 1


def test_a_problem_may_come_back() -> None:
    world = World()
    for _ in range(2):
        world.problems.open(FAN, "stale", "")
        world.problems.close(FAN, "stale")
    assert [report[1] for report in world.reports] == [True, False, True, False]


def test_a_component_without_a_problem_variable_keeps_its_causes_and_reports_nothing() -> None:
    world = World()
    world.problems.open(Component("Pump"), "stale", "not read")
    assert world.problems.texts(Component("Pump")) == {"stale": "not read"}
    assert world.reports == []


def test_texts_are_a_copy() -> None:
    world = World()
    world.problems.open(FAN, "stale", "")
    world.problems.texts(FAN).clear()
    assert world.problems.texts(FAN) == {"stale": ""}
