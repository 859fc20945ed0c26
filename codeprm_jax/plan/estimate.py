"""From what a program does to how long a step takes and what limits it.

The estimate is a roofline. Three times are taken as if each part of the chip ran at its data
sheet's rate: FLOPs at the peak, bytes of HBM, and collectives on the links. If the compiler hides
everything behind everything, a step takes the longest of the three (`seconds`); if collectives are
not hidden at all, it takes the longer of the first two plus the third (`seconds_unoverlapped`). A
real step lies above the first, and mostly below the second.
"""

from __future__ import annotations

from dataclasses import dataclass

from jax.sharding import Mesh

from codeprm_jax.plan.topology import Topology
from codeprm_jax.plan.work import Collective, Work
from codeprm_jax.training.config import TrainConfig


@dataclass(frozen=True)
class Roofline:
    """Times of one step, in seconds.

    Attributes:
      compute, hbm, interconnect: what each part takes by itself.
      model_flops: useful FLOPs of the step on all chips, recomputation not counted.
      peak_flops: FLOP/s of all chips.
    """

    compute: float
    hbm: float
    interconnect: float
    model_flops: float
    peak_flops: float

    @property
    def seconds(self) -> float:
        """A step if everything overlaps: a lower bound."""
        return max(self.compute, self.hbm, self.interconnect)

    @property
    def seconds_unoverlapped(self) -> float:
        """A step if no collective is hidden."""
        return max(self.compute, self.hbm) + self.interconnect

    @property
    def mfu(self) -> float:
        """Model FLOPs utilisation (PaLM, appendix B) at `seconds`: an upper bound."""
        return self.model_flops / (self.seconds * self.peak_flops)

    @property
    def mfu_unoverlapped(self) -> float:
        """The same at `seconds_unoverlapped`."""
        return self.model_flops / (self.seconds_unoverlapped * self.peak_flops)

    @property
    def limit(self) -> str:
        """What takes longest: "compute", "HBM bandwidth" or "interconnect"."""
        times = {
            "compute": self.compute,
            "HBM bandwidth": self.hbm,
            "interconnect": self.interconnect,
        }
        return max(times, key=lambda name: times[name])


def roofline(work: Work, topology: Topology, mesh: Mesh, model_flops: float) -> Roofline:
    """The roofline of a program on a slice. `model_flops`: useful FLOPs of a step, all chips."""
    chip = topology.accelerator
    interconnect = sum(c.count * collective_seconds(c, topology, mesh) for c in work.collectives)
    return Roofline(
        compute=work.flops / chip.peak_flops_per_device,
        hbm=work.hbm_bytes / chip.hbm_bandwidth_per_device,
        interconnect=interconnect,
        model_flops=model_flops,
        peak_flops=chip.peak_flops * topology.num_chips,
    )


def collective_seconds(collective: Collective, topology: Topology, mesh: Mesh) -> float:
    """Time of one collective on the links of a torus, without latency.

    With n devices in a group, S bytes, and rings along the torus axes that the group spans (two
    links each where the axis closes, else one, all at once): an all-gather or reduce-scatter takes
    S (n-1)/n over those links, an all-reduce twice that. An all-to-all is limited by the middle of
    its longest axis of m chips: S m/8 over one link where it closes, else S m/4. A
    collective-permute goes to a neighbour over one axis. (The costs of "How to Scale Your Model",
    part 3, jax-ml.github.io/scaling-book.)
    """
    spans = _spans(collective.group, topology, mesh)
    bandwidth = topology.accelerator.link_bandwidth / topology.accelerator.devices_per_chip
    closed = {axis: _closes(axis, size, topology) for axis, size in spans.items()}
    links = sum(2 if closed[axis] else 1 for axis in spans) or 2
    n = len(collective.group)
    if collective.kind == "collective-permute":
        return collective.bytes / (2 * bandwidth)
    if collective.kind == "all-to-all":
        reach = max(
            (size / (8 if closed[axis] else 4) for axis, size in spans.items()), default=0.25
        )
        return collective.bytes * reach / bandwidth
    passes = 2 if collective.kind == "all-reduce" else 1
    return passes * collective.bytes * (n - 1) / n / (links * bandwidth)


def model_flops(config: TrainConfig, scorer: bool) -> float:
    """Useful FLOPs of one step over all of its tokens."""
    length = config.data.row_tokens
    model = config.model
    each = model.forward_flops_per_token(length) if scorer else model.flops_per_token(length)
    return each * config.training.batch_rows * length


def _spans(group: tuple[int, ...], topology: Topology, mesh: Mesh) -> dict[int, int]:
    """Torus axis -> how many chips along it a group touches, where more than one."""
    coordinates = [mesh.devices.flat[place].coords for place in group]
    sizes = {axis: len({c[axis] for c in coordinates}) for axis in range(len(topology.axes))}
    return {axis: size for axis, size in sizes.items() if size > 1}


def _closes(axis: int, size: int, topology: Topology) -> bool:
    chips = topology.axes[axis]
    return size == chips and chips % topology.accelerator.torus == 0
