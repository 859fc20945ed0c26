"""A plan: one preset, one slice of TPUs, and what the compiler says of them."""

from __future__ import annotations

import logging
from dataclasses import asdict, dataclass, replace
from typing import Any

from codeprm_jax.plan.advice import about_the_mesh, to_make_it_fit
from codeprm_jax.plan.compilation import Compiled, Memory, compile_scoring, compile_training
from codeprm_jax.plan.estimate import Roofline, model_flops, roofline
from codeprm_jax.plan.topology import Topology, open_topology
from codeprm_jax.plan.work import COLLECTIVES, Work
from codeprm_jax.sharding import make_mesh
from codeprm_jax.training.config import TrainConfig

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Plan:
    """What came of a compilation. Memory and work are of one device.

    Attributes:
      program: "training step" or "scorer".
      mesh: sizes of its axes.
      tries: what to change, where it does not fit.
      notes: what makes it slower than it need be.
    """

    program: str
    topology: Topology
    mesh: dict[str, int]
    batch_rows: int
    row_tokens: int
    memory: Memory
    work: Work
    roofline: Roofline
    tries: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def fits(self) -> bool:
        """Whether the compiler could place the program in HBM."""
        return self.memory.fits

    def verdict(self) -> str:
        """One line: fits, or by how much not and what to try."""
        peak, limit = self.memory.peak / 2**30, self.memory.limit / 2**30
        if self.fits:
            return f"fits: {peak:.2f} of {limit:.2f} GiB"
        return f"does not fit: {peak - limit:.2f} GiB over; try " + "; or ".join(self.tries)

    def to_json(self) -> dict[str, Any]:
        """All of it, in bytes, seconds and FLOPs."""
        times, counts = self.roofline, self.work.collective_counts()
        sizes = self.work.collective_bytes()
        return {
            "program": self.program,
            "topology": self.topology.name,
            "accelerator": self.topology.accelerator.name,
            "chips": self.topology.num_chips,
            "devices_per_chip": self.topology.accelerator.devices_per_chip,
            "mesh": self.mesh,
            "batch_rows": self.batch_rows,
            "row_tokens": self.row_tokens,
            "fits": self.fits,
            "verdict": self.verdict(),
            "memory_bytes": asdict(self.memory),
            "flops": self.work.flops,
            "hbm_bytes": self.work.hbm_bytes,
            "collectives": {
                kind: {"count": counts[kind], "bytes": sizes[kind]}
                for kind in COLLECTIVES
                if counts[kind]
            },
            "seconds": {
                "compute": times.compute,
                "hbm": times.hbm,
                "interconnect": times.interconnect,
                "step": times.seconds,
                "step_unoverlapped": times.seconds_unoverlapped,
            },
            "model_flops": times.model_flops,
            "mfu": times.mfu,
            "mfu_unoverlapped": times.mfu_unoverlapped,
            "limited_by": times.limit,
            "tries": list(self.tries),
            "notes": list(self.notes),
        }


def make_plan(config: TrainConfig, topology_name: str, scorer: bool = False) -> Plan:
    """Compiles the training step, or the scorer, of a preset for a slice.

    Raises:
      InputError: an unknown topology, no libtpu, or a mesh or batch that does not divide.
      PlanError: the compiler failed for another reason than memory.
    """
    topology = open_topology(topology_name)
    mesh = make_mesh(config.mesh, topology.devices)
    if config.checkpoint is None:  # the vocabulary is that of a tokenizer yet to be trained
        config = replace(config, model=replace(config.model, vocab_size=config.data.vocab_size))
    hbm = topology.accelerator.hbm_bytes_per_device
    program = "scorer" if scorer else "training step"
    logger.info("compiling the %s for %d devices", program, mesh.size)
    compiled: Compiled = (compile_scoring if scorer else compile_training)(config, mesh, hbm)
    memory = compiled.memory
    tries = [] if memory.fits else to_make_it_fit(memory, config, topology, mesh, scorer)
    return Plan(
        program=program,
        topology=topology,
        mesh=dict(mesh.shape),
        batch_rows=config.training.batch_rows,
        row_tokens=config.data.row_tokens,
        memory=memory,
        work=compiled.work,
        roofline=roofline(compiled.work, topology, mesh, model_flops(config, scorer)),
        tries=tuple(tries),
        notes=tuple(about_the_mesh(config.model, mesh)),
    )
