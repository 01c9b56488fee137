"""Rules of the house: what may lie where, and what every file keeps to."""

import ast
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

TOP = {"README.md", "CHANGELOG.md", "LICENSE", "pyproject.toml", "agent", "boards", "deploy", "drivers", "tests"}
"""What the top level may hold, besides names that begin with a dot."""

LONGEST = 500
TABLES = {"agent/model/catalogue_data.py"}
"""Data in the form of Python, as long as it has to be."""


@cache
def files() -> tuple[str, ...]:
    """Every file of the project, from the root: what git knows or would take."""
    command = ["git", "-c", "safe.directory=*", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True, timeout=60).stdout
    return tuple(name for name in listed.split("\0") if name and (ROOT / name).exists())


def python(*folders: str) -> list[str]:
    return [name for name in files() if name.endswith(".py") and name.partition("/")[0] in folders]


def text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def test_the_top_level_holds_what_the_design_says_and_nothing_else() -> None:
    top = {name.partition("/")[0] for name in files()}
    assert {name for name in top if not name.startswith(".")} == TOP


def test_no_file_names_a_place_on_somebodys_computer() -> None:
    places = [str(ROOT)] + (
        [sys.prefix] if sys.prefix != sys.base_prefix and not sys.prefix.startswith(str(ROOT)) else []
    )
    private = re.compile("|".join([*map(re.escape, places), r"/(home|Users)/\w+"]).encode())
    assert [name for name in files() if private.search((ROOT / name).read_bytes())] == []


def test_no_module_is_longer_than_one_can_keep_in_mind() -> None:
    lengths = {name: text(name).count("\n") for name in python("agent", "drivers") if name not in TABLES}
    assert {name: length for name, length in lengths.items() if length > LONGEST} == {}


@pytest.mark.parametrize("folder", ["agent", "drivers", "tests"])
def test_every_module_says_in_one_sentence_what_it_is_for(folder: str) -> None:
    modules = [name for name in python(folder) if text(name).strip()]
    assert [name for name in modules if not ast.get_docstring(ast.parse(text(name)))] == []


def test_every_public_class_says_what_it_is() -> None:
    without = [
        f"{name}: {part.name}"
        for name in python("agent", "drivers")
        for part in ast.parse(text(name)).body
        if isinstance(part, ast.ClassDef)
        if not part.name.startswith("_") and not ast.get_docstring(part)
    ]
    assert without == []


def test_nothing_is_left_for_later() -> None:
    words = re.compile(
        r"\b(TO"
        + r"DO|FIX"
        + r"ME|XX"
        + r"X)\b|raise NotImplemented"
        + r"Error|pytest\.(mark\.)?(sk"
        + r"ip|xf"
        + r"ail)"
    )
    assert [name for name in python("agent", "drivers", "tests") if words.search(text(name))] == []


def test_every_room_of_the_agent_is_on_its_map() -> None:
    map_ = text("agent/README.md")
    rooms = {name.split("/")[1] for name in python("agent")} - {"__init__.py"}
    assert [room for room in sorted(rooms) if f"`{room}`" not in map_ and f"`{room}/`" not in map_] == []


def test_every_link_of_every_page_leads_somewhere() -> None:
    broken = [
        f"{name}: {link}"
        for name in files()
        if name.endswith(".md")
        for link in re.findall(r"\]\((?!https?:|#)([^)#]+)", text(name))
        if not ((ROOT / name).parent / link).exists()
    ]
    assert broken == []


@pytest.mark.parametrize("mark", ["run", "test"])
def test_the_readme_marks_the_commands_that_continuous_integration_runs(mark: str) -> None:
    part = text("README.md").partition(f"<!-- {mark} -->")[2].partition(f"<!-- /{mark} -->")[0]
    assert part.startswith("\n```sh\npython3 -m venv .venv && .venv/bin/pip install -e ")
    assert f"readme {mark}" in text(".ci/run")


def test_the_script_of_continuous_integration_can_be_executed() -> None:
    assert (ROOT / ".ci/run").stat().st_mode & 0o111
