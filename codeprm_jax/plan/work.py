"""What a compiled program does on one device: FLOPs, bytes of HBM, and collectives.

XLA's own `cost_analysis` counts the body of a loop once, and layers are scanned. Here every body is
counted as often as it runs. What is read is the optimised program, after partitioning, fusion and
scheduling: also recomputation, work that devices do twice, and what the compiler made of the
collectives are in it.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from codeprm_jax.plan.hlo import (
    Computation,
    HloError,
    Instruction,
    Module,
    replica_group,
    trip_count,
)

COLLECTIVES = (
    "all-gather",
    "all-reduce",
    "reduce-scatter",
    "all-to-all",
    "collective-permute",
)
# Neither reads nor writes HBM by itself.
_FREE = {
    "parameter",
    "constant",
    "tuple",
    "get-tuple-element",
    "bitcast",
    "after-all",
    "while",
    "call",
    "conditional",
    "opt-barrier",
    "partition-id",
    "replica-id",
}
_SLICES = {"dynamic-slice", "slice", "gather"}
_VIEWS = {"bitcast", "reshape"}

KernelFlops = Callable[[str, tuple[int, ...]], float]


@dataclass(frozen=True)
class Collective:
    """One collective of the program, on one device.

    Attributes:
      kind: one of COLLECTIVES.
      group: the devices of one group, as places in the mesh; for a collective-permute the first
        pair of source and target.
      bytes: of the whole array: what an all-gather returns, a reduce-scatter or all-reduce takes,
        a device's share of an all-to-all, what a collective-permute sends.
      count: how often it runs in a step.
    """

    kind: str
    group: tuple[int, ...]
    bytes: int
    count: int


@dataclass
class Work:
    """What one device does in one run of a program.

    Attributes:
      flops: of matrix products and attention kernels; other arithmetic is not counted.
      hbm_bytes: read from and written to HBM, without the padding of tiles.
      collectives: each with its count.
    """

    flops: float = 0.0
    hbm_bytes: float = 0.0
    collectives: list[Collective] = field(default_factory=list)

    def collective_counts(self) -> Counter[str]:
        """How many collectives of each kind run in a step."""
        counts: Counter[str] = Counter()
        for collective in self.collectives:
            counts[collective.kind] += collective.count
        return counts

    def collective_bytes(self) -> Counter[str]:
        """Bytes of each kind in a step: `Collective.bytes` times its count."""
        sizes: Counter[str] = Counter()
        for collective in self.collectives:
            sizes[collective.kind] += collective.bytes * collective.count
        return sizes


def count(
    module: Module,
    num_devices: int,
    kernel_flops: KernelFlops | None = None,
    unroll: bool = True,
) -> Work:
    """The work of a module on one of `num_devices` devices.

    Args:
      kernel_flops: (name of a Pallas kernel, dimensions of its largest operand) -> FLOPs. Without
        it kernels count none.
      unroll: False counts loop bodies once, as XLA's cost analysis does.

    Raises HloError where a loop's trip count is not found.
    """
    return _Count(module, num_devices, kernel_flops, unroll).run()


class _Count:
    def __init__(
        self, module: Module, num_devices: int, kernel_flops: KernelFlops | None, unroll: bool
    ) -> None:
        self.module, self.num_devices = module, num_devices
        self.kernel_flops, self.unroll = kernel_flops, unroll
        self.work = Work()
        self.seen: set[tuple[object, ...]] = set()

    def run(self) -> Work:
        self._visit(self.module.entry, 1, fused=False)
        return self.work

    def _visit(self, computation: Computation, times: int, fused: bool) -> None:
        for instruction in computation.instructions.values():
            opcode = instruction.opcode
            if not fused:
                self.work.hbm_bytes += times * self._hbm_bytes(computation, instruction)
            kind = opcode.removesuffix("-start")
            if kind in COLLECTIVES:
                self._collective(computation, instruction, kind, times)
            elif opcode == "dot":
                self.work.flops += times * dot_flops(computation, instruction)
            elif opcode == "convolution":
                self.work.flops += times * convolution_flops(computation, instruction)
            elif opcode == "custom-call" and "tpu_custom_call" in instruction.attributes:
                self.work.flops += times * self._kernel(computation, instruction)
            elif opcode == "while":
                runs = trip_count(self.module, instruction) if self.unroll else 1
                body = self.module.computations[instruction.called_as("body")]
                self._visit(body, times * runs, fused)
            elif opcode in ("fusion", "call", "async-start", "conditional"):
                inside = fused or opcode == "fusion"
                for name in instruction.called:
                    self._visit(self.module.computations[name], times, inside)

    def _kernel(self, computation: Computation, instruction: Instruction) -> float:
        if self.kernel_flops is None:
            return 0.0
        operands = [a for o in _operands(computation, instruction) for a in o.arrays]
        largest = max(operands, key=lambda a: math.prod(a.dims))
        return self.kernel_flops(instruction.name, largest.dims)

    def _collective(
        self, computation: Computation, instruction: Instruction, kind: str, times: int
    ) -> None:
        group = replica_group(instruction, self.num_devices)
        channel = re.search(r"channel_id=(\d+)", instruction.attributes)
        sizes = tuple(a.dims for a in instruction.arrays)
        # A TPU's collective that runs beside products is written down several times, in the
        # fusions where it starts, goes on and ends, under one channel.
        key = (kind, channel and channel[1], sizes, group)
        if kind != "collective-permute" and channel and key in self.seen:
            return
        self.seen.add(key)
        if kind == "all-reduce" and computation.name.startswith("all-reduce-scatter"):
            kind = "reduce-scatter"  # a TPU's: an all-reduce of which each keeps its slice
        size = sum(a.bytes for a in instruction.arrays if a.dtype != "u32")
        if instruction.opcode == "all-gather-start":  # returns its operands too
            size = size * len(group) // (len(group) + 1)
        elif instruction.opcode == "collective-permute-start":
            size //= 2
        elif instruction.opcode == "reduce-scatter":
            size *= len(group)
        self.work.collectives.append(Collective(kind, group, size, times))

    def _hbm_bytes(self, computation: Computation, instruction: Instruction) -> float:
        opcode, operands = instruction.opcode, _operands(computation, instruction)
        if opcode in _FREE or opcode.endswith(("-done", "-update")) or opcode == "async-start":
            return 0
        if opcode.endswith("-start"):  # copies and slices between memories, and collectives
            moved = instruction.arrays[0].bytes
            return moved * sum(a.in_hbm for a in instruction.arrays[:2])
        if opcode in _SLICES:
            return 2 * instruction.hbm_bytes
        if opcode == "dynamic-update-slice":
            return 2 * operands[1].hbm_bytes
        if opcode != "fusion":
            return instruction.hbm_bytes + sum(o.hbm_bytes for o in operands)
        fused = self.module.computations[instruction.called_as("calls")]
        read = sum(min(o.hbm_bytes, self._read(fused, number)) for number, o in enumerate(operands))
        written = self._written(fused, fused.root)
        outputs = sum(
            min(array.bytes, size)
            for array, size in zip(instruction.arrays, written, strict=False)
            if array.in_hbm
        )
        return read + outputs

    def _read(self, computation: Computation, number: int) -> int:
        """Bytes of a fusion's parameter that are read: of a slice, only that."""
        parameter = computation.parameters[number]
        return self._read_of(computation, parameter, parameter.bytes)

    def _read_of(self, computation: Computation, value: Instruction, whole: int) -> int:
        if value.name == computation.root_name:
            return whole
        total = 0
        for user, place in computation.users.get(value.name, []):
            if user.opcode in _SLICES and place == 0:
                total += user.bytes
            elif user.opcode == "dynamic-update-slice" and place == 0:
                continue  # updated in place
            elif user.opcode in _VIEWS:
                total += self._read_of(computation, user, whole)
            elif user.opcode == "fusion":
                inner = self.module.computations[user.called_as("calls")]
                total += self._read(inner, place)
            elif user.opcode != "tuple":
                return whole
        return min(total, whole)

    def _written(self, computation: Computation, value: Instruction) -> list[int]:
        """Bytes that a fusion writes to each leaf of its result: of an update, only that."""
        if value.opcode == "tuple":
            return [
                size
                for operand in _operands(computation, value)
                for size in self._written(computation, operand)
            ]
        if value.opcode in _VIEWS:
            return self._written(computation, _operands(computation, value)[0])
        if value.opcode == "dynamic-update-slice":
            return [_operands(computation, value)[1].bytes]
        if value.opcode == "fusion":
            inner = self.module.computations[value.called_as("calls")]
            return self._written(inner, inner.root)
        return [a.bytes for a in value.arrays]


