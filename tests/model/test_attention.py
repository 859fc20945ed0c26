"""Every implementation against the textbook, in float64; refusals; meshes; memory."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from codeprm_jax.files import InputError
from codeprm_jax.model import attention, attention_blockwise
from codeprm_jax.model.attention import attend, check, resolve
from codeprm_jax.model.attention_blockwise import blockwise
from codeprm_jax.model.attention_gpu import cudnn, pallas_gpu
from codeprm_jax.model.attention_splash import splash
from codeprm_jax.sharding import MeshConfig, batch_sharding, make_mesh, named_sharding

Kernel = Callable[..., jax.Array]

# As they run on CPU: kernels in Pallas' interpreter, cuDNN's call without cuDNN.
KERNELS: dict[str, Kernel] = {
    "blockwise": blockwise,
    "splash": partial(splash, interpret=True),
    "pallas_gpu": partial(pallas_gpu, interpret=True),
    "cudnn": partial(cudnn, implementation="xla"),
}
PACKED = ("blockwise", "splash", "pallas_gpu")
WINDOWED = ("blockwise", "splash")


def textbook(q: Any, k: Any, v: Any, segments: np.ndarray, window: int | None = None) -> np.ndarray:
    """Attention in float64, one query at a time."""
    q, k, v = (np.asarray(x, np.float64) for x in (q, k, v))
    out = np.zeros(q.shape)
    group = q.shape[2] // k.shape[2]
    for b, t, h in np.ndindex(*q.shape[:3]):
        start = 0 if window is None else max(0, t - window + 1)
        seen = [s for s in range(start, t + 1) if segments[b, s] == segments[b, t]]
        scores = k[b, seen, h // group] @ q[b, t, h] / np.sqrt(q.shape[3])
        weights = np.exp(scores - scores.max())
        out[b, t, h] = weights @ v[b, seen, h // group] / weights.sum()
    return out


def textbook_gradients(
    q: Any, k: Any, v: Any, segments: np.ndarray, cotangent: Any, window: int | None = None
) -> list[np.ndarray]:
    """What autodiff's chain rule gives for the textbook's formula, in float64."""
    q, k, v, cotangent = (np.asarray(x, np.float64) for x in (q, k, v, cotangent))
    group, scale = q.shape[2] // k.shape[2], q.shape[3] ** -0.5
    dq, dk, dv = (np.zeros(x.shape) for x in (q, k, v))
    for b, t, h in np.ndindex(*q.shape[:3]):
        start = 0 if window is None else max(0, t - window + 1)
        seen = [s for s in range(start, t + 1) if segments[b, s] == segments[b, t]]
        kh = h // group
        scores = k[b, seen, kh] @ q[b, t, h] * scale
        weights = np.exp(scores - scores.max())
        weights /= weights.sum()
        dv[b, seen, kh] += np.outer(weights, cotangent[b, t, h])
        d_weights = v[b, seen, kh] @ cotangent[b, t, h]
        d_scores = weights * (d_weights - weights @ d_weights) * scale
        dq[b, t, h] += d_scores @ k[b, seen, kh]
        dk[b, seen, kh] += np.outer(d_scores, q[b, t, h])
    return [dq, dk, dv]


def inputs(
    rows: int, length: int, heads: int, kv_heads: int, head_dim: int = 16, seed: int = 0
) -> tuple[list[jax.Array], jax.Array]:
    """Query, key, value and a cotangent of the result."""
    rng = np.random.default_rng(seed)
    shapes = [(rows, length, h, head_dim) for h in (heads, kv_heads, kv_heads, heads)]
    q, k, v, cotangent = (jnp.asarray(rng.normal(size=s), jnp.float32) for s in shapes)
    return [q, k, v], cotangent


def packed_rows(length: int) -> np.ndarray:
    """Two rows: three examples and padding, whose ids do not rise; one example alone."""
    a, b = length // 3, length // 2
    first = [5] * a + [2] * (b - a) + [9] * (length - b - 4) + [0] * 4
    return np.array([first, [1] * length], np.int32)


def value_and_gradients(
    kernel: Kernel, arrays: list[jax.Array], segments: Any, cotangent: jax.Array, window: int | None
) -> tuple[jax.Array, ...]:
    def run(q: jax.Array, k: jax.Array, v: jax.Array, c: jax.Array) -> tuple[jax.Array, ...]:
        out, pull = jax.vjp(lambda *a: kernel(*a, jnp.asarray(segments), window), q, k, v)
        return out, *pull(c)

    return jax.jit(run)(*arrays, cotangent)


@pytest.mark.parametrize("kv_heads", [1, 2, 4])
@pytest.mark.parametrize("name", PACKED)
def test_packed_rows_are_the_textbooks(name: str, kv_heads: int) -> None:
    arrays, cotangent = inputs(2, 150, 4, kv_heads)  # a length that no block divides
    segments = packed_rows(150)
    found = value_and_gradients(KERNELS[name], arrays, segments, cotangent, None)
    expected = [
        textbook(*arrays, segments),
        *textbook_gradients(*arrays, segments, cotangent),
    ]
    for ours, theirs in zip(found, expected, strict=True):
        assert np.abs(ours - theirs).max() < 2e-5


@pytest.mark.parametrize("window", [1, 7, 60, 1000])
@pytest.mark.parametrize("name", WINDOWED)
def test_windows_are_the_textbooks(name: str, window: int) -> None:
    arrays, cotangent = inputs(2, 133, 2, 1, seed=window)
    segments = packed_rows(133)
    found = value_and_gradients(KERNELS[name], arrays, segments, cotangent, window)
    expected = [
        textbook(*arrays, segments, window),
        *textbook_gradients(*arrays, segments, cotangent, window),
    ]
    for ours, theirs in zip(found, expected, strict=True):
        assert np.abs(ours - theirs).max() < 2e-5


@pytest.mark.parametrize("window", [None, 9])
def test_cudnn_is_the_textbooks_up_to_the_padding(window: int | None) -> None:
    arrays, cotangent = inputs(2, 40, 4, 2)
    segments = np.array([[1] * 40, [1] * 25 + [0] * 15], np.int32)
    real = jnp.asarray(segments > 0)[..., None, None]
    found = value_and_gradients(KERNELS["cudnn"], arrays, segments, cotangent * real, window)
    expected = [
        textbook(*arrays, segments, window),
        *textbook_gradients(*arrays, segments, cotangent * real, window),
    ]
    for ours, theirs in zip(found, expected, strict=True):
        assert np.isfinite(ours).all()
        assert np.abs((ours - theirs) * real).max() < 2e-5


@pytest.mark.parametrize("length", [1, 3, 64, 129, 700])
@pytest.mark.parametrize(("heads", "kv_heads"), [(12, 2), (3, 3)])
def test_blockwise_of_every_length(length: int, heads: int, kv_heads: int) -> None:
    """Each length is cut in its own way: one block, blocks left over, several tiles of keys."""
    arrays, cotangent = inputs(1, length, heads, kv_heads, head_dim=4, seed=length)
    rng = np.random.default_rng(length)
    bounds = np.sort(rng.choice(length, min(3, length), replace=False))
    segments = np.searchsorted(bounds, np.arange(length), side="right")[None].astype(np.int32)

    def plain(q: jax.Array, k: jax.Array, v: jax.Array, s: jax.Array, window: Any) -> jax.Array:
        k, v = (x.repeat(heads // kv_heads, axis=2) for x in (k, v))
        at = jnp.arange(length)
        near = (at[:, None] >= at) & (at[:, None] - at < (window or length))
        scores = jnp.einsum("bthd,bshd->bhts", q, k) / 2  # head_dim is 4
        mask = near & (s[:, :, None] == s[:, None])
        weights = jax.nn.softmax(jnp.where(mask[:, None], scores, -jnp.inf), axis=-1)
        return jnp.einsum("bhts,bshd->bthd", weights, v)

    for window in (None, 50):
        ours, theirs = (
            value_and_gradients(kernel, arrays, segments, cotangent, window)
            for kernel in (blockwise, plain)
        )
        for a, b in zip(ours, theirs, strict=True):
            assert np.abs(a - b).max() < 3e-5


@pytest.mark.parametrize("name", PACKED)
def test_packed_is_unpacked(name: str) -> None:
    """Invariant 3: an example's result does not depend on what else is in its row."""
    arrays, _ = inputs(1, 200, 2, 1)
    lengths = [90, 1, 70, 39]
    segments = np.repeat([1, 2, 3, 0], lengths)[None].astype(np.int32)
    together = KERNELS[name](*arrays, jnp.asarray(segments), None)
    start = 0
    for length in lengths:
        span = slice(start, start + length)
        alone = [x[:, span] for x in arrays]
        apart = KERNELS[name](*alone, jnp.ones((1, length), jnp.int32), None)
        assert np.abs(together[:, span] - apart).max() < 1e-5
        start += length


