from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from codeprm_jax.files import InputError
from codeprm_jax.policies.openai_cache import AnswerCache, cache_key

WRITER = """
import sys
from codeprm_jax.policies.openai_cache import AnswerCache
cache = AnswerCache(sys.argv[1])
print("ready", flush=True)
for number in range(int(sys.argv[3])):
    cache.put(f"{sys.argv[2]}-{number}", {"text": sys.argv[2] * number})
"""


def test_answers_are_found_by_whoever_starts_later(tmp_path: Path) -> None:
    first = AnswerCache(tmp_path / "a" / "b")
    assert first.get("x") is None
    first.put("x", {"text": "one\u2028\n"})
    first.put("y", {"text": "two"})
    first.put("x", {"text": "three"})  # the first stays
    second = AnswerCache(tmp_path / "a" / "b")
    second.put("z", {"text": "four"})
    third = AnswerCache(tmp_path / "a" / "b")
    assert len(third) == 3
    for cache in (first, second, third):
        assert cache.get("x") == {"text": "one\u2028\n"} and cache.get("y") == {"text": "two"}
    assert third.get("z") == {"text": "four"}


def test_keys_tell_requests_apart_and_ignore_the_order_of_names() -> None:
    assert cache_key({"a": 1, "b": [2]}) == cache_key({"b": [2], "a": 1})
    assert len({cache_key(b) for b in ({"a": 1}, {"a": "1"}, {"a": 1, "b": None}, {"a": [1]})}) == 4


def test_several_processes_write_at_once(tmp_path: Path) -> None:
    names = ("a", "b", "c")
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path), name, "200"])
        for name in names
    ]
    assert [w.wait(60) for w in writers] == [0, 0, 0]
    cache = AnswerCache(tmp_path)
    assert len(cache) == 600
    assert all(cache.get(f"{n}-{i}") == {"text": n * i} for n in names for i in range(200))


def test_a_writer_that_is_killed_loses_nothing_that_it_had_written(tmp_path: Path) -> None:
    command = [sys.executable, "-c", WRITER, str(tmp_path), "k", "1000000"]
    writer = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert writer.stdout is not None and writer.stdout.readline()
    while not any(p.stat().st_size > 20_000 for p in tmp_path.glob("*")):
        assert writer.poll() is None
    writer.kill()
    writer.communicate()
    cache = AnswerCache(tmp_path)
    assert len(cache) > 50
    assert all(cache.get(f"k-{i}") == {"text": "k" * i} for i in range(len(cache)))


def test_a_torn_end_is_left_out_and_left_alone(tmp_path: Path) -> None:
    AnswerCache(tmp_path).put("x", {"text": "one"})
    (path,) = tmp_path.iterdir()
    path.write_bytes(path.read_bytes() + b'{"key": "y", "ans')
    before = path.read_bytes()
    cache = AnswerCache(tmp_path)
    assert cache.get("x") == {"text": "one"} and cache.get("y") is None
    cache.put("y", {"text": "two"})
    assert AnswerCache(tmp_path).get("y") == {"text": "two"}
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    "line", [b"\xff\xff\n", b"{]\n", b"[]\n", b'{"key": "x"}\n', b'{"key": 1, "answer": {}}\n']
)
def test_damage_is_named(tmp_path: Path, line: bytes) -> None:
    AnswerCache(tmp_path).put("x", {"text": "one"})
    (path,) = tmp_path.iterdir()
    path.write_bytes(path.read_bytes() + line)
    with pytest.raises(
        InputError, match=r"answers-.*line 2 of the cache is damaged.*remove the file"
    ):
        AnswerCache(tmp_path)


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("")
    with pytest.raises(InputError, match="is a file; name a folder"):
        AnswerCache(tmp_path / "cache")


def test_files_that_vanish_are_named(tmp_path: Path) -> None:
    cache = AnswerCache(tmp_path)
    cache.put("x", {"text": "one"})
    os.remove(next(tmp_path.iterdir()))
    with pytest.raises(InputError, match="was removed while it was in use"):
        cache.get("x")
