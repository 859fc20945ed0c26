"""What a program does is read off its text: loops as often as they run, and no collective twice."""

from __future__ import annotations

from pathlib import Path

import jax
import jax.numpy as jnp
import pytest

from codeprm_jax.plan.hlo import HloError, Instruction, parse, replica_group
from codeprm_jax.plan.work import Collective, count
from codeprm_jax.sharding import MeshConfig, make_mesh, named_sharding

# Five layers of tanh(x w), w split over four v5p chips, as the compiler for TPUs left it.
V5P_SCAN = Path(__file__).with_name("v5p_scan.hlo")


def compiled(layers: int, size: int) -> jax.stages.Compiled:
    def program(x: jax.Array, weights: jax.Array) -> jax.Array:
        return jax.lax.scan(lambda x, w: (jnp.tanh(x @ w), None), x, weights)[0]

    x = jax.ShapeDtypeStruct((size, size), jnp.float32)
    weights = jax.ShapeDtypeStruct((layers, size, size), jnp.float32)
    return jax.jit(program).lower(x, weights).compile()


@pytest.mark.parametrize("layers", [1, 2, 7])
def test_a_loop_counts_as_often_as_it_runs(layers: int) -> None:
    module = parse(compiled(layers, 64).as_text())
    assert count(module, 1).flops == layers * 2 * 64**3


def test_bodies_counted_once_agree_with_xla() -> None:
    program = compiled(7, 256)
    ours = count(parse(program.as_text()), 1, unroll=False).flops
    assert ours == pytest.approx(program.cost_analysis()["flops"], rel=0.01)
    assert ours == 2 * 256**3


def test_a_program_of_a_tpu() -> None:
    """Its products are convolutions, its trip count is in the condition, its gathers bfloat16."""
    work = count(parse(V5P_SCAN.read_text()), 4)
    assert work.flops == 5 * 2 * 128 * 512 * 512
    assert work.collectives == [Collective("all-gather", (0, 1, 2, 3), 512 * 512 * 2, 5)]
    once = count(parse(V5P_SCAN.read_text()), 4, unroll=False)
    assert once.flops * 5 == work.flops
    # A body moves: x in and out (copied once), the layer's slice read and gathered, and read again.
    gathered, shard, x = 512 * 512 * 2, 128 * 512 * 2, 128 * 512 * 2
    assert work.hbm_bytes == pytest.approx(5 * (shard + 2 * gathered + 4 * x), rel=0.1)


def test_collectives_of_a_mesh_are_found_with_their_groups() -> None:
    mesh = make_mesh(MeshConfig(2, 2, 2))
    x = jax.ShapeDtypeStruct((8, 32), jnp.float32, sharding=named_sharding(mesh, ("batch", None)))
    w = jax.ShapeDtypeStruct(
        (32, 64), jnp.float32, sharding=named_sharding(mesh, ("embed", "heads"))
    )
    whole = named_sharding(mesh, (None, None))
    program = jax.jit(lambda x, w: x @ w, out_shardings=whole).lower(x, w).compile()
    work = count(parse(program.as_text()), 8)
    assert {c.kind for c in work.collectives} == {"all-gather"}
    assert {len(c.group) for c in work.collectives} <= {2, 4}
    assert work.flops in (2 * 2 * 32 * 32, 2 * 8 * 32 * 32)


@pytest.mark.parametrize(
    "attribute, group",
    [
        ("replica_groups={{0,2},{1,3}}", (0, 2)),
        ("replica_groups=[4,2]<=[8]", (0, 1)),
        ("replica_groups=[4,2]<=[2,4]T(1,0)", (0, 4)),
        ("replica_groups=[4,2]<=[2,2,2]T(2,1,0)", (0, 4)),
        ("replica_groups=mesh['a'=4,'b'=2] {'a'}", (0, 2, 4, 6)),
        ("replica_groups=mesh['a'=4,'b'=2] {'b'}", (0, 1)),
        ("replica_groups=mesh['a'=8] {'a':(2)2}", (0, 2)),
        ("replica_groups={}", tuple(range(8))),
        ("source_target_pairs={{3,0},{0,1}}", (3, 0)),
    ],
)
def test_groups_in_every_form(attribute: str, group: tuple[int, ...]) -> None:
    instruction = Instruction(
        "x", "all-reduce", (), (), f", channel_id=1, {attribute}, to_apply=%a"
    )
    assert replica_group(instruction, 8) == group


def test_collectives_in_the_forms_of_a_tpu() -> None:
    """Written down thrice under one channel; and an all-reduce of which each keeps a slice."""
    text = """\
HloModule m

%begin (p: bf16[8,4]) -> bf16[32,4] {
  %p = bf16[8,4]{1,0} parameter(0)
  ROOT %g = bf16[32,4]{1,0} all-gather(%p), channel_id=7, replica_groups={{0,1,2,3}}
}

%end (p.1: bf16[8,4]) -> bf16[32,4] {
  %p.1 = bf16[8,4]{1,0} parameter(0)
  ROOT %g.1 = bf16[32,4]{1,0} all-gather(%p.1), channel_id=7, replica_groups={{0,1,2,3}}
}

%all-reduce-scatter.1 (p.2: bf16[32,4]) -> bf16[8,4] {
  %p.2 = bf16[32,4]{1,0} parameter(0)
  %r = bf16[32,4]{1,0} all-reduce(%p.2), channel_id=9, replica_groups={{0,1,2,3}}
  %z = s32[] constant(0)
  ROOT %s = bf16[8,4]{1,0} dynamic-slice(%r, %z, %z), dynamic_slice_sizes={8,4}
}

ENTRY %main (a: bf16[8,4]) -> bf16[8,4] {
  %a = bf16[8,4]{1,0} parameter(0)
  %b = bf16[32,4]{1,0} fusion(%a), kind=kCustom, calls=%begin
  %c = bf16[32,4]{1,0} fusion(%a), kind=kCustom, calls=%end
  %d = (bf16[8,4]{1,0}, bf16[8,4]{1,0}, u32[], u32[]) collective-permute-start(%a), \
channel_id=3, source_target_pairs={{0,1},{1,2}}
  %e = bf16[8,4]{1,0} collective-permute-done(%d)
  ROOT %f = bf16[8,4]{1,0} fusion(%c), kind=kCustom, calls=%all-reduce-scatter.1
}
"""
    work = count(parse(text), 4)
    everyone = (0, 1, 2, 3)
    assert work.collectives == [
        Collective("all-gather", everyone, 256, 1),
        Collective("collective-permute", (0, 1), 64, 1),
        Collective("reduce-scatter", everyone, 256, 1),
    ]


def test_a_loop_that_was_unrolled_by_two_runs_half_as_often() -> None:
    text = V5P_SCAN.read_text().replace(
        "%constant.1.clone.1..sunk = s32[]{:T(128)} constant(1)",
        "%constant.1.clone.1..sunk = s32[]{:T(128)} constant(2)",
    )
    assert count(parse(text), 4).flops == 3 * 2 * 128 * 512 * 512


def test_what_is_not_understood_is_said() -> None:
    with pytest.raises(HloError, match="no ENTRY"):
        parse("not a program")
    text = V5P_SCAN.read_text().replace("constant(5)", "parameter(1)")
    with pytest.raises(HloError, match="trip count"):
        count(parse(text), 4)
