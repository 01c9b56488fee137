"""The fan of part 1 §4.3, which most tests of the Device Model turn around."""

from agent.model import Attribute, Characteristics, Component, DataType, Mutability, Variable

FAN = Component("Fan")


def fan_speed(target: float | None = None) -> Variable:
    """FanSpeed with limits 0..1000, MinSet 200, MaxSet 500; everything but the Actual is ReadWrite."""
    return Variable(
        FAN,
        "FanSpeed",
        Characteristics(DataType.DECIMAL, unit="RPM", min_limit=0, max_limit=1000),
        target=Attribute(target, Mutability.READ_WRITE, persistent=True),
        min_set=Attribute(200.0, Mutability.READ_WRITE, persistent=True),
        max_set=Attribute(500.0, Mutability.READ_WRITE, persistent=True),
        max_age=3.0,
    )


def controller_variable(data_type: DataType, values: tuple[str, ...] = (), **limits: float) -> Variable:
    """A variable that the CSMS may write, as controllers have them: Actual only."""
    return Variable(
        Component("SomeCtrlr"),
        "Setting",
        Characteristics(data_type, values=values, **limits),
        Attribute(None, Mutability.READ_WRITE, persistent=True),
    )
