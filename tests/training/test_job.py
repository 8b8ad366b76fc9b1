"""What is stored about a job survives being written and read, and is read strictly."""

import json
from dataclasses import fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.encoding import canonical
from registry.store.memory_store import MemoryStore
from tests.training.conftest import REQUESTER
from training.errors import JobExists, JobMissing, SpecMalformed
from training.hyper_parameters import ARCHITECTURES, HyperParameters
from training.job import IDENTITY, EpochRecord, JobResult, JobSpec, find_result, load_spec, store_result, submit
from training.plan import Checks, DataGates, EvaluationPlan, Gates

hashes = st.text("0123456789abcdef", min_size=64, max_size=64)
shares = st.floats(0, 1)
numbers = st.floats(0, 1e6)
parameters = st.builds(
    HyperParameters,
    architecture=st.sampled_from(ARCHITECTURES),
    image_size=st.integers(32, 500),
    epochs=st.integers(1, 500),
    batch_size=st.integers(1, 500),
    learning_rate=st.floats(1e-6, 10),
    label_smoothing=shares,
    light=shares,
)
plans = st.builds(
    EvaluationPlan,
    gates=st.builds(Gates, accuracy=shares, recall=shares, slice_gap=shares, milliseconds=numbers),
    checks=st.builds(Checks, false_negative_cost=numbers, photos=st.integers(1, 10**6), int8=st.integers(0, 1)),
)
specs = st.builds(
    JobSpec,
    dataset=hashes,
    seed=st.integers(0, 2**50),
    requested_by=st.from_regex(IDENTITY, fullmatch=True),
    hyper_parameters=parameters,
    code=st.none() | hashes,
    initial_weights=st.none() | hashes,
    max_seconds=st.integers(1, 10**6),
    evaluation=plans,
    data_gates=st.none() | st.builds(DataGates, label_noise=shares, leaks=st.integers(0, 10**6), days=numbers),
)
records = st.builds(
    EpochRecord,
    epoch=st.integers(1, 1000),
    of=st.integers(1, 1000),
    train_loss=numbers,
    loss=numbers,
    accuracy=shares,
    learning_rate=numbers,
    seconds=numbers,
)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
results = st.builds(
    JobResult,
    job=texts,
    status=st.sampled_from(["succeeded", "failed"]),
    version=st.none() | st.integers(1, 10**6),
    digest=st.none() | texts,
    metrics=st.dictionaries(texts, shares, max_size=4),
    error=st.none() | texts,
    message=st.none() | texts,
    seconds=numbers,
)


@given(specs)
def test_a_spec_survives_being_written_and_read(spec: JobSpec):
    assert JobSpec.from_json(spec.to_json()) == spec


@given(records)
def test_an_epoch_record_survives_being_written_and_read(record: EpochRecord):
    assert EpochRecord.from_json(record.to_json()) == record


@given(results)
def test_a_result_survives_being_written_and_read(result: JobResult):
    assert JobResult.from_json(result.to_json()) == result


GOOD = JobSpec(dataset="0" * 64, seed=1, requested_by=REQUESTER).to_json()


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"{}", "'dataset' is missing"),
        (b"not json", "malformed job spec"),
        (GOOD.replace(b'"epochs":', b'"epoch":'), "epochs"),
        (GOOD.replace(b'"seed":1', b'"seed":-1'), "seed"),
        (GOOD.replace(b'"seed":1', b'"seed":1,"tag":0'), "unknown fields: tag"),
        (GOOD.replace(f',"requested_by":"{REQUESTER}"'.encode(), b""), "'requested_by' is missing"),
        (GOOD.replace(REQUESTER.encode(), b""), "requested_by"),
        (GOOD.replace(REQUESTER.encode(), b"ana"), "requested_by"),
        (GOOD.replace(REQUESTER.encode(), f"{REQUESTER} ".encode()), "requested_by"),
        (GOOD.replace(b'"crop_scale":0.8', b'"crop_scale":8'), "crop_scale is a share"),
    ],
)
def test_a_spec_is_read_strictly(data: bytes, expected: str):
    with pytest.raises(SpecMalformed, match=expected):
        JobSpec.from_json(data)


def test_a_job_is_submitted_once():
    workspace, spec = MemoryStore(), JobSpec(dataset="0" * 64, seed=1, requested_by=REQUESTER)
    submit(workspace, "job", spec)
    assert load_spec(workspace, "job") == spec
    assert find_result(workspace, "job") is None
    with pytest.raises(JobExists, match="another id"):
        submit(workspace, "job", spec)


