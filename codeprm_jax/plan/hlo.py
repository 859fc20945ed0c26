"""Reading a compiled program (HLO text): a tree of computations, instructions and shapes.

Only what `codeprm_jax.plan.work` needs. The text is XLA's own (`HloModule::ToString`), one
instruction a line: `%name = shape opcode(%operand, ...), attribute=value, ...`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

_BITS = {"pred": 8, "s4": 4, "u4": 4, "token": 0, "opaque": 0, "tuple": 0}
_HEADER = re.compile(r"^(ENTRY )?%?([\w.\-]+) \(.*\{$")
_INSTRUCTION = re.compile(r"^\s+(ROOT )?%?([\w.\-]+) = ")
_OPCODE = re.compile(r"\s*([\w\-]+)\(")
_LEAF = re.compile(r"(\w+)\[([\d,<=]*)\](\{[^}]*\})?")
_CALLED = re.compile(
    r"(?:calls|body|condition|to_apply|true_computation|false_computation)=%?([\w.\-]+)"
)
_BRANCHES = re.compile(r"branch_computations=\{([^}]*)\}")


class HloError(ValueError):
    """The text has a form that is not understood; the message quotes it."""


@dataclass(frozen=True)
class Array:
    """One array of a shape: its element type, dimensions, and whether it is in HBM.

    Arrays that the compiler placed in on-chip memory (`S(1)` and up in the layout) are not.
    """

    dtype: str
    dims: tuple[int, ...]
    in_hbm: bool

    @property
    def bytes(self) -> int:
        """Bytes of the elements, without the padding of tiles."""
        bits = _BITS.get(self.dtype)
        if bits is None:
            digits = re.search(r"\d+", self.dtype)
            if digits is None:
                raise HloError(f"element type {self.dtype!r} is unknown")
            bits = int(digits[0])  # f32, bf16, s8, f8e4m3fn
            bits *= 2 if self.dtype.startswith("c") else 1
        return math.prod(self.dims) * bits // 8


@dataclass(frozen=True)
class Instruction:
    """One line of a computation.

    Attributes:
      arrays: the leaves of its result.
      operands: names of instructions of the same computation.
      attributes: the rest of the line, uninterpreted.
    """

    name: str
    opcode: str
    arrays: tuple[Array, ...]
    operands: tuple[str, ...]
    attributes: str

    @property
    def bytes(self) -> int:
        """Bytes of all leaves."""
        return sum(a.bytes for a in self.arrays)

    @property
    def hbm_bytes(self) -> int:
        """Bytes of the leaves that are in HBM."""
        return sum(a.bytes for a in self.arrays if a.in_hbm)

    @cached_property
    def called(self) -> tuple[str, ...]:
        """Names of the computations that it runs."""
        names = _CALLED.findall(self.attributes)
        for branches in _BRANCHES.findall(self.attributes):
            names += [b.strip().lstrip("%") for b in branches.split(",")]
        return tuple(names)

    def called_as(self, attribute: str) -> str:
        """The name of the computation that `attribute` gives. Raises HloError where it is none."""
        found = re.search(rf"\b{attribute}=%?([\w.\-]+)", self.attributes)
        if found is None:
            raise HloError(f"%{self.name} ({self.opcode}) has no {attribute}")
        return found[1]


@dataclass
class Computation:
    """A list of instructions. The last is the root where none is marked."""

    name: str
    instructions: dict[str, Instruction] = field(default_factory=dict)
    root_name: str = ""

    @property
    def root(self) -> Instruction:
        """The instruction whose value the computation returns."""
        return self.instructions[self.root_name]

    @cached_property
    def parameters(self) -> dict[int, Instruction]:
        """Parameters by number."""
        return {
            int(i.attributes.split(")", 1)[0]): i
            for i in self.instructions.values()
            if i.opcode == "parameter"
        }

    @cached_property
    def users(self) -> dict[str, list[tuple[Instruction, int]]]:
        """Instruction name -> the instructions that read it, with the operand's number."""
        found: dict[str, list[tuple[Instruction, int]]] = {}
        for instruction in self.instructions.values():
            for number, operand in enumerate(instruction.operands):
                found.setdefault(operand, []).append((instruction, number))
        return found


@dataclass(frozen=True)
class Module:
    """A program: computations by name."""

    computations: dict[str, Computation]
    entry: Computation


def parse(text: str) -> Module:
    """The module of an HLO text. Raises HloError where there is no entry computation."""
    computations: dict[str, Computation] = {}
    entry = current = None
    for line in text.splitlines():
        if header := _HEADER.match(line):
            current = computations[header[2]] = Computation(header[2])
            entry = current if header[1] else entry
        elif line == "}":  # a string attribute of several lines may start one with "}" too
            current = None
        elif current is not None and (match := _INSTRUCTION.match(line)):
            instruction = _instruction(match[2], line[match.end() :])
            current.instructions[match[2]] = instruction
            if match[1] or not current.root_name:
                current.root_name = match[2]
    if entry is None:
        raise HloError("no ENTRY computation: this is no HLO text")
    return Module(computations, entry)


