"""The manifests of launch/gke: valid by JobSet's and Kubernetes' schemas, and in themselves."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml

from codeprm_jax.distributed import HostsConfig, resolve

ROOT = Path(__file__).resolve().parents[2]
MANIFESTS = sorted((ROOT / "launch" / "gke").glob("*.yaml"))
SCHEMA = json.loads(Path(__file__).with_name("jobset.schema.json").read_text())

pytestmark = pytest.mark.parametrize("path", MANIFESTS, ids=lambda p: p.name)


def load(path: Path) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """The JobSet, the spec of its one Job, and the spec of its pods."""
    jobset = yaml.safe_load(path.read_text())
    [job] = jobset["spec"]["replicatedJobs"]
    return jobset, job["template"]["spec"], job["template"]["spec"]["template"]["spec"]


def environment(pod: dict[str, Any]) -> dict[str, str]:
    return {e["name"]: e["value"] for e in pod["containers"][0]["env"]}


def test_the_jobset_is_valid(path: Path) -> None:
    jsonschema.Draft202012Validator(SCHEMA).validate(yaml.safe_load(path.read_text()))


def test_its_job_and_pods_are_valid(path: Path) -> None:
    _, job, _ = load(path)
    metadata = {"name": "train"}
    document = {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": job}
    kubernetes_validate.validate(document, "1.31", strict=True)
    job["template"]["spec"]["containers"][0]["imag"] = "misspelt"
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(document, "1.31", strict=True)


def test_every_pod_finds_its_place(path: Path) -> None:
    jobset, job, pod = load(path)
    name, [group] = jobset["metadata"]["name"], jobset["spec"]["replicatedJobs"]
    assert job["completionMode"] == "Indexed" and job["completions"] == job["parallelism"]
    assert group["replicas"] == 1
    for index in range(job["completions"]):
        # Kubernetes sets JOB_COMPLETION_INDEX in the pods of an Indexed Job.
        found = resolve(HostsConfig(), environment(pod) | {"JOB_COMPLETION_INDEX": str(index)})
        assert (found.process_id, found.num_processes) == (index, job["completions"])
        assert found.coordinator == (f"{name}-{group['name']}-0-0.{name}", 8476)


def test_a_pod_may_save_and_is_not_restarted_alone(path: Path) -> None:
    jobset, job, pod = load(path)
    assert pod["restartPolicy"] == "Never" and job["backoffLimit"] == 0
    assert pod["terminationGracePeriodSeconds"] >= 120
    assert jobset["spec"]["failurePolicy"]["maxRestarts"] > 0
    [rule] = job["podFailurePolicy"]["rules"]
    assert rule["onExitCodes"]["containerName"] == pod["containers"][0]["name"]
    mounts = {m["mountPath"]: m["name"] for m in pod["containers"][0]["volumeMounts"]}
    volumes = {v["name"]: v for v in pod["volumes"]}
    assert set(mounts.values()) == set(volumes)
    assert "persistentVolumeClaim" in volumes[mounts["/shared"]]


def test_the_arguments_are_of_a_preset_and_its_options(path: Path) -> None:
    import tyro

    from codeprm_jax.commands.train import TrainCommand, load_preset

    _, _, pod = load(path)
    command, preset, *options = pod["containers"][0]["args"]
    assert command == "train"
    config = load_preset(ROOT / preset)
    given = tyro.cli(TrainCommand, args=options, default=TrainCommand(config)).config
    for place in (given.training.out, given.data.data_dir, given.checkpoint):
        assert str(place).startswith("/shared/")
