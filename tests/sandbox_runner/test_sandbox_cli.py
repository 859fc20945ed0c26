from __future__ import annotations

import ast
import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from sandbox_runner import cli

ROOT = Path(__file__).resolve().parents[2]


def jobs(path: Path, count: int, program: str = "print(input())") -> list[dict[str, Any]]:
    rows = [
        {
            "id": f"j{i}",
            "program": f"# {i}\n{program}",
            "kind": "stdin",
            "tests": [{"id": "t", "input": f"{i}\n", "output": f"{i}"}],
        }
        for i in range(count)
    ]
    path.write_text("".join(json.dumps(r) + "\n" for r in rows), encoding="utf-8")
    return rows


def ids(path: Path) -> list[str]:
    return [json.loads(line)["id"] for line in path.read_text().splitlines()]


def test_run_writes_a_report_for_each_job_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, out = tmp_path / "jobs.jsonl", tmp_path / "reports.jsonl"
    jobs(source, 6)
    command = ["run", str(source), "--out", str(out), "--workers", "2"]
    assert cli.main(command) == 0
    assert "6 jobs judged" in capsys.readouterr().out
    whole = out.read_bytes()
    assert sorted(ids(out)) == [f"j{i}" for i in range(6)]
    assert all(json.loads(line)["passes"] == 1 for line in whole.splitlines())
    assert cli.main(command) == 0
    assert "0 jobs judged" in capsys.readouterr().out
    out.write_bytes(whole[:-7])  # a torn last line
    assert cli.main(command) == 0
    assert "1 jobs judged" in capsys.readouterr().out
    assert sorted(ids(out)) == [f"j{i}" for i in range(6)]


def test_run_refuses_reports_of_other_jobs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, out = tmp_path / "jobs.jsonl", tmp_path / "reports.jsonl"
    jobs(source, 3)
    command = ["run", str(source), "--out", str(out)]
    assert cli.main(command) == 0
    before = out.read_bytes()
    jobs(source, 2)
    assert cli.main(command) == 2
    assert "not in" in capsys.readouterr().err
    assert out.read_bytes() == before


@pytest.mark.parametrize(
    "content",
    [
        b'{\n  "id": "j0",\n  "tier": "T1"\n}\n',
        b'{"id": "j0", "tier": "T1"}',
        b'{"id":"j0","lr":1}',
        b'{"id":"j0","lr":1}\n{"id":"j1","tier":"T1","passes":1,"tests":[{"id":"t"}]}\n',
        b'{"id":"j1","tier":"T1","passes":1,"tests":[{"id":"t"}]}\n[1]\n{"id":"j0',
        b'{"lr": 1,',
        b'{"id": true, "lr": 1',
        b'{"id":"notes about',
        b'{"id":"j0","tier":3,"passes":"x","tests":7,"important":"data"}\n',
        b'{"id":"j0","tier":"T1","passes":1,"tests":[{"id":"t"}]}\nmy note',
        b'{"id":"j0","tier":"T1","passes":1,"tests":[{"id":"t"}]}\n{"id":"other","tier":"T1"',
        b"\x7fELF\0\0",
        b"learning_rate = 1",
        b"\n",
        "a copy",
        "the jobs",
        "a hard link",
        "a symbolic link",
    ],
)
def test_a_file_that_holds_no_reports_stays_as_it_is(
    tmp_path: Path, content: bytes | str, capsys: pytest.CaptureFixture[str]
) -> None:
    source, out = tmp_path / "jobs.jsonl", tmp_path / "out.jsonl"
    jobs(source, 2)
    before = source.read_bytes()
    match content:
        case bytes():
            out.write_bytes(content)
            before = content
        case "a copy":
            out.write_bytes(before)
        case "the jobs":
            out = source
        case "a hard link":
            out.hardlink_to(source)
        case _:
            out.symlink_to(source)
    assert cli.main(["run", str(source), "--out", str(out)]) == 2
    assert out.name in capsys.readouterr().err
    assert out.read_bytes() == before