def dot_flops(computation: Computation, dot: Instruction) -> float:
    """2 for each multiply-add: elements of the result times the contracted elements."""
    left = _operands(computation, dot)[0].arrays[0].dims
    found = re.search(r"lhs_contracting_dims=\{([\d,]*)\}", dot.attributes)
    if found is None:
        raise HloError(f"%{dot.name}: a dot without lhs_contracting_dims")
    contracted = math.prod(left[int(d)] for d in found[1].split(",") if d)
    return 2.0 * math.prod(dot.arrays[0].dims) * contracted


def convolution_flops(computation: Computation, convolution: Instruction) -> float:
    """2 for each multiply-add of a convolution, the form of a TPU's matrix products.

    As XLA's HloCostAnalysis::HandleConvolution: products with padding, or with the holes of a
    dilation, are not counted.
    """
    left, right = (o.arrays[0].dims for o in _operands(computation, convolution)[:2])
    out = convolution.arrays[0].dims
    labels = re.search(r"dim_labels=(\w+)_(\w+)->(\w+)", convolution.attributes)
    if labels is None:
        raise HloError(f"%{convolution.name}: a convolution without dim_labels")
    window = re.search(r"window=\{([^}]*)\}", convolution.attributes)
    fields = dict(f.split("=") for f in window[1].split()) if window else {}

    def values(name: str, default: str) -> list[str]:
        return fields[name].split("x") if name in fields else [default] * 9

    strides, pads = values("stride", "1"), values("pad", "0_0")
    left_dilation, right_dilation = values("lhs_dilate", "1"), values("rhs_dilate", "1")
    pairs = 1
    for axis in range(sum(c.isdigit() for c in labels[1])):
        size = left[labels[1].index(str(axis))]
        taps = np.arange(right[labels[2].index(str(axis))]) * int(right_dilation[axis])
        places = np.arange(out[labels[3].index(str(axis))]) * int(strides[axis])
        dilation = int(left_dilation[axis])
        at = places[:, None] + taps[None, :] - int(pads[axis].split("_")[0])
        inside = (at >= 0) & (at <= (size - 1) * dilation) & (at % dilation == 0)
        pairs *= int(inside.sum())
    groups = re.search(r"batch_group_count=(\d+)", convolution.attributes)
    batch = left[labels[1].index("b")] // (int(groups[1]) if groups else 1)
    features = right[labels[2].index("i")] * out[labels[3].index("f")]
    return 2.0 * pairs * batch * features


def _operands(computation: Computation, instruction: Instruction) -> list[Instruction]:
    return [computation.instructions[name] for name in instruction.operands]
