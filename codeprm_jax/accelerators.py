"""What accelerators can do at best, from their makers' data sheets: the denominators of an MFU.

Sources. TPUs: the "System architecture" table of each version's page in the Cloud TPU
documentation (docs.cloud.google.com/tpu/docs/v4, v5e, v5p, v6e, tpu7x). Its "bidirectional
inter-chip interconnect bandwidth" counts both directions and is halved here. NVIDIA: the data
sheets of A100, H100, H200 (SXM modules) and HGX B200; tensor-core figures without sparsity, and
half of NVLink's total, which counts both directions too.
"""

from __future__ import annotations

from dataclasses import dataclass

import jax

_GIB, _GB = 2**30, 10**9


@dataclass(frozen=True)
class Accelerator:
    """One kind of chip. All figures are of a chip; `*_per_device` are of one `jax.Device`.

    Attributes:
      name: as people call it; for a TPU also the version in a topology's name, as in "v5e:4x4".
      device_kinds: `jax.Device.device_kind` of it.
      peak_flops: dense bfloat16 FLOP/s, float32 accumulation, no sparsity.
      hbm_bytes: bytes of HBM.
      hbm_bandwidth: bytes/s between HBM and the chip.
      interconnect_bandwidth: bytes/s that the chip can send over all of its links together (ICI or
        NVLink) while it receives as much.
      links: into how many links that is divided; 1 where a switch joins all chips.
      torus: a number of chips along an axis that is a multiple of it is joined into a ring; 0
        where there are no axes.
      devices_per_chip: JAX devices, each with its share of compute and memory. TPU v4 and v5p have
        two cores that JAX shows as one device ("megacore"); TPU7x shows two.
    """

    name: str
    device_kinds: tuple[str, ...]
    peak_flops: float
    hbm_bytes: int
    hbm_bandwidth: float
    interconnect_bandwidth: float
    links: int = 1
    torus: int = 0
    devices_per_chip: int = 1

    @property
    def peak_flops_per_device(self) -> float:
        """Dense bfloat16 FLOP/s of one JAX device."""
        return self.peak_flops / self.devices_per_chip

    @property
    def hbm_bytes_per_device(self) -> int:
        """Bytes of HBM of one JAX device."""
        return self.hbm_bytes // self.devices_per_chip

    @property
    def hbm_bandwidth_per_device(self) -> float:
        """Bytes/s of HBM of one JAX device."""
        return self.hbm_bandwidth / self.devices_per_chip

    @property
    def link_bandwidth(self) -> float:
        """Bytes/s of one link in one direction."""
        return self.interconnect_bandwidth / self.links


ACCELERATORS: tuple[Accelerator, ...] = (
    # 2,400 Gbit/s over six links. Slices of whole 4x4x4 cubes close their rings.
    Accelerator("v4", ("TPU v4",), 275e12, 32 * _GIB, 1228e9, 300e9, links=6, torus=4),
    # 400 GB/s both ways over four links; only an axis of 16 chips closes.
    Accelerator(
        "v5e", ("TPU v5 lite", "TPU v5e"), 197e12, 16 * _GIB, 819e9, 200e9, links=4, torus=16
    ),
    Accelerator("v5p", ("TPU v5", "TPU v5p"), 459e12, 95 * _GIB, 2765e9, 600e9, links=6, torus=4),
    Accelerator(
        "v6e", ("TPU v6 lite", "TPU v6e"), 918e12, 32 * _GIB, 1638e9, 400e9, links=4, torus=16
    ),
    Accelerator(
        "tpu7x",
        ("TPU7x",),
        2307e12,
        192 * _GIB,
        7380e9,
        600e9,
        links=6,
        torus=4,
        devices_per_chip=2,
    ),
    Accelerator("A100 40GB", ("NVIDIA A100-SXM4-40GB",), 312e12, 40 * _GB, 1555e9, 300e9),
    Accelerator("A100 80GB", ("NVIDIA A100-SXM4-80GB",), 312e12, 80 * _GB, 2039e9, 300e9),
    Accelerator("H100", ("NVIDIA H100 80GB HBM3",), 989e12, 80 * _GB, 3350e9, 450e9),
    Accelerator("H200", ("NVIDIA H200",), 989e12, 141 * _GB, 4800e9, 450e9),
    Accelerator("B200", ("NVIDIA B200",), 2250e12, 180 * _GB, 7700e9, 900e9),
)

TPUS: dict[str, Accelerator] = {a.name: a for a in ACCELERATORS if a.torus}


def accelerator_of(device: jax.Device) -> Accelerator | None:
    """The accelerator that a device is (a part of), by its kind; None for a CPU or an unknown one.

    An unknown kind, such as a PCIe variant of another clock, has no entry rather than a guess.
    """
    return next((a for a in ACCELERATORS if device.device_kind in a.device_kinds), None)
