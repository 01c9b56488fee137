"""What survived a restart goes back into the Device Model, as far as the board of today allows it."""

import logging
from collections.abc import Mapping

from agent.model.device_model import DeviceModel
from agent.model.rules import Refusal, check_value, nearest
from agent.model.values import to_text
from agent.model.variable import AttributeType, Variable

log = logging.getLogger(__name__)


def restore(model: DeviceModel, stored: Mapping[tuple[str, str], str]) -> None:
    """Put what was stored back into the model; what the board no longer allows is left out, and said.

    What it says names a place and never a value, which may be a password.
    """
    places = {str(variable).casefold(): variable for variable in model.variables()}
    found: dict[Variable, dict[AttributeType, str]] = {}
    for (place, stored_kind), text in stored.items():
        variable, kind = places.get(place.casefold()), _KINDS.get(stored_kind)
        attribute = None if variable is None or kind is None else variable.attributes.get(kind)
        if variable is None or kind is None or attribute is None or not attribute.persistent:
            log.warning("%s %s was stored, but this board has none that can be set", place, stored_kind)
        else:
            found.setdefault(variable, {})[kind] = text
    for variable, texts in found.items():
        _restore_limits(variable, texts)
        for kind in (AttributeType.ACTUAL, AttributeType.TARGET):
            if kind in texts:
                _restore_one(variable, kind, texts[kind])
    for variable in model.variables():
        _keep_target(variable)


_SET_LIMITS = (AttributeType.MIN_SET, AttributeType.MAX_SET)
_KINDS = {str(kind): kind for kind in AttributeType}


def _restore_one(variable: Variable, kind: AttributeType, text: str) -> None:
    """One attribute, without regard to MinSet and MaxSet: they are judged together, and a Target moves to them."""
    kept = {one: variable.attributes[one].value for one in _SET_LIMITS if one in variable.attributes}
    for one in kept:
        variable.attributes[one].value = None
    answer = check_value(variable, kind, text)
    for one, value in kept.items():
        variable.attributes[one].value = value
    if isinstance(answer, Refusal):
        # The code alone: its text may quote the value.
        log.warning("%s %s was stored, but no longer holds: %s", variable, kind, answer.code)
    elif kind is AttributeType.ACTUAL:
        variable.update(answer)
    else:
        variable.attributes[kind].value = answer


def _restore_limits(variable: Variable, texts: Mapping[AttributeType, str]) -> None:
    """MinSet and MaxSet together: both as they were stored, or both as the board has them."""
    factory = {kind: variable.attributes[kind].value for kind in _SET_LIMITS if kind in variable.attributes}
    for kind in _SET_LIMITS:
        if kind in texts:
            _restore_one(variable, kind, texts[kind])
    low, high = (variable.value(kind) for kind in _SET_LIMITS)
    if isinstance(low, int | float) and isinstance(high, int | float) and low > high:
        log.warning("%s: the MinSet and MaxSet that were stored no longer fit this board; it keeps its own", variable)
        for kind, value in factory.items():
            variable.attributes[kind].value = value


def _keep_target(variable: Variable) -> None:
    """Move a Target that MinSet or MaxSet leave outside to the nearest allowed value, before hardware sees it."""
    target = variable.value(AttributeType.TARGET)
    if isinstance(target, int | float):
        moved = nearest(variable, target)
        if moved != target:
            log.warning("%s: its Target %s is moved to %s", variable, to_text(target), to_text(moved))
            variable.attributes[AttributeType.TARGET].value = type(target)(moved)
