"""Dependencies point one way: no folder imports from a higher floor, and there are no cycles."""

from __future__ import annotations

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

# Lowest first; a module may import from its own floor and from those below.
FLOORS: list[set[str]] = [
    {"sandbox_runner", "codeprm_jax", "codeprm_jax.files", "codeprm_jax.libtpu"},
    {
        "codeprm_jax.sharding",
        "codeprm_jax.accelerators",
        "codeprm_jax.json_dataclass",
        "codeprm_jax.peers",
        "codeprm_jax.distributed",
    },
    {"codeprm_jax.problems", "codeprm_jax.model"},
    {"codeprm_jax.traces"},
    {"codeprm_jax.policies", "codeprm_jax.data"},
    {"codeprm_jax.scoring", "codeprm_jax.training"},
    {"codeprm_jax.search", "codeprm_jax.plan"},
    {"codeprm_jax.evaluation"},
    {"codeprm_jax.commands"},
    {"codeprm_jax.cli"},
]


def modules() -> dict[str, Path]:
    found = {}
    for package in ("codeprm_jax", "sandbox_runner"):
        for path in (ROOT / package).rglob("*.py"):
            name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
            found[name.removesuffix(".__init__")] = path
    return found


MODULES = modules()


def imports(name: str) -> set[str]:
    """Modules of ours that `name` imports, anywhere in the file."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(MODULES[name].read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {
                full if (full := f"{node.module}.{alias.name}") in MODULES else node.module
                for alias in node.names
            }
    return {m for m in found if m in MODULES and m != name}


def floor(name: str) -> int:
    parts = name.split(".")
    unit = parts[0] if parts[0] == "sandbox_runner" else ".".join(parts[:2])
    for number, units in enumerate(FLOORS):
        if unit in units:
            return number
    raise AssertionError(f"{name} stands on no floor: add its folder to FLOORS")


@pytest.mark.parametrize("name", sorted(MODULES))
def test_no_import_points_up(name: str) -> None:
    for other in imports(name):
        assert floor(other) <= floor(name), f"{name} imports {other} from a higher floor"


def test_no_cycles_between_files() -> None:
    graph = {name: imports(name) for name in MODULES}
    assert list(TopologicalSorter(graph).static_order())  # raises CycleError


def test_no_cycles_between_folders() -> None:
    graph: dict[str, set[str]] = {}
    for name in MODULES:
        folder = ".".join(name.split(".")[:2])
        others = {".".join(i.split(".")[:2]) for i in imports(name)}
        graph.setdefault(folder, set()).update(others - {folder, "codeprm_jax"})
    graph = {k: v for k, v in graph.items() if not k.startswith("sandbox_runner")}
    assert list(TopologicalSorter(graph).static_order())


def test_search_and_policies_cannot_reach_private_tests() -> None:
    """Invariant 1: the names that lead to private tests do not occur below evaluation."""
    secret = {"Problem", "PrivateTests", "load_problems", "final_job", "label_job", "private"}
    for name in MODULES:
        if floor(name) in (4, 5, 6) and not name.startswith("codeprm_jax.data"):
            tree = ast.parse(MODULES[name].read_text())
            used = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name)}
            used |= {n.attr for n in ast.walk(tree) if isinstance(n, ast.Attribute)}
            used |= {
                a.name for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) for a in n.names
            }
            assert not used & secret, f"{name} names {used & secret}"


def test_sandbox_runner_stands_alone() -> None:
    import sys

    for name in MODULES:
        if not name.startswith("sandbox_runner"):
            continue
        for node in ast.walk(ast.parse(MODULES[name].read_text())):
            tops: list[str] = []
            if isinstance(node, ast.Import):
                tops = [a.name.split(".")[0] for a in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                tops = [node.module.split(".")[0]]
            for top in tops:
                # Ray is an extra; the tests of the sandbox hold that only a function imports it.
                if (name, top) != ("sandbox_runner.ray_cluster", "ray"):
                    known = top == "sandbox_runner" or top in sys.stdlib_module_names
                    assert known, (name, top)


def test_mesh_axes_are_named_in_one_file_only() -> None:
    for name, path in MODULES.items():
        if name.startswith("codeprm_jax") and name != "codeprm_jax.sharding":
            constants = {
                n.value
                for n in ast.walk(ast.parse(path.read_text()))
                if isinstance(n, ast.Constant) and isinstance(n.value, str)
            }
            assert "fsdp" not in constants, name
