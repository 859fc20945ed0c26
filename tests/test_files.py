from __future__ import annotations

import io
import json
import os
from pathlib import Path

import pytest

from codeprm_jax.files import (
    InputError,
    append_jsonl,
    check_output,
    count_lines,
    read_jsonl,
    read_valid_prefix,
    stable_seed,
    write_whole,
)


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(RuntimeError), write_whole(path) as file:
        file.write("new")
        raise RuntimeError
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_full_disk_while_appending_keeps_what_was_there() -> None:
    """/dev/full answers every write as a full disk does."""
    with pytest.raises(OSError, match="No space"):
        append_jsonl("/dev/full", [{"a": 1}])


def test_full_disk_keeps_whole_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.jsonl"
    append_jsonl(path, [{"n": 1}])

    class TornFile(io.FileIO):
        def write(self, data: object) -> int:  # type: ignore[override]
            super().write(bytes(data)[:3])  # type: ignore[call-overload]
            raise OSError(28, "No space left on device")

    monkeypatch.setattr("builtins.open", lambda p, m="r", **k: TornFile(p, m))
    with pytest.raises(OSError, match="No space"):
        append_jsonl(path, [{"n": 2}])
    monkeypatch.undo()
    assert read_valid_prefix(path) == [{"n": 1}]


@pytest.mark.parametrize(
    "content", ['{"a": 1}', "{ }", "[1]", "text", '{"a": 1}\n[2]\n{"', "{{x}}"]
)
def test_a_file_of_others_is_not_cut(tmp_path: Path, content: str) -> None:
    path = tmp_path / "a.json"
    path.write_text(content)
    with pytest.raises(InputError, match=r"a\.json"):
        read_valid_prefix(path)
    assert path.read_text() == content


def test_an_output_is_a_file_and_no_input(tmp_path: Path) -> None:
    source, link, missing = tmp_path / "in", tmp_path / "link", tmp_path / "missing"
    source.write_text("")
    link.hardlink_to(source)
    check_output(missing, source, None)
    check_output(link, missing)
    for out in (source, link, tmp_path, Path("/dev/null")):
        with pytest.raises(InputError, match=out.name):
            check_output(out, missing, source)


def test_torn_last_line_is_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    append_jsonl(path, [{"n": 1}, {"n": 2}])
    with open(path, "a") as file:
        file.write('{"n": 3, "text')
    assert read_valid_prefix(path) == [{"n": 1}, {"n": 2}]
    append_jsonl(path, [{"n": 4}])
    assert [r["n"] for r in read_jsonl(path)] == [1, 2, 4]


def test_damage_in_the_middle_is_an_error_that_names_the_line(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"n": 1}\n{"n": \n{"n": 3}\n')
    with pytest.raises(InputError, match="line 2"):
        read_valid_prefix(path)
    with pytest.raises(InputError, match="line 2"):
        list(read_jsonl(path))


def test_lines_that_hold_unicode_separators_are_one_line(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps({"t": "a\u2028b\x85c"}, ensure_ascii=False) + "\n")
    assert read_valid_prefix(path) == list(read_jsonl(path)) == [{"t": "a\u2028b\x85c"}]


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere\.jsonl does not exist"):
        list(read_jsonl(tmp_path / "nowhere.jsonl"))


def test_seeds_are_stable_over_processes() -> None:
    assert stable_seed("a", 1) == 4665976284724862560
    assert stable_seed("a", 1) != stable_seed("a1")


def test_a_file_that_is_not_ours_stays_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    for content in (b"some notes", b"a line\nanother", b"\xff\xfe"):
        path.write_bytes(content)
        with pytest.raises(InputError):
            read_valid_prefix(path)
        assert path.read_bytes() == content


def test_lines_are_counted_whole_or_torn(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    for content, lines in ((b"", 0), (b"a\n", 1), (b"a\nb", 2), (b"\n" * 2_000_000, 2_000_000)):
        path.write_bytes(content)
        assert count_lines(path) == lines
    assert count_lines("/dev/null") is None
    with pytest.raises(InputError, match="folder"):
        count_lines(tmp_path)
