"""What a Modbus device profile may say: pydantic models, no I/O."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from drivers.settings_base import PositiveDuration, Strict

RegisterType = Literal["int16", "uint16", "int32", "uint32", "int64", "uint64", "float32", "float64", "bit", "string"]

INTEGERS = ("int16", "uint16", "int32", "uint32", "int64", "uint64")


def _raw(key: Any) -> Any:
    if isinstance(key, str) and key.isascii() and key.isprintable() and not key.lstrip("-").isdigit():
        return int.from_bytes(key.encode("ascii"), "big")
    return key


RawValue = Annotated[int, BeforeValidator(_raw)]
"""What registers hold: a number, or the characters in them, such as A1 for 16689."""


class ModbusPoint(Strict):
    """One point of a Modbus device: where its registers are and what they mean.

    value = raw × scale (× 10^register at `scale_at`, SunSpec) + offset, in `unit`.
    """

    at: int = Field(ge=0, le=65535)
    """Address on the wire, from 0."""
    type: RegisterType
    table: Literal["input", "holding", "coil", "discrete"] | None = None
    word_order: Literal["big", "little"] | None = None
    length: int | None = Field(default=None, ge=1, le=1000)
    """Registers of a string."""
    coding: Literal["ascii", "der"] = "ascii"
    """What a string's registers hold: characters, or an ASN.1 structure such as a public key, which tells its own
    length; its text is then hexadecimal digits."""
    bit: int | None = Field(default=None, ge=0, le=15)
    """The bit of a register that a `bit` point in a register table is."""
    scale: float = 1.0
    offset: float = 0.0
    scale_at: int | None = Field(default=None, ge=0, le=65535)
    """Address of a register that holds the power of ten (SunSpec sunssf)."""
    unit: str = ""
    na: tuple[int, ...] = ()
    """Raw values that mean "not available"."""
    names: dict[RawValue, str] | None = None
    """What the raw values of a whole number mean, such as {1: A, 2: B} or {A1: A, A2: A}: the point is then a text.
    A raw value that is not named is a BAD reading."""
    access: Literal["r", "w", "rw"] = "r"
    write: Literal["single", "multiple"] | None = None
    """Function code for writes: 5/6 or 15/16; by default single where one register is enough."""
    round: Literal["nearest", "down"] = "nearest"
    """What becomes of a written value between two numbers of the register; down for what is a limit."""
    poll: PositiveDuration | None = None

    @model_validator(mode="after")
    def _consistent(self) -> "ModbusPoint":
        if (self.type == "string") != (self.length is not None):
            raise ValueError("length is needed with type: string, and only there")
        if self.coding != "ascii" and (self.type != "string" or "w" in self.access):
            raise ValueError("coding is only for a string that is read")
        if self.bit is not None and self.type != "bit":
            raise ValueError("bit is only for type: bit")
        if self.scale == 0:
            raise ValueError("a scale of 0 loses the value")
        if self.scale_at is not None and self.type not in INTEGERS:
            raise ValueError("scale_at is only for whole numbers")
        if self.names is not None:
            self._check_names(self.names)
        return self

    def _check_names(self, names: dict[int, str]) -> None:
        if self.type not in INTEGERS or self.scale != 1.0 or self.offset != 0.0 or self.scale_at is not None:
            raise ValueError("names are only for whole numbers without scale and offset")
        if "w" in self.access:
            raise ValueError("a point with names cannot be written")
        bits = int(self.type.removeprefix("u").removeprefix("int"))
        low, high = (0, 2**bits - 1) if self.type.startswith("u") else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
        for number in names:
            if not low <= number <= high:
                raise ValueError(f"names: {number} does not fit into {self.type}")


class ModbusIdentity(Strict):
    """Registers that tell that the right device is connected; `board probe` reads them."""

    at: int = Field(ge=0, le=65535)
    type: RegisterType
    table: Literal["input", "holding"] = "holding"
    length: int | None = Field(default=None, ge=1, le=60)
    equals: tuple[int | str, ...]


class Alive(Strict):
    """A sign of life that a controller expects: `point` is written each `every`, with `value`, or with each of
    several values in turn; without `value`, what was last written to it is written again, once there is something.
    It stops with the agent, and the controller falls back by itself."""

    point: str
    every: PositiveDuration
    value: float | Annotated[tuple[float, ...], Field(min_length=1)] | None = None


class Snapshot(Strict):
    """Values that the device puts aside together when it is told to, and that hold still until the next time: what a
    meter signed, and the register that it signed.

    `trigger` is written to the first of `states`. Then each of them must come to hold one of `valid`; while it holds
    one of `pending` it is read again, up to `within`. `points` are read after that, and at no other time.
    """

    states: tuple[str, ...] = Field(min_length=1)
    trigger: int
    pending: tuple[int, ...]
    valid: tuple[int, ...] = Field(min_length=1)
    every: PositiveDuration
    within: PositiveDuration
    points: tuple[str, ...] = Field(min_length=1)


class ModbusProfile(Strict):
    """The register map of a Modbus device, as its maker publishes it."""

    schema_version: Literal[1] = Field(alias="schema")
    kind: Literal["modbus"]
    vendor: str
    model: str
    source: str
    """The document the map was taken from."""
    table: Literal["input", "holding", "coil", "discrete"] = "holding"
    word_order: Literal["big", "little"] = "big"
    max_block: int = Field(default=60, ge=1, le=125)
    """Registers that one request may ask for."""
    max_gap: int = Field(default=8, ge=0, le=124)
    """Unused registers that one request may read over, to save another request."""
    poll: PositiveDuration = 1.0
    identity: ModbusIdentity | None = None
    arm: dict[str, float] = {}
    """Points that get these values each time the device is reached (again), in this order and before anything else
    is written: its communication watchdog and what it falls back to. One that can be read is written only when it
    holds something else, for the sake of memory that wears."""
    alive: Alive | None = None
    snapshot: Snapshot | None = None
    points: dict[str, ModbusPoint]

    @model_validator(mode="after")
    def _points_fit_their_tables(self) -> "ModbusProfile":
        for name, point in self.points.items():
            table = point.table or self.table
            coil = table in ("coil", "discrete")
            if coil != (point.type == "bit" and point.bit is None):
                raise ValueError(
                    f"{name}: coils and discrete inputs are of type bit without bit:, a bit of a register needs bit:"
                )
            if "w" in point.access and table in ("input", "discrete"):
                raise ValueError(f"{name}: table {table} cannot be written")
        for where, names in (("arm", tuple(self.arm)), ("alive", (self.alive.point,) if self.alive else ())):
            for name in names:
                if name not in self.points or "w" not in self.points[name].access:
                    raise ValueError(f"{where}: {name} is no point that can be written")
        return self

    @model_validator(mode="after")
    def _snapshot_has_its_points(self) -> "ModbusProfile":
        if self.snapshot is None:
            return self
        states, points = self.snapshot.states, self.snapshot.points
        for name in (*states, *points):
            if name not in self.points or "r" not in self.points[name].access:
                raise ValueError(f"snapshot: {name} is no point that can be read")
        for name in states:
            if self.points[name].type not in INTEGERS or self.points[name].names is not None:
                raise ValueError(f"snapshot: {name} is no whole number")
        if "w" not in self.points[states[0]].access:
            raise ValueError(f"snapshot: {states[0]} is no point that can be written")
        if set(states) & set(points):
            raise ValueError("snapshot: a state is none of the points")
        return self
