"""Boards: YAML files that hold the whole knowledge about one kind of hardware, read, checked and wired up."""

from agent.board.document import BoardError, Mistake
from agent.board.loading import load, read_overlay, schema
from agent.board.spec import Board, Connector, Evse
from agent.board.wiring import ConnectorWiring, ReadingBinding, TargetBinding, Wiring, wire

__all__ = [
    "Board",
    "BoardError",
    "Connector",
    "ConnectorWiring",
    "Evse",
    "Mistake",
    "ReadingBinding",
    "TargetBinding",
    "Wiring",
    "load",
    "read_overlay",
    "schema",
    "wire",
]