def test_the_first_record_may_be_torn(tmp_path: Path) -> None:
    source, out = tmp_path / "jobs.jsonl", tmp_path / "out.jsonl"
    jobs(source, 2)
    for torn in ("{", '{"id"', '{"id":"j0","tier":"T1","pass'):
        out.write_text(torn)
        assert cli.main(["run", str(source), "--out", str(out), "--workers", "1"]) == 0
        assert sorted(ids(out)) == ["j0", "j1"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"id": "x"', "jobs.jsonl:3: no whole JSON object"),
        ("3", "jobs.jsonl:3: a job is an object"),
        (
            '{"id": "x", "program": "", "id": "y"}',
            "jobs.jsonl:3: no whole JSON object (an object ha",
        ),
        (
            '{"limits": {"memory_mib": 1e400}, "id": "x", "program": "", "kind": "", "tests": []}',
            "jobs.jsonl:3: limit memory_mib must be",
        ),
        ('{"id": "x"}', "jobs.jsonl:3: job 'x': 'program' is missing"),
        ('{"id": "j0", "program": "", "kind": "stdin", "tests": []}', "no tests"),
    ],
)
def test_bad_jobs_are_named_by_line(
    tmp_path: Path, line: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    source = tmp_path / "jobs.jsonl"
    jobs(source, 2)
    with source.open("a") as file:
        file.write(line)
    assert cli.main(["run", str(source), "--out", str(tmp_path / "out")]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_missing_empty_and_unwritable_files(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = tmp_path / "jobs.jsonl"
    assert cli.main(["run", str(source), "--out", str(tmp_path / "out")]) == 2
    assert "no such file" in capsys.readouterr().err
    source.write_text("")
    assert cli.main(["run", str(source), "--out", str(tmp_path / "out")]) == 2
    assert "no jobs" in capsys.readouterr().err
    jobs(source, 1)
    assert cli.main(["run", str(source), "--out", str(tmp_path / "no" / "out")]) == 1
    assert "No such file or directory" in capsys.readouterr().err


def test_wrong_options_exit_with_2(tmp_path: Path) -> None:
    for wrong in ([], ["judge"], ["run"], ["run", "x"], ["run", "x", "--out", "y", "--fast"]):
        with pytest.raises(SystemExit) as exit_info:
            cli.main(wrong)
        assert exit_info.value.code == 2


def test_an_interrupted_run_goes_on(tmp_path: Path) -> None:
    source, out = tmp_path / "jobs.jsonl", tmp_path / "reports.jsonl"
    jobs(source, 60, "import time\ntime.sleep(0.05)\nprint(input())")
    command = [sys.executable, "-m", "sandbox_runner", "run", str(source), "--out", str(out)]
    for number in (signal.SIGKILL, signal.SIGINT):
        before = out.read_bytes().count(b"\n") if out.exists() else 0
        process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            if out.exists() and out.read_bytes().count(b"\n") >= before + 5:
                break
            time.sleep(0.01)
        process.send_signal(number)
        _, err = process.communicate(timeout=20)
        assert "Traceback" not in err
    assert "interrupted" in err
    assert subprocess.run(command, cwd=ROOT, stdout=subprocess.DEVNULL).returncode == 0
    assert sorted(ids(out)) == sorted(f"j{i}" for i in range(60))


def test_doctor_names_the_tier(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["doctor"]) == 0
    assert "programs will run in T1" in capsys.readouterr().out


def test_only_the_standard_library_is_imported() -> None:
    known = set(sys.stdlib_module_names) | {"sandbox_runner"}
    for path in (ROOT / "sandbox_runner").glob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        # Ray is an extra, imported by a function once it is asked for.
        lazy = {
            node
            for function in ast.walk(tree)
            if isinstance(function, ast.FunctionDef) and path.name == "ray_cluster.py"
            for node in ast.walk(function)
            if isinstance(node, ast.Import) and [a.name for a in node.names] == ["ray"]
        }
        for node in ast.walk(tree):
            names = []
            if isinstance(node, ast.Import) and node not in lazy:
                names = [a.name for a in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            assert {n.partition(".")[0] for n in names} <= known, path
