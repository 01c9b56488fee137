"""YAML as read, with the place of every key and value, so that a mistake can be shown where it stands."""

import difflib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

Place = tuple[str | int, ...]
"""The way to a part of a file: keys and list positions."""

_NOT_THERE = ("missing", "extra_forbidden")
"""Errors about a key that is not in the file, or only in an overlay."""

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True, slots=True)
class Mistake:
    """One mistake: where it stands (from 1), what was found, and what was expected or how to mend it."""

    file: Path
    line: int
    column: int
    found: str
    expected: str
    source: str = ""

    def __str__(self) -> str:
        text = f"{self.file}:{self.line}:{self.column}: {self.found}; {self.expected}"
        if self.source.strip():
            text += f"\n    {self.source}\n    {' ' * (self.column - 1)}^"
        return text


class BoardError(Exception):
    """A board file or device profile with mistakes; all of them, in the order of their lines."""

    def __init__(self, mistakes: Iterable[Mistake]) -> None:
        self.mistakes = sorted(set(mistakes), key=lambda m: (str(m.file), m.line, m.column, m.found))
        super().__init__("\n".join(str(mistake) for mistake in self.mistakes))


class Document:
    """A YAML file: its `data`, and `mistake()` to name a part of it. Raises BoardError where it is no YAML."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.mistakes: list[Mistake] = []
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
            raise BoardError([Mistake(path, 1, 1, f"cannot be read: {reason}", "expected a YAML file")]) from None
        self._lines = text.splitlines()
        self._keys: dict[tuple[str, ...], tuple[int, int]] = {}
        self._values: dict[tuple[str, ...], tuple[int, int]] = {}
        try:
            node = yaml.compose(text, Loader=_LOADER)
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
            found = f"not YAML: {error.problem or error.context}"
            if error.context_mark is not None and error.context_mark.line + 1 != line:
                found += f", {error.context} that begins in line {error.context_mark.line + 1}"
            raise BoardError([self._at(line, column, found, "expected `key: value` lines, indented alike")]) from None
        except yaml.YAMLError as error:
            raise BoardError([self._at(1, 1, f"not YAML: {error}", "expected a text file")]) from None
        self.data: Any = {} if node is None else self._read(node, ())
        if not isinstance(self.data, dict):
            raise BoardError([self._at(1, 1, "no mapping", "expected `key: value` lines")])

    def _at(self, line: int, column: int, found: str, expected: str) -> Mistake:
        source = self._lines[line - 1] if line <= len(self._lines) else ""
        return Mistake(self.path, line, column, found, expected, source)

    def _read(self, node: Any, place: Place) -> Any:
        if len(place) > 20:
            raise BoardError([self._at(*self.position(place), "too deep", "expected no part inside of itself")])
        self._values[_words(place)] = (node.start_mark.line + 1, node.start_mark.column + 1)
        if isinstance(node, yaml.MappingNode):
            result: dict[str, Any] = {}
            for key_node, value_node in node.value:
                mark = (key_node.start_mark.line + 1, key_node.start_mark.column + 1)
                if not isinstance(key_node, yaml.ScalarNode):
                    self.mistakes.append(self._at(*mark, "a mapping or list as a key", "expected a name"))
                    continue
                # Keys are names here: `on`, `yes` or 08 stay the words that were written.
                key = str(key_node.value)
                if key in result:
                    self.mistakes.append(self._at(*mark, f"{key!r} a second time", "give each key once"))
                self._keys[_words((*place, key))] = mark
                result[key] = self._read(value_node, (*place, key))
            return result
        if isinstance(node, yaml.SequenceNode):
            return [self._read(item, (*place, i)) for i, item in enumerate(node.value)]
        return _scalar(node)

    def position(self, place: Place, *, key: bool = False) -> tuple[int, int]:
        """Line and column of the part at `place`, or of the nearest part around it that is written."""
        while place:
            for marks in (self._keys, self._values) if key else (self._values, self._keys):
                if _words(place) in marks:
                    return marks[_words(place)]
            place, key = place[:-1], True
        return 1, 1

    def mistake(self, place: Place, found: str, expected: str, *, key: bool = False) -> Mistake:
        """Note a mistake at `place`."""
        mistake = self._at(*self.position(place, key=key), found, expected)
        self.mistakes.append(mistake)
        return mistake

    def invalid(self, error: ValidationError, known: Callable[[Place], Sequence[str]], prefix: Place = ()) -> None:
        """Note what pydantic found in the part at `prefix`; `known` tells which keys a part may have."""
        errors = self._likeliest(error.errors(), prefix)
        meant = {
            (*place[:-1], close[0])
            for one, place in errors
            if one["type"] == "extra_forbidden"
            and (close := difflib.get_close_matches(str(place[-1]), known(place[:-1]), 1))
        }
        for one, place in errors:
            kind, found = one["type"], one["input"]
            if kind == "missing" and place in meant:
                continue  # it is there, misspelt, and told as such
            if kind == "extra_forbidden":
                name = str(place[-1])
                self.mistake(
                    place, f"unknown key {name!r}", suggest(name, known(place[:-1])) or "remove it", key=True
                )
            elif kind == "union_tag_invalid":
                place = (*place, str(one["ctx"]["discriminator"]).strip("'"))
                tag = str(one["ctx"]["tag"])
                self.mistake(place, f"{place[-1]} {tag!r}", suggest(tag, known(place)))
            elif kind == "union_tag_not_found" and isinstance(found, dict):
                place = (*place, str(one["ctx"]["discriminator"]).strip("'"))
                self._missing(place, known(place))
            elif kind == "missing" and isinstance(found, dict):
                self._missing(place, ())
            elif kind == "missing":
                self.mistake(place[:-1], f"found {len(found)} items", "expected more of them")
            else:
                key = found is None or one["loc"][-1] == "[key]"
                self.mistake(place, f"found {_shown(found)}", _expected(one), key=key)

    def _missing(self, place: Place, choice: Sequence[str]) -> None:
        remedy = f"add `{place[-1]}: …`" + (f", one of {', '.join(choice)}" if choice else "")
        self.mistake(place[:-1], f"{place[-1]!r} is missing", remedy, key=True)

    def _likeliest(self, errors: Iterable[Any], prefix: Place) -> list[tuple[Any, Place]]:
        """Each error with its place. Of a part that may have several shapes, what parts it from the nearest one."""
        shapes: dict[Place, dict[str | int, list[tuple[Any, Place]]]] = {}
        for one in errors:
            place: list[str | int] = []
            shape: tuple[Place, str | int] = ((), "")
            last = len(one["loc"]) - 1
            for i, part in enumerate(one["loc"]):
                if _words((*prefix, *place, part)) in self._values or (i == last and one["type"] in _NOT_THERE):
                    place.append(part)
                elif part != "[key]" and not shape[0]:
                    shape = ((*prefix, *place), part)
            shapes.setdefault(shape[0], {}).setdefault(shape[1], []).append((one, (*prefix, *place)))
        nearest = {place: min(groups.values(), key=len) for place, groups in shapes.items()}
        return [found for group in nearest.values() for found in group]

    def raise_mistakes(self) -> None:
        """Raises BoardError where any mistake was noted."""
        if self.mistakes:
            raise BoardError(self.mistakes)


def _words(place: Place) -> tuple[str, ...]:
    """Ids are numbers in a board, and words in its file."""
    return tuple(map(str, place))


_EXPECTED = {
    "string_type": "expected a text",
    "int_type": "expected a whole number",
    "int_parsing": "expected a whole number",
    "int_from_float": "expected a whole number",
    "float_type": "expected a number",
    "float_parsing": "expected a number",
    "finite_number": "expected a finite number",
    "bool_type": "expected true or false",
    "bool_parsing": "expected true or false",
    "literal_error": "expected one of {expected}",
    "greater_than": "expected more than {gt}",
    "greater_than_equal": "expected at least {ge}",
    "less_than": "expected less than {lt}",
    "less_than_equal": "expected at most {le}",
    "string_too_short": "expected at least {min_length} character",
    "string_too_long": "expected at most {max_length} characters",
    "dict_type": "expected a mapping, `key: value`",
    "model_type": "expected a mapping, `key: value`",
    "model_attributes_type": "expected a mapping, `key: value`",
    "union_tag_not_found": "expected a mapping, `key: value`",
    "tuple_type": "expected a list, [one, another]",
    "too_short": "expected at least {min_length}, not {actual_length} items",
    "too_long": "expected at most {max_length}, not {actual_length} items",
}
"""What pydantic's types of errors say in the words of someone who writes a file."""


