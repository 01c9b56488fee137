"""A table whose values are imported when they are first asked for: what no message needs costs no start-up time."""

from collections.abc import Callable, Iterator, Mapping
from typing import TypeVar

_T = TypeVar("_T")


class OnDemand(Mapping[str, _T]):
    """Actions and what stands for them: `places` says where, `find` gets it from there, once.

    The keys are known without any import.
    """

    def __init__(self, places: Mapping[str, str], find: Callable[[str, str], _T]) -> None:
        self._places = dict(places)
        self._find = find
        self._found: dict[str, _T] = {}

    def __getitem__(self, action: str) -> _T:
        if action not in self._found:
            self._found[action] = self._find(self._places[action], action)
        return self._found[action]

    def __contains__(self, action: object) -> bool:
        return action in self._places

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)
