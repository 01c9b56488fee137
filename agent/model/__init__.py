"""The Device Model (part 1 §4): addresses, characteristics, attributes, typed values and the rules for setting them.

Pure: no I/O, no clock, no locks; it knows nobody else in the agent.
"""

from agent.model.address import Component, VariableName, parse_place
from agent.model.device_model import DeviceModel, UnknownComponent, UnknownVariable
from agent.model.problems import Problems
from agent.model.rules import Outcome, Refusal, check, check_value, nearest
from agent.model.values import DataType, Value, format_date_time, parse, parse_date_time, to_text
from agent.model.variable import Attribute, AttributeType, Characteristics, Mutability, Variable

__all__ = [
    "Attribute",
    "AttributeType",
    "Characteristics",
    "Component",
    "DataType",
    "DeviceModel",
    "Mutability",
    "Outcome",
    "Problems",
    "Refusal",
    "UnknownComponent",
    "UnknownVariable",
    "Value",
    "Variable",
    "VariableName",
    "check",
    "check_value",
    "format_date_time",
    "nearest",
    "parse",
    "parse_date_time",
    "parse_place",
    "to_text",
]