def _expected(error: Any) -> str:
    kind, found = error["type"], error["input"]
    if kind == "string_type" and isinstance(found, bool | int | float):
        return f'expected a text: put it in quotes: "{_shown(found)}"'
    if kind in _EXPECTED:
        text = _EXPECTED[kind].format(**error.get("ctx", {}))
        # pydantic lists literals as 'a', 'b' or 'c'
        return text.replace(" or ", ", ") if kind == "literal_error" else text
    message = str(error["msg"]).removeprefix("Value error, ")
    return message if message.startswith("expected") else f"expected otherwise: {message}"


def _shown(found: Any) -> str:
    """A value as its writer knows it."""
    match found:
        case None:
            return "nothing"
        case bool():
            return str(found).lower()
        case dict():
            return "a mapping"
        case list() | tuple():
            return "a list"
        case _:
            return repr(found)


def _scalar(node: Any) -> Any:
    """A plain value. Sexagesimal numbers and words such as `on` stay text: YAML 1.1 would make numbers of them."""
    tag, text = node.tag, node.value
    if tag == "tag:yaml.org,2002:bool":
        return {"true": True, "false": False}.get(text.lower(), text)
    if tag == "tag:yaml.org,2002:int" and ":" not in text:
        try:
            return (
                int(text.replace("_", ""), 0) if not text.lstrip("+-").startswith("0") or "x" in text else int(text)
            )
        except ValueError:
            return text
    if tag == "tag:yaml.org,2002:float" and ":" not in text:
        try:
            return float(text.replace("_", ""))
        except ValueError:
            return text
    if tag == "tag:yaml.org,2002:null":
        return None
    return text


def suggest(name: str, known: Iterable[str]) -> str:
    """A remedy for a `name` that is not among `known`: the likeliest one, or what there is."""
    names = [str(one) for one in known]
    close = difflib.get_close_matches(name, names, n=1)
    if close:
        return f"did you mean {close[0]!r}?"
    return f"expected one of {', '.join(sorted(names)[:12])}" if names else ""
