"""What a model computes on: what was wanted, what there is, and that the difference is said."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.inference.execution_providers import NAMES, ProviderUnknown, choose_providers, fell_back, parse_providers
from serving.inference.session import Session

SHORT = st.lists(st.sampled_from(sorted(NAMES)), min_size=1, unique=True).map(tuple)


@given(SHORT, st.sets(st.sampled_from(sorted(NAMES.values()))))
def test_what_is_chosen_was_wanted_and_is_there_and_the_cpu_comes_last(wanted, available):
    chosen = choose_providers(wanted, available)
    assert chosen[-1] == NAMES["cpu"]
    assert len(set(chosen)) == len(chosen)
    for name in chosen[:-1]:
        assert name in available
    ranks = [wanted.index(short) for name in chosen[:-1] for short in NAMES if NAMES[short] == name]
    assert ranks == sorted(ranks)


@given(SHORT)
def test_names_are_read_as_they_are_written(wanted):
    assert parse_providers(", ".join(wanted).upper()) == wanted


def test_nothing_wanted_is_the_cpu_and_a_stranger_is_refused():
    assert parse_providers(" ,") == ("cpu",)
    with pytest.raises(ProviderUnknown, match="abacus"):
        parse_providers("cuda,abacus")


def test_a_machine_without_what_is_wanted_computes_on_its_cpu_and_says_so(make_model, tmp_path):
    wanted = ("tensorrt", "cuda", "cpu")
    session = Session(make_model(tmp_path / "model.onnx"), providers=wanted)
    assert session.providers == ["CPUExecutionProvider"], "this test is for machines without a GPU"
    assert fell_back(wanted, session.providers)
    assert not fell_back(("cpu",), session.providers)


def test_the_state_and_the_metrics_tell_what_was_wanted_and_what_there_is(endpoint):
    model = endpoint.model()
    assert (model["providers_wanted"], model["providers"]) == (["cpu"], ["CPUExecutionProvider"])
    metrics = endpoint.http.get("/metrics").text
    assert 'petpark_provider{used="CPUExecutionProvider",wanted="cpu"} 1.0' in metrics
    assert "petpark_provider_fallback 0.0" in metrics
