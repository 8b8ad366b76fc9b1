"""Where a version carries a decision its label follows it, everywhere and visibly; elsewhere nothing changes."""

import json

import pytest

from registry.versions.decision import DECISION_FILE, Decision
from tests.serving.park import LABELS


def deciding(threshold, *, labels=(), positive="dog"):
    """Returns a change of a version's files: a decision, and what the trainer answered to the first probes."""

    def change(files):
        decision = Decision(positive=positive, threshold=threshold, false_positive_cost=1, false_negative_cost=4)
        path = files["probes.json"].with_name(DECISION_FILE)
        path.write_bytes(decision.to_json())
        files[DECISION_FILE] = path
        probes = json.loads(files["probes.json"].read_text())
        for probe, label in zip(probes, labels, strict=False):
            probe["label"] = label
        files["probes.json"].write_text(json.dumps(probes))

    return change


@pytest.mark.parametrize(("threshold", "label"), [(0.2, "dog"), (0.8, "cat")])
def test_a_photo_between_two_classes_is_called_by_the_threshold(answering_by, make_photo, threshold, label):
    endpoint = answering_by(deciding(threshold, labels=["cat", "dog", label]))
    document = endpoint.classify(make_photo("purple")).json()
    assert 0.2 < document["probabilities"]["dog"] < 0.8
    assert document["label"] == label
    assert endpoint.metric("petpark_predictions_total", version="1", label=label) == 1
    assert endpoint.classify(make_photo("red")).json()["label"] == "cat"
    assert endpoint.classify(make_photo("blue")).json()["label"] == "dog"


def test_every_answer_and_description_says_which_rule_it_follows(answering_by):
    endpoint = answering_by(deciding(0.25))
    rule = {"positive": "dog", "threshold": 0.25}
    assert endpoint.classify().json()["decision"] == rule
    assert endpoint.model()["decision"] == rule
    assert endpoint.http.get("/v2/models/pets").json()["parameters"]["decision"] == rule


def test_a_version_without_a_decision_answers_by_the_likeliest_class_and_says_nothing_of_one(endpoint):
    document = endpoint.classify().json()
    assert document["label"] == max(document["probabilities"], key=document["probabilities"].__getitem__)
    assert "decision" not in document
    assert endpoint.model()["decision"] is None
    assert endpoint.http.get("/v2/models/pets").json()["parameters"]["decision"] is None


@pytest.mark.parametrize("label", [*LABELS, None])
def test_a_process_that_gets_another_label_than_the_trainer_does_not_serve(answering_by, label):
    endpoint = answering_by(deciding(0.8, labels=["cat", label, "cat"]))
    assert endpoint.refusal == (None if label in ("dog", None) else (1, "ProbesFailed"))


def test_a_decision_for_a_class_that_the_model_lacks_is_refused(answering_by):
    endpoint = answering_by(deciding(0.8, positive="fox"))
    assert endpoint.refusal == (1, "ModelInvalid")
    assert "cat, dog" in endpoint.model()["refused"]["detail"]


def test_the_documented_answers_are_the_real_ones(answering_by):
    endpoint = answering_by(deciding(0.3))
    schemas = endpoint.http.get("/openapi.json").json()["components"]["schemas"]
    output = set(endpoint.classify(explain="true", abstain="true").json()) | set(
        endpoint.classify(explain="png").json()
    )
    assert output == set(schemas["Classification"]["properties"])
    assert set(endpoint.model()) == set(schemas["ServedModel"]["properties"])


def test_a_batch_says_the_decision_that_all_its_labels_follow(answering_by, make_photo):
    endpoint = answering_by(deciding(0.3))
    files = [("photo", (f"{number}.jpg", make_photo())) for number in range(2)]
    answer = endpoint.http.post("/v1/classify/batch", files=files).json()
    alone = endpoint.classify(make_photo()).json()
    assert answer["decision"] == alone["decision"]
    assert {result["label"] for result in answer["results"]} == {alone["label"]}
