"""Draws the tables of this room into its README.md: `python -m agent.evse.diagrams [PAGE]`.

Each table of `agent.evse.tables` has its place there between `<!-- diagram NAME -->` and `<!-- end -->`, those of
`agent.evse.session_tables` between `<!-- table NAME -->` and `<!-- end -->`.
"""

import re
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from agent.evse import session_tables, tables
from agent.evse.machine import Row, Table, draw

PAGE = Path(__file__).with_name("README.md")

_PLACE = re.compile(r"(?P<begin><!-- (?P<kind>diagram|table) (?P<name>\w+) -->\n).*?(?P<end><!-- end -->)", re.DOTALL)


def found() -> dict[str, Table]:
    """Every table of `agent.evse.tables`, by its name there."""
    return {
        name: value
        for name, value in vars(tables).items()
        if isinstance(value, tuple) and value and all(isinstance(row, Row) for row in value)
    }


def sessions() -> dict[str, str]:
    """The tables of `agent.evse.session_tables` by their names there, as Markdown."""
    points = [(point.name, ", ".join(point.facts)) for point in session_tables.POINTS]
    states = [
        (state.name or "as before", ", ".join(state.facts) or "else") for state in session_tables.CHARGING_STATES
    ]
    causes = [
        (name, cause.trigger, cause.reason, "always" if cause.ends_transaction else "as TxStopPoint says")
        for name, cause in session_tables.CAUSES.items()
    ]
    return {
        "POINTS": _markdown(("TxStartPoint, TxStopPoint", "holds while"), points),
        "CHARGING_STATES": _markdown(("chargingState", "the first row that fits"), states),
        "CAUSES": _markdown(("what happened", "triggerReason", "stoppedReason", "ends the transaction"), causes),
    }


def _markdown(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = (head, ["---"] * len(head), *rows)
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def filled(page: str) -> str:
    """The page with every table drawn in its place. Raises ValueError where tables and places do not match."""
    drawn = {("diagram", name): f"```mermaid\n{draw(table)}```\n" for name, table in found().items()}
    drawn |= {("table", name): text for name, text in sessions().items()}
    places = [(match["kind"], match["name"]) for match in _PLACE.finditer(page)]
    if sorted(places) != sorted(drawn):
        raise ValueError(f"places for {sorted(places)}, tables {sorted(drawn)}: each table needs one place")
    return _PLACE.sub(lambda at: f"{at['begin']}{drawn[at['kind'], at['name']]}{at['end']}", page)


def main(arguments: list[str]) -> None:
    """Write the page that is named, or this room's."""
    page = Path(arguments[0]) if arguments else PAGE
    page.write_text(filled(page.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
