from __future__ import annotations

import itertools
import json
import math
import os
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox_runner import codec
from sandbox_runner.types import (
    CheckTest,
    FunctionTest,
    Job,
    JobFormatError,
    Limits,
    Report,
    StdinTest,
    TestResult,
    Verdict,
)

# The strategies below are nested deeper than hypothesis likes to print.
pytestmark = pytest.mark.filterwarnings("ignore:Generating overly large repr")

LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(2**62, 2**70)
    | st.floats(allow_nan=False)
    | st.text(max_size=8)
    | st.binary(max_size=8)
    | st.complex_numbers(allow_nan=False)
)
HASHABLE = st.recursive(LEAVES, lambda c: st.tuples(c, c) | st.frozensets(c, max_size=3))
PLAIN = st.recursive(
    HASHABLE,
    lambda c: (
        st.lists(c, max_size=4)
        | st.tuples(c)
        | st.sets(HASHABLE, max_size=3)
        | st.dictionaries(HASHABLE, c, max_size=3)
        | st.dictionaries(st.sampled_from(["$", "a", "hex"]), c, max_size=3)
    ),
    max_leaves=12,
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6),
    lambda c: (
        st.lists(c, max_size=4)
        | st.dictionaries(
            st.sampled_from(["$", "items", "pairs", "hex", "repr", "parts"]) | st.text(max_size=3),
            c | st.sampled_from(["int", "float", "complex", "bytes", "tuple", "set", "dict", "ff"]),
            max_size=3,
        )
    ),
    max_leaves=12,
)


def same(a: Any, b: Any) -> bool:
    if type(a) is not type(b):
        return False
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, dict):
        return len(a) == len(b) and all(k in b and same(v, b[k]) for k, v in a.items())
    return bool(a == b)


@given(PLAIN)
def test_plain_data_survives_the_way_through_json(value: Any) -> None:
    assert same(codec.decode(codec.loads(codec.dumps(codec.encode(value)))), value)


@given(JSON)
def test_decoding_anything_gives_plain_data_or_codec_error(data: Any) -> None:
    try:
        value = codec.decode(data)
    except codec.CodecError:
        return
    codec.encode(value)


@given(st.binary(max_size=64))
def test_reading_anything_gives_json_or_codec_error(text: bytes) -> None:
    try:
        value = codec.loads(text)
    except codec.CodecError:
        return
    json.dumps(value, allow_nan=False)


def test_not_a_number() -> None:
    assert math.isnan(codec.decode(codec.encode(math.nan)))


@pytest.mark.parametrize(
    "value",
    [
        object(),
        ...,
        range(3),
        type("I", (int,), {})(3),
        type("D", (dict,), {})(),
        [object()],
        print,
    ],
)
def test_what_is_not_plain_is_refused(value: Any) -> None:
    with pytest.raises(codec.CodecError, match="not plain data"):
        codec.encode(value)


def test_nesting_is_bounded_both_ways() -> None:
    deep: list[Any] = []
    for _ in range(codec.MAX_DEPTH + 2):
        deep = [deep]
    with pytest.raises(codec.CodecError, match="nested"):
        codec.encode(deep)
    with pytest.raises(codec.CodecError, match="nested"):
        codec.decode(deep)
    with pytest.raises(codec.CodecError):
        codec.loads(b"[" * 200_000)


@pytest.mark.parametrize("text", [b"NaN", b"[Infinity]", b"", b"{", b"\xff", b"1" * 5000])
def test_no_json(text: bytes) -> None:
    with pytest.raises(codec.CodecError):
        codec.loads(text)


@settings(deadline=None)
@given(st.lists(PLAIN, max_size=5))
def test_frames_come_out_as_they_went_in(values: list[Any]) -> None:
    reader, writer = os.pipe()
    try:
        for value in values:
            codec.write_frame(writer, codec.encode(value), 1 << 14)
        os.close(writer)
        for value in values:
            assert same(codec.decode(codec.read_frame(reader, 1 << 14)), value)
        with pytest.raises(EOFError):
            codec.read_frame(reader, 1 << 14)
    finally:
        os.close(reader)


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"\xff\xff\xff\xff", codec.CodecError),
        (b"\0\0", codec.CodecError),
        (b"\0\0\0\x05[1", codec.CodecError),
        (b"\0\0\0\x02[1", codec.CodecError),
        (b"\0\0\0\x00", codec.CodecError),
        (b"", EOFError),
    ],
)
def test_bad_frames(data: bytes, error: type[Exception]) -> None:
    reader, writer = os.pipe()
    os.write(writer, data)
    os.close(writer)
    try:
        with pytest.raises(error):
            codec.read_frame(reader, 1000)
    finally:
        os.close(reader)