def trip_count(module: Module, loop: Instruction) -> int:
    """How often the body of a `while` runs.

    From XLA's annotation, or else from the condition, which compares a counter that starts at zero
    with a constant, and from the body, which adds a constant to it: 1, or 2 where the compiler
    unrolled a loop by two. Raises HloError where it has another form.
    """
    if known := re.search(r'"?known_trip_count"?:\s*\{\s*"?n"?:\s*"?(\d+)', loop.attributes):
        return int(known[1])
    constants, counters = set(), set()
    pending = [loop.called_as("condition")]
    while pending:
        computation = module.computations[pending.pop()]
        for instruction in computation.instructions.values():
            pending += instruction.called
            if instruction.opcode == "constant" and instruction.arrays[0].dtype in ("s32", "u32"):
                constants.add(_constant(instruction))
            elif instruction.opcode == "get-tuple-element":
                counters.add(_index(instruction))
    if len(constants) != 1 or len(counters) != 1:
        raise HloError(f"%{loop.name}: the trip count of this loop is not found")
    step = _step(module.computations[loop.called_as("body")], counters.pop())
    return -(-constants.pop() // step)


def replica_group(instruction: Instruction, num_devices: int) -> tuple[int, ...]:
    """The first group of devices that take part in a collective, by their place in the mesh.

    Understands the list form, the iota form `[2,4]<=[8]T(0)`, the mesh form `mesh['a'=2] {'a'}`,
    and the pairs of a collective-permute (whose first pair is returned).
    """
    text = instruction.attributes
    if pairs := re.search(r"source_target_pairs=\{\{(\d+),(\d+)\}", text):
        return int(pairs[1]), int(pairs[2])
    if named := re.search(r"replica_groups=mesh\[([^\]]*)\][^{]*\{([^}]*)\}", text):
        sizes = {n: int(s) for n, s in re.findall(r"'([^']+)'=(\d+)", named[1])}
        return _mesh_group(sizes, re.findall(r"'([^']+)'(?::\((\d+)\)(\d+))?", named[2]))
    if iota := re.search(r"replica_groups=\[(\d+),(\d+)\]<=\[([\d,]+)\](?:T\(([\d,]+)\))?", text):
        ids = np.arange(num_devices).reshape([int(d) for d in iota[3].split(",")])
        if iota[4]:
            ids = ids.transpose([int(d) for d in iota[4].split(",")])
        return tuple(int(i) for i in ids.reshape(int(iota[1]), int(iota[2]))[0])
    if listed := re.search(r"replica_groups=\{\{([\d,]+)\}", text):
        return tuple(int(i) for i in listed[1].split(","))
    return tuple(range(num_devices))


def _step(body: Computation, counter: int) -> int:
    """What a loop's body adds to this element of its state."""
    value, step = body.instructions[body.root.operands[counter]], 0
    while value.opcode != "get-tuple-element":
        operands = [body.instructions[name] for name in value.operands]
        added = [o for o in operands if o.opcode == "constant"]
        others = [o for o in operands if o.opcode != "constant"]
        if value.opcode not in ("add", "copy", "bitcast") or len(others) != 1:
            raise HloError(f"%{value.name}: the step of a loop's counter is not found")
        step += sum(map(_constant, added))
        value = others[0]
    if _index(value) != counter or step < 1:
        raise HloError(f"%{value.name}: the step of a loop's counter is not found")
    return step


def _constant(instruction: Instruction) -> int:
    return int(instruction.attributes.split(")", 1)[0])


def _index(instruction: Instruction) -> int:
    found = re.search(r"index=(\d+)", instruction.attributes)
    if found is None:
        raise HloError(f"%{instruction.name} has no index")
    return int(found[1])


def _mesh_group(sizes: dict[str, int], axes: list[tuple[str, str, str]]) -> tuple[int, ...]:
    ids = np.arange(math.prod(sizes.values())).reshape(list(sizes.values()))
    index: list[slice | int] = [0] * len(sizes)
    for name, _, _ in axes:
        index[list(sizes).index(name)] = slice(None)
    group = ids[tuple(index)].reshape(-1)
    for _, before, size in axes:
        if size:  # a part of an axis, as in 'a':(2)4: the axis is split in [2, 4, rest]
            group = group.reshape(int(before or 1), int(size), -1)[0, :, 0]
    return tuple(int(i) for i in group)


def _instruction(name: str, rest: str) -> Instruction:
    end = _shape_end(rest)
    opcode = _OPCODE.match(rest, end)
    if opcode is None:
        raise HloError(f"no opcode in: %{name} = {rest[:120]}")
    start = stop = opcode.end()
    depth = 1
    for stop, character in enumerate(rest[start:], start):  # noqa: B007
        depth += (character == "(") - (character == ")")
        if not depth:
            break
    inside = rest[start:stop]
    literal = opcode[1] in ("constant", "parameter")
    operands = () if literal else tuple(re.findall(r"%([\w.\-]+)", inside))
    attributes = inside + rest[stop:] if literal else rest[stop + 1 :]
    return Instruction(name, opcode[1], tuple(_leaves(rest[:end])), operands, attributes)


def _shape_end(text: str) -> int:
    """Where the shape at the start of `text` ends."""
    if not text.startswith("("):
        return text.index(" ")
    depth = 0
    for index, character in enumerate(text):
        depth += (character == "(") - (character == ")")
        if not depth:
            return index + 1
    raise HloError(f"a shape does not end: {text[:120]}")


def _leaves(shape: str) -> Iterator[Array]:
    for dtype, dims, layout in _LEAF.findall(shape):
        sizes = tuple(int(d.lstrip("<=")) for d in dims.split(",") if d)
        space = re.search(r"S\((\d+)\)", layout)
        yield Array(dtype, sizes, space is None or space[1] == "0")
