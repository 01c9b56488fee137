"""The rules that an intention must pass before anything moves: one table, in the order in which they are asked.

Only intentions come here (SetVariables, board defaults, `--set`). A measured Actual never does.
"""

from collections.abc import Callable
from dataclasses import dataclass

from agent.model.values import BadFormat, DataType, Value, members, parse, to_text
from agent.model.variable import Attribute, AttributeType, Mutability, Variable


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a value is not taken: `code` from part 2's appendix "Standardized reason codes", `info` for an engineer."""

    code: str
    info: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of an intention: `status` is one of SetVariableStatusEnumType, `code` and `info` say why."""

    status: str
    code: str = ""
    info: str = ""


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked of each rule: may `value`, sent as `text`, become the attribute `kind` of `variable`?"""

    variable: Variable
    kind: AttributeType
    attribute: Attribute
    text: str
    value: Value


def _number(value: Value | None) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _between(question: Question, low: float | None, high: float | None, names: tuple[str, str]) -> Refusal | None:
    number = _number(question.value)
    if number is None:
        return None
    if low is not None and number < low:
        return Refusal("ValueTooLow", f"{question.text} is below {names[0]} {to_text(float(low))}")
    if high is not None and number > high:
        return Refusal("ValueTooHigh", f"{question.text} is above {names[1]} {to_text(float(high))}")
    return None


def _limits(question: Question) -> Refusal | None:
    """minLimit..maxLimit (B05.FR.08); of a text or list, maxLimit is the length (part 2 §2.51)."""
    characteristics = question.variable.characteristics
    if characteristics.data_type.is_number:
        return _between(question, characteristics.min_limit, characteristics.max_limit, ("minLimit", "maxLimit"))
    limit = characteristics.max_limit
    if limit is not None and len(question.text) > limit and characteristics.data_type.is_text:
        return Refusal("TooLargeElement", f"{len(question.text)} characters, maxLimit is {int(limit)}")
    return None


def _set_limits(question: Question) -> Refusal | None:
    """MinSet..MaxSet bound a Target (part 1 §4.3), and each other."""
    variable = question.variable
    low = _number(variable.value(AttributeType.MIN_SET))
    high = _number(variable.value(AttributeType.MAX_SET))
    match question.kind:
        case AttributeType.TARGET:
            return _between(question, low, high, ("MinSet", "MaxSet"))
        case AttributeType.MIN_SET:
            return _between(question, None, high, ("MinSet", "MaxSet"))
        case AttributeType.MAX_SET:
            return _between(question, low, None, ("MinSet", "MaxSet"))
        case AttributeType.ACTUAL:
            return None


def _values_list(question: Question) -> Refusal | None:
    """Lists take their items from valuesList (part 2 §2.51)."""
    characteristics = question.variable.characteristics
    if not characteristics.values or not characteristics.data_type.is_list:
        return None
    single = characteristics.data_type is DataType.OPTION_LIST
    items = [question.text] if single else members(question.text)
    unknown = [item for item in items if item not in characteristics.values]
    if unknown:
        return Refusal("InvalidValue", f"{unknown[0]!r} is not one of {','.join(characteristics.values)}"[:500])
    return None


RULES: tuple[Callable[[Question], Refusal | None], ...] = (_limits, _set_limits, _values_list)
"""What is asked after mutability and format; the first refusal stands."""


def check(variable: Variable, kind: AttributeType, text: str) -> Value | Refusal:
    """The value that `text` would give the attribute `kind`, or why it may not have it.

    Raises KeyError where the variable has no such attribute (B05.FR.06 is the caller's to answer).
    """
    attribute = variable.attributes[kind]
    if attribute.mutability is Mutability.READ_ONLY or attribute.constant:
        return Refusal("ReadOnly", f"{variable} {kind} is read-only")
    return check_value(variable, kind, text)


def check_value(variable: Variable, kind: AttributeType, text: str) -> Value | Refusal:
    """`check` without the question of mutability: for the board's and the factory's own settings."""
    try:
        value = parse(text, variable.characteristics.data_type)
    except BadFormat as problem:
        return Refusal("InvalidValue", str(problem))
    question = Question(variable, kind, variable.attributes[kind], text, value)
    for rule in RULES:
        refusal = rule(question)
        if refusal is not None:
            return refusal
    return value


def nearest(variable: Variable, value: float) -> float:
    """The allowed Target nearest to `value`, for when MinSet or MaxSet have moved past it."""
    low = _number(variable.value(AttributeType.MIN_SET))
    high = _number(variable.value(AttributeType.MAX_SET))
    if low is not None and value < low:
        return low
    if high is not None and value > high:
        return high
    return value