@given(st.lists(PLAIN, max_size=5), st.lists(st.integers(0, 200), max_size=8))
def test_frames_come_out_of_any_pieces(values: list[Any], cuts: list[int]) -> None:
    payloads = [codec.dumps(codec.encode(value)) for value in values]
    stream = b"".join(codec.HEADER.pack(len(p)) + p for p in payloads)
    edges = [0, *sorted(min(c, len(stream)) for c in cuts), len(stream)]
    buffer = codec.FrameBuffer(1 << 20)
    found = [f for a, b in itertools.pairwise(edges) for f in buffer.feed(stream[a:b])]
    assert [codec.decode(f) for f in found] == values


@given(st.lists(st.binary(max_size=300), max_size=12))
def test_any_bytes_give_frames_or_codec_error_in_bounded_memory(pieces: list[bytes]) -> None:
    buffer = codec.FrameBuffer(64)
    for piece in pieces:
        try:
            for frame in buffer.feed(piece):
                json.dumps(frame)
        except codec.CodecError:
            pass
        assert len(buffer._pending) <= 64 + codec.HEADER.size + len(piece)


def test_frames_respect_size_and_deadline() -> None:
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    try:
        with pytest.raises(codec.CodecError, match="at most"):
            codec.write_frame(writer, "x" * 100, 50)
        with pytest.raises(TimeoutError):
            codec.read_frame(reader, 50, time.monotonic() + 0.05)
        with pytest.raises(TimeoutError):  # nobody reads
            codec.write_frame(writer, "x" * (1 << 22), 1 << 23, time.monotonic() + 0.05)
    finally:
        os.close(reader)
        os.close(writer)


TESTS = (
    st.builds(
        FunctionTest,
        id=st.text(min_size=1),
        args=st.lists(PLAIN, max_size=2).map(tuple),
        expected=PLAIN,
        kwargs=st.dictionaries(st.sampled_from(["a", "b"]), PLAIN, max_size=2),
    )
    | st.builds(CheckTest, id=st.text(min_size=1), code=st.text())
)  # fmt: skip


@given(TESTS, st.text(), st.sampled_from([None, "exact", "float:1e-6,1e-6"]))
def test_jobs_round_trip(test: FunctionTest | CheckTest, program: str, comparator: str) -> None:
    job = Job("j", program, "function", (test,), "f", comparator, Limits(cpu_s=0.5))
    assert Job.from_json(json.loads(json.dumps(job.to_json()))) == job


def test_reports_round_trip() -> None:
    report = Report("r", "T1", (TestResult("a", Verdict.AC), TestResult("b", Verdict.TLE, "x")))
    data = json.loads(json.dumps(report.to_json()))
    assert Report.from_json(data) == report
    assert (data["passes"], data["trials"]) == (1, 2)


GOOD = {"id": "j", "program": "", "kind": "stdin", "tests": [StdinTest("a", "", "").to_json()]}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"id": None}, "'id' is missing"),
        ({"program": 3}, "'program' is missing"),
        ({"kind": "perl"}, "kind 'perl'"),
        ({"kind": "function", "entry_point": "f"}, "does not fit"),
        ({"kind": "function", "entry_point": "1f"}, "no Python name"),
        ({"kind": "function", "entry_point": 3}, "is no string"),
        ({"tests": []}, "no tests"),
        ({"tests": {}}, "no list"),
        ({"tests": [3]}, "a test is an object"),
        ({"tests": [{"id": "a"}]}, "fit no kind of test"),
        ({"tests": [{"id": "a", "code": 3}]}, "'code' is a string"),
        ({"tests": [{"id": "a", "args": [{"$": "no"}], "expected": 1}]}, "unknown type tag"),
        ({"tests": GOOD["tests"] * 2}, "unique"),
        ({"limits": {"cpu": 3}}, "unknown limits"),
        ({"limits": {"cpu_s": -3}}, "positive number"),
        ({"limits": [1]}, "limits are an object"),
        ({"limits": {"memory_mib": float("inf")}}, "memory_mib must be a positive whole number"),
        ({"limits": {"memory_mib": 256.5}}, "whole number"),
        ({"limits": {"cpu_s": float("nan")}}, "cpu_s must be a positive number"),
        ({"limits": {"wall_s": 1e9}}, "at most 86400"),
        ({"limits": {"processes": 2**33}}, "at most 32768"),
        ({"limits": {"output_kib": True}}, "not True"),
        ({"tests": [{"id": "a", "args": "ab", "expected": 1}]}, "'args' is a list"),
        ({"tests": [{"id": "a", "args": {"x": 1}, "expected": 1}]}, "'args' is a list"),
        ({"tests": [{"id": "a", "args": [], "kwargs": [], "expected": 1}]}, "'kwargs' is an obj"),
        ({"comparator": 3}, "no string"),
        ({"color": 3}, "unknown keys"),
    ],
)
def test_bad_jobs_are_named(change: dict[str, Any], message: str) -> None:
    with pytest.raises(JobFormatError, match=message):
        Job.from_json({**GOOD, **change})