def test_large_scores_neither_overflow_nor_vanish() -> None:
    """Qwen2's key biases give scores in the hundreds; the softmax only knows differences."""
    (q, k, v), cotangent = inputs(1, 1200, 1, 1, head_dim=8)
    k = k.at[:, 0].set(80.0)  # a first token that draws everything, and later ones that do
    q, k = q.at[:, 1:600].set(40.0), k.at[:, 700].set(90.0)
    segments = np.ones((1, 1200), np.int32)
    found = value_and_gradients(blockwise, [q, k, v], segments, cotangent, None)
    expected = [
        textbook(q, k, v, segments),
        *textbook_gradients(q, k, v, segments, cotangent),
    ]
    for ours, theirs in zip(found, expected, strict=True):
        assert np.isfinite(ours).all()
        assert np.abs(ours - theirs).max() < 1e-3


@pytest.mark.parametrize("name", PACKED)
def test_bfloat16_is_close_and_stays_bfloat16(name: str) -> None:
    arrays, cotangent = inputs(1, 140, 4, 2)
    segments = packed_rows(140)[:1]
    half = [x.astype(jnp.bfloat16) for x in arrays]
    found = value_and_gradients(KERNELS[name], half, segments, cotangent.astype(jnp.bfloat16), None)
    expected = [
        textbook(*half, segments),
        *textbook_gradients(*half, segments, cotangent.astype(jnp.bfloat16)),
    ]
    for ours, theirs in zip(found, expected, strict=True):
        assert ours.dtype == jnp.bfloat16
        assert np.abs(np.asarray(ours, np.float64) - theirs).max() < 0.05 * np.abs(theirs).max()


