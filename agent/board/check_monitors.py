"""The checks of `monitors`: the variable must be there, and such a monitor must fit on it."""

from agent.board.document import Document, Place, suggest
from agent.board.monitors_spec import MonitorSpec
from agent.board.spec import Board
from agent.board.wiring import wire
from agent.model import DeviceModel
from agent.monitoring.matrix import fits, refusal


def check_monitors(document: Document, board: Board) -> None:
    """Note every mistake in `document`, of a board that has no other one.

    A component that the board does not have may be the agent's or the computer's own: that is a note, as no board
    file can know what the computer has.
    """
    model = wire(board).model
    ids: dict[int, int] = {}
    slots: dict[object, int] = {}
    bands: dict[object, float] = {}
    for number, spec in enumerate(board.monitors):
        place: Place = ("monitors", number)
        monitor = spec.monitor()
        if spec.id in ids:
            document.mistake((*place, "id"), f"id {spec.id} a second time", "give each monitor an id of its own")
        ids[spec.id] = number
        where = (monitor.component.key, monitor.variable.key)
        slot = (*where, monitor.type, monitor.severity)
        if slot in slots:
            found = f"a second {spec.type} of severity {spec.severity} on {spec.variable}"
            document.mistake(place, found, "give it another severity (N04.FR.10)", key=True)
        slots[slot] = number
        if spec.hysteresis is not None:
            if not monitor.type.is_threshold:
                document.mistake((*place, "hysteresis"), f"a {spec.type} with a hysteresis", "leave it out", key=True)
            elif bands.setdefault(where, spec.hysteresis) != spec.hysteresis:
                expected = f"expected {bands[where]:g} as with the other monitor there"
                document.mistake((*place, "hysteresis"), f"found {spec.hysteresis:g}", expected)
        _fit(document, place, spec, model, board.notes)


def _fit(document: Document, place: Place, spec: MonitorSpec, model: DeviceModel, notes: list[str]) -> None:
    monitor = spec.monitor()
    variable = model.get(monitor.component, monitor.variable)
    if variable is None:
        if monitor.component not in model.components():
            notes.append(f"monitor {spec.id}: {monitor.component} is no component of this board")
            return
        names = [str(one.name) for one in model.variables(monitor.component)]
        found = f"{monitor.component} has no {monitor.variable}"
        document.mistake((*place, "variable"), found, suggest(str(monitor.variable), names))
    elif not fits(monitor.type, variable):
        kind = variable.characteristics.data_type
        found = f"no {spec.type} can be on {variable}, a {kind}"
        if not variable.characteristics.supports_monitoring:
            found = f"{variable} is constant, or is not to be monitored"
        document.mistake(
            (*place, "type"), found, "expected what part 1 §4.4 allows, such as Delta on a measured value"
        )
    else:
        refused = refusal(monitor.type, monitor.value, monitor.severity, variable.characteristics)
        if refused is not None:
            document.mistake(
                (*place, "value"),
                f"found {spec.value:g}",
                refused.info or "",
                key="value" not in spec.model_fields_set,
            )
