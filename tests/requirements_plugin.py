"""A pytest plugin: which test shows which OCPP requirement, written to tests/REQUIREMENTS.md.

Tests say so themselves, with `@pytest.mark.requirement("B05.FR.08", ...)`. `pytest --requirements-write` collects all
tests, writes the page and stops; the suite itself fails where the page is not current (tests/test_requirements.py).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.requirements_ids import IDS, REASONS, TITLES

HERE = Path(__file__).parent
PAGE = HERE / "REQUIREMENTS.md"

HEAD = """\
# Requirements and the tests that show them

Written by `pytest --requirements-write`; the suite fails where this page is not current.
Ids are those of OCPP 2.0.1 part 2 (edition 2, with the errata of 2025-09).
"""


@dataclass(frozen=True)
class Collected:
    """What was collected: `shown` maps requirement ids to test names; `missing` are test files that were not."""

    shown: Mapping[str, tuple[str, ...]]
    missing: tuple[str, ...]

    @property
    def unanswered(self) -> list[str]:
        """Listed requirements with neither test nor reason."""
        return [one for ids in IDS.values() for one in ids if one not in self.shown and one not in REASONS]

    @property
    def unheard_of(self) -> list[str]:
        """Ids on tests that part 2 does not have, of the use cases that are listed: slips of the pen."""
        listed = {one for ids in IDS.values() for one in ids}
        return sorted(one for one in self.shown if one.partition(".")[0] in IDS and one not in listed)


COLLECTED = pytest.StashKey[Collected]()


def collected(items: Iterable[pytest.Item], root: Path) -> Collected:
    """Read the marks of `items`; parametrized tests count once, under their bare name."""
    shown: dict[str, set[str]] = {}
    files: set[Path] = set()
    for item in items:
        files.add(item.path)
        name = item.nodeid.partition("[")[0]
        for mark in item.iter_markers("requirement"):
            for one in mark.args:
                shown.setdefault(one, set()).add(name)
    missing = sorted(str(path.relative_to(root)) for path in set(HERE.rglob("test_*.py")) - files)
    return Collected({one: tuple(sorted(names)) for one, names in sorted(shown.items())}, tuple(missing))


def page(found: Collected) -> str:
    """The text of tests/REQUIREMENTS.md."""
    parts = [HEAD]
    for use_case, ids in IDS.items():
        rows = [f"| {one} | {_answer(one, found)} |" for one in ids]
        parts.append(
            "\n".join([f"## {use_case} {TITLES[use_case]}", "", "| id | tests |", "| --- | --- |", *rows, ""])
        )
    others = [one for one in found.shown if one.partition(".")[0] not in IDS]
    if others:
        rows = [f"| {one} | {_answer(one, found)} |" for one in others]
        parts.append("\n".join(["## Of other use cases", "", "| id | tests |", "| --- | --- |", *rows, ""]))
    return "\n".join(parts)


def _answer(one: str, found: Collected) -> str:
    if one in found.shown:
        return "<br>".join(f"`{name.removeprefix('tests/')}`" for name in found.shown[one])
    return f"no test: {REASONS[one]}" if one in REASONS else "**no test**"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--requirements-write", action="store_true", help="write tests/REQUIREMENTS.md and stop")


@pytest.hookimpl(tryfirst=True)  # before -k, -m and --deselect take tests away
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    found = config.stash[COLLECTED] = collected(items, config.rootpath)
    if not config.getoption("--requirements-write"):
        return
    if found.missing:
        pytest.exit(f"{PAGE.name} was not written: no test was collected from {', '.join(found.missing)}", 1)
    PAGE.write_text(page(found), encoding="utf-8")
    without = f"; neither test nor reason: {', '.join(found.unanswered)}" if found.unanswered else ""
    pytest.exit(f"{PAGE.name} was written, {len(found.shown)} requirements are shown by tests{without}", 0)


@pytest.fixture(scope="session")
def requirements(pytestconfig: pytest.Config) -> Collected:
    """Which requirements the collected tests show."""
    return pytestconfig.stash[COLLECTED]
