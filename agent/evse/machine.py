"""State machines as literal tables: rows that are run, checked and drawn, all from the same text.

A table is a tuple of rows. Of the rows for the present state and the event that came, the first whose guard holds
is taken; where there is none, nothing happens. The machine starts in the state of the first row.
"""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Row:
    """In `state`, upon `event`, where `guard` holds: go to `target`, then do `actions` in their order.

    Guards and actions are names of the machine's owner: a guard of an attribute, a property or a method without
    arguments ("" always holds), an action of a method without arguments.
    """

    state: str
    event: str
    guard: str
    actions: tuple[str, ...]
    target: str


Table = Sequence[Row]


class Machine:
    """Runs `table` on behalf of `owner`, from `state` on (the table's first where there is none).

    Raises ValueError for a state that no row knows, and AttributeError for a guard or an action that the owner lacks.
    """

    def __init__(self, table: Table, owner: object, state: str = "") -> None:
        self._owner = owner
        self._rows: dict[tuple[str, str], list[Row]] = {}
        for row in table:
            self._rows.setdefault((row.state, row.event), []).append(row)
            for name in (row.guard, *row.actions):
                if name and not hasattr(owner, name):
                    raise AttributeError(f"{type(owner).__name__} has no {name!r}, as {row} asks")
        self._events = {row.event for row in table}
        self.state = state or table[0].state
        if self.state not in states(table):
            raise ValueError(f"no row knows the state {self.state!r}")

    def fire(self, event: str) -> bool:
        """Take the row that `event` asks for; False where there is none. Raises ValueError for an unknown event.

        The state is the new one when the actions run, so that one of them may fire the next event.
        """
        if event not in self._events:
            raise ValueError(f"no row knows the event {event!r}")
        for row in self._rows.get((self.state, event), ()):
            if not row.guard or self._holds(row.guard):
                self.state = row.target
                for action in row.actions:
                    getattr(self._owner, action)()
                return True
        return False

    def _holds(self, guard: str) -> bool:
        value = getattr(self._owner, guard)
        return bool(value() if callable(value) else value)


def states(table: Table) -> list[str]:
    """Every state of the table, in the order in which it names them."""
    return list(dict.fromkeys(name for row in table for name in (row.state, row.target)))


def faults(table: Table) -> list[str]:
    """What is wrong with a table, in words: rows that can never be taken, states that nothing leads to, bad names."""
    if not table:
        return ["the table is empty"]
    found: list[str] = []
    seen: dict[tuple[str, str], set[str]] = {}
    for row in table:
        guards = seen.setdefault((row.state, row.event), set())
        if "" in guards:
            found.append(f"{_label(row)}: never taken, a row without a guard stands before it")
        elif row.guard in guards:
            found.append(f"{_label(row)}: never taken, a row with the same guard stands before it")
        guards.add(row.guard)
        names = (row.state, row.event, row.target, *row.actions, *([row.guard] if row.guard else []))
        found += [f"{_label(row)}: {name!r} is no plain name" for name in names if not name.isidentifier()]
    return found + [f"{state}: no way leads there" for state in states(table) if state not in _reached(table)]


def _reached(table: Table) -> set[str]:
    reached = {table[0].state}
    while True:
        more = {row.target for row in table if row.state in reached} - reached
        if not more:
            return reached
        reached |= more


def _label(row: Row) -> str:
    guard = f" [{row.guard}]" if row.guard else ""
    return f"{row.state} --{row.event}{guard}--> {row.target}"


def draw(table: Table) -> str:
    """The table as a Mermaid stateDiagram-v2: an arrow per row, `event [guard] / actions` on it."""
    lines = ["stateDiagram-v2", f"    [*] --> {table[0].state}"]
    for row in table:
        guard = f" [{row.guard}]" if row.guard else ""
        actions = f" / {', '.join(row.actions)}" if row.actions else ""
        lines.append(f"    {row.state} --> {row.target}: {row.event}{guard}{actions}")
    return "\n".join(lines) + "\n"