def test_an_unknown_job_is_named():
    with pytest.raises(JobMissing, match="no job nobody"):
        load_spec(MemoryStore(), "nobody")


def test_a_job_from_before_some_settings_existed_is_read_with_them_as_they_were():
    spec = JobSpec(dataset="d" * 64, seed=1, requested_by="arn:aws:iam::000000000000:user/ana")
    stored = json.loads(spec.to_json())
    for young in HyperParameters.YOUNG:
        del stored["hyper_parameters"][young]
    assert JobSpec.from_json(canonical(stored)) == spec
    del stored["hyper_parameters"]["epochs"]
    with pytest.raises(SpecMalformed, match="epochs"):
        JobSpec.from_json(canonical(stored))


def test_a_job_with_a_setting_that_is_gone_is_read_where_the_setting_was_off():
    spec = JobSpec(dataset="d" * 64, seed=1, requested_by="arn:aws:iam::000000000000:user/ana")
    stored = json.loads(spec.to_json())
    for retired, off in HyperParameters.RETIRED.items():
        stored["hyper_parameters"][retired] = off
        assert JobSpec.from_json(canonical(stored)) == spec
        stored["hyper_parameters"][retired] = off / 2
        with pytest.raises(SpecMalformed, match=f"{retired}=.* is not supported any more"):
            JobSpec.from_json(canonical(stored))
    with pytest.raises(SpecMalformed, match="is not a setting"):
        HyperParameters().with_settings(["layer_decay=0.5"])


def test_settings_change_hyper_parameters_by_name():
    changed = HyperParameters().with_settings(["epochs=30", "learning_rate=1e-3", "architecture=resnet18"])
    assert (changed.epochs, changed.learning_rate, changed.architecture) == (30, 0.001, "resnet18")


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("epoch=3", "use name=value with one of: architecture, image_size"),
        ("epochs", "is not a setting"),
        ("epochs=many", "epochs needs a value of type int"),
        ("batch_size=0", "above 0"),
        ("learning_rate=nan", "above 0"),
        ("crop_scale=1.5", "a share"),
        ("crop_scale=0", "above 0"),
        ("mixup=-1", "0 or above"),
        ("mixup=nan", "0 or above"),
        ("weight_decay=nan", "0 or above"),
        ("weight_decay=inf", "must be a number"),
        ("learning_rate=inf", "must be a number"),
        ("rotation=-8", "0 or above"),
        ("rotation=400", "from 0 to 180"),
        ("start_size=-8", "from 8 to 48"),
        ("start_size=96", "from 8 to 48"),
        ("image_size=0", "from 8 to 1024"),
        ("image_size=100000", "from 8 to 1024"),
        ("batch_size=-1", "above 0"),
        ("architecture=resnet999", "choose one of: resnet8"),
        ("optimiser=sgd", "choose one of: adamw"),
        ("flips=2", "a switch"),
        ("compile=-1", "a switch"),
    ],
)
def test_a_wrong_setting_is_refused_with_what_is_possible(setting: str, expected: str):
    with pytest.raises(SpecMalformed, match=expected):
        HyperParameters().with_settings([setting])


@given(
    st.dictionaries(
        st.sampled_from([field.name for field in fields(HyperParameters)]),
        st.one_of(st.integers(), st.floats().map(str), st.sampled_from([*ARCHITECTURES, "adamw", "muon", "ą"])),
        max_size=4,
    ),
    st.integers(),
    st.integers(),
    st.text(max_size=9) | st.just(REQUESTER),
)
def test_whatever_is_asked_is_refused_at_once_or_read_again(
    settings: dict[str, object], seed: int, seconds: int, by: str
) -> None:
    workspace = MemoryStore()
    try:
        parameters = HyperParameters().with_settings([f"{name}={value}" for name, value in settings.items()])
        spec = JobSpec(dataset="0" * 64, seed=seed, requested_by=by, hyper_parameters=parameters, max_seconds=seconds)
        submit(workspace, "job", spec)
    except SpecMalformed:
        assert not list(workspace.keys("")), "what is refused is not stored"
    else:
        assert load_spec(workspace, "job") == spec


@given(st.floats(), st.floats(), st.text(st.characters(), max_size=4))
def test_however_a_job_ended_its_result_is_stored_and_read(figure: float, seconds: float, text: str) -> None:
    workspace = MemoryStore()
    result = JobResult(job="job", status="succeeded", metrics={text: figure}, message=text, seconds=seconds)
    stored = store_result(workspace, result)
    assert find_result(workspace, "job") == stored
    assert stored == result or (stored.status == "failed" and "cannot be stored" in (stored.message or ""))