def test_memory_grows_with_the_length_not_its_square() -> None:
    def peak(length: int) -> int:
        shapes = [(1, length, h, 16) for h in (4, 2, 2)]
        arrays = [jax.ShapeDtypeStruct(s, jnp.float32) for s in shapes]
        segments = jax.ShapeDtypeStruct((1, length), jnp.int32)
        loss = lambda q, k, v, s: (blockwise(q, k, v, s) ** 2).sum()  # noqa: E731
        lowered = jax.jit(jax.grad(loss, argnums=(0, 1, 2))).lower(*arrays, segments)
        return lowered.compile().memory_analysis().temp_size_in_bytes

    small, large = peak(8192), peak(16384)
    assert large < 2.1 * small
    assert small < 8192 * 8192  # a quarter of one head's scores


@pytest.mark.parametrize("shape", [(8, 1, 1), (2, 2, 2), (1, 2, 4), (1, 1, 8)])
@pytest.mark.parametrize("name", ["blockwise", "splash"])
def test_every_mesh_gives_the_result_of_one_device(
    name: str, shape: tuple[int, int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two key heads on four tensor shards are repeated; eight heads on eight; rows are split."""
    monkeypatch.setattr(attention.attention_splash, "splash", KERNELS["splash"])
    monkeypatch.setattr(attention, "platform", lambda mesh: "cpu" if name == "blockwise" else "tpu")
    arrays, cotangent = inputs(8, 40, 8, 2)
    segments = packed_rows(40).repeat(4, 0)
    expected = value_and_gradients(KERNELS[name], arrays, segments, cotangent, 6)
    mesh = make_mesh(MeshConfig(*shape))
    heads = ("batch", "length", "activation_heads", None)
    placed = [jax.device_put(x, named_sharding(mesh, heads, x.shape)) for x in (*arrays, cotangent)]
    segments = jax.device_put(segments, batch_sharding(mesh))

    def run(q: jax.Array, k: jax.Array, v: jax.Array, c: jax.Array) -> tuple[jax.Array, ...]:
        out, pull = jax.vjp(lambda *a: attend(*a, segments, sliding_window=6), q, k, v)
        return out, *pull(c)

    with jax.set_mesh(mesh):
        compiled = jax.jit(run).lower(*placed).compile()
        found = compiled(*placed)
    for ours, theirs in zip(found, expected, strict=True):
        assert np.abs(ours - theirs).max() < 1e-5
    if shape[2] <= 2:  # every key head has one place: nothing need be sent
        assert not re.search(r"\b(all-\w+|collective-permute)(-start)?\(", compiled.as_text())


def test_auto_is_what_the_documentation_says() -> None:
    assert resolve("auto", "cpu") == "blockwise"
    assert resolve("auto", "cpu", sliding_window=5) == "blockwise"
    assert resolve("auto", "tpu") == "splash"
    assert resolve("auto", "gpu") == resolve("auto", "cuda") == "pallas_gpu"
    assert resolve("auto", "gpu", sliding_window=5) == "blockwise"
    assert resolve("blockwise", "tpu") == "blockwise"


def test_what_cannot_be_guaranteed_is_refused() -> None:
    with pytest.raises(InputError, match=r"no implementation 'flash'.*splash"):
        resolve("flash", "cpu")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="'splash' runs on tpu, not on cpu; use 'auto'"):
        resolve("splash", "cpu")
    asked: dict[str, Any] = {"packed": True, "sliding_window": None, "head_dim": 64}
    with pytest.raises(InputError, match=r"'cudnn' cannot keep the examples.*packing off"):
        check("cudnn", **asked)
    unpacked = {**asked, "packed": False}
    with pytest.raises(InputError, match=r"'cudnn' takes bfloat16.*not float32"):
        check("cudnn", **unpacked)
    with pytest.raises(InputError, match="multiple of 8, not 20"):
        check("cudnn", **{**unpacked, "head_dim": 20, "dtype": "bfloat16"})
    check("cudnn", **{**unpacked, "sliding_window": 9, "dtype": "bfloat16"})
    with pytest.raises(InputError, match="'pallas_gpu' has no sliding window; use 'blockwise'"):
        check("pallas_gpu", **{**asked, "sliding_window": 9})
    with pytest.raises(InputError, match="16 to 256 units, not 8"):
        check("pallas_gpu", **{**asked, "head_dim": 8})
    with pytest.raises(InputError, match="sees nothing"):
        check("blockwise", **{**asked, "sliding_window": 0})
    with pytest.raises(InputError, match="not resolved"):
        check("auto", **asked)
    (q, k, v), _ = inputs(1, 8, 2, 2)
    with pytest.raises(InputError, match="'cudnn' runs on gpu"):
        attend(q, k, v, jnp.ones((1, 8), jnp.int32), implementation="cudnn")


def test_the_plan_covers_every_shape() -> None:
    for length in (1, 7, 128, 129, 1000, 1536, 4096):
        for heads, kv_heads, batch in ((12, 2, 4), (4, 4, 8), (1, 1, 1), (28, 4, 3)):
            plan = attention_blockwise._plan(batch, length, heads, kv_heads)
            assert length <= plan.length <= length + 8 * plan.blocks
            assert plan.length <= plan.key_length < plan.length + plan.keys
            assert batch * kv_heads % plan.chains == 0
