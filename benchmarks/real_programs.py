"""Judges real programs of a model twice, and once more with a `kill -9` in the middle.

    python benchmarks/real_programs.py ../shared/data

3,280 programs sampled from CodeGen-16B for HumanEval (20 a problem; many loop, crash or misbehave),
through `sandbox-runner run`, so that reading, judging and writing are all in the time. The line
says how often two runs agree on a test's verdict, and what the killed run had to do again.
"""

from __future__ import annotations

import argparse
import gzip
import json
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from codeprm_jax.problems.loading import load_problems


def write_jobs(data: Path, path: Path) -> int:
    """jobs.jsonl of all samples; returns how many."""
    problems = {
        p.public.id.rpartition("/")[2]: p
        for p in load_problems(f"humaneval:{data / 'humaneval/HumanEval.jsonl.gz'}")
    }
    count = 0
    with (
        gzip.open(data / "codegen16b/humaneval_samples.jsonl.gz", "rt") as samples,
        path.open("w") as out,
    ):
        for record in map(json.loads, samples):
            number = record["task_id"].rpartition("/")[2]
            for index, sample in enumerate(record["samples"]):
                program = record["prompt"] + sample
                job = problems[number].label_job(f"{number}/{index}", program)
                out.write(json.dumps(job.to_json()) + "\n")
                count += 1
    return count


def start(jobs: Path, out: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "sandbox_runner", "run", str(jobs), "--out", str(out)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def finish(process: subprocess.Popen[str]) -> str:
    output, _ = process.communicate()
    if process.returncode:
        raise SystemExit(f"the run failed with status {process.returncode}")
    return output.strip()


def reports(path: Path) -> Iterator[dict[str, Any]]:
    with path.open("rb") as file:
        for line in file:
            if line.endswith(b"\n"):
                yield json.loads(line)


def verdicts(path: Path) -> dict[tuple[str, str], str]:
    return {(r["id"], t["id"]): t["verdict"] for r in reports(path) for t in r["tests"]}


def worst(tests: list[dict[str, Any]]) -> str:
    """The first verdict that is not AC, which is what a whole program is said to be."""
    return next((t["verdict"] for t in tests if t["verdict"] != "AC"), "AC")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("data", type=Path, help="the folder with humaneval/ and codegen16b/")
    data = parser.parse_args().data
    with tempfile.TemporaryDirectory() as folder:
        jobs, seconds = Path(folder, "jobs.jsonl"), []
        count = write_jobs(data, jobs)
        outs = [Path(folder, f"{name}.jsonl") for name in ("first", "second", "killed")]
        for out in outs[:2]:
            began = time.perf_counter()
            finish(start(jobs, out))
            seconds.append(round(time.perf_counter() - began, 1))
        process = start(jobs, outs[2])
        while not outs[2].exists() or sum(1 for _ in reports(outs[2])) < count // 2:
            time.sleep(0.2)
        process.kill()
        process.wait()
        kept = sum(1 for _ in reports(outs[2]))
        resumed = finish(start(jobs, outs[2]))
        first, second, killed = map(verdicts, outs)
        names = [r["id"] for r in reports(outs[2])]
        programs = Counter(worst(r["tests"]) for r in reports(outs[0]))
    assert first.keys() == second.keys() == killed.keys()
    assert len(names) == len(set(names)) == count
    same = sum(first[k] == second[k] for k in first) / len(first)
    again = sum(first[k] == killed[k] for k in first) / len(first)
    assert f"{kept} were there" in resumed, resumed
    line = {
        "benchmark": "sandbox real programs",
        "programs": count,
        "tests": len(first),
        "seconds": seconds,
        "equal_verdicts_of_tests": round(same, 6),
        "equal_after_kill_and_resume": round(again, 6),
        "programs_kept_at_the_kill": kept,
        "programs_run_after_it": count - kept,
        "verdicts_of_tests": dict(sorted(Counter(first.values()).items())),
        "verdicts_of_programs": dict(sorted(programs.items())),
    }
    print(json.dumps(line))


if __name__ == "__main__":
    main()
