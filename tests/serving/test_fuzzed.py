"""Whatever bytes come, the answer is an answer or a refusal: never a failure of the endpoint."""

import json

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.examples import examples

FEW = settings(
    max_examples=examples(120), suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
TYPES = ["image/jpeg", "image/png", "image/webp", "multipart/form-data; boundary=edge", "multipart/form-data"]
FINE = {200, 400, 404, 405, 413, 415, 422}


def _mutate(base: bytes, cuts: list[tuple[int, bytes]]) -> bytes:
    for position, replacement in cuts:
        place = position % (len(base) + 1)
        base = base[:place] + replacement + base[place + len(replacement) :]
    return base


mutations = st.lists(st.tuples(st.integers(0, 10**6), st.binary(min_size=1, max_size=8)), max_size=6)


@FEW
@given(
    cuts=mutations,
    end=st.integers(0, 10**6),
    kind=st.sampled_from(["JPEG", "PNG", "WEBP"]),
    content_type=st.sampled_from(TYPES),
)
def test_damaged_photos_never_break_the_endpoint(endpoint, make_photo, cuts, end, kind, content_type):
    body = _mutate(make_photo(format=kind), cuts)
    body = body[: end % (2 * len(body) + 1)]
    assert endpoint.classify(body, content_type).status_code in FINE


@FEW
@given(cuts=mutations, type_cuts=mutations)
def test_damaged_forms_never_break_the_endpoint(endpoint, make_photo, cuts, type_cuts):
    form = (
        b'--edge\r\nContent-Disposition: form-data; name="image"; filename="cat.jpg"\r\n'
        b"Content-Type: image/jpeg\r\n\r\n" + make_photo() + b"\r\n--edge--\r\n"
    )
    kind = _mutate(b"multipart/form-data; boundary=edge", type_cuts).replace(b"\n", b"").replace(b"\r", b"")
    answer = endpoint.http.post("/v1/classify", content=_mutate(form, cuts), headers={b"content-type": kind})
    assert answer.status_code in FINE


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
names = st.sampled_from(["image", "probabilities", "embedding", ""])
sizes = st.dictionaries(st.sampled_from(["binary_data_size", "binary_data", "binary_data_output"]), values) | values
tensors = st.fixed_dictionaries(
    {},
    optional={
        "name": names | values,
        "datatype": st.just("FP32") | values,
        "shape": st.lists(st.integers(-2, 2**65), max_size=5) | values,
        "data": values,
        "parameters": sizes,
    },
)
requests = st.fixed_dictionaries(
    {},
    optional={
        "id": values,
        "inputs": st.lists(tensors, max_size=2) | values,
        "outputs": st.lists(st.fixed_dictionaries({"name": names | values}, optional={"parameters": sizes}), max_size=3)
        | values,
        "parameters": sizes,
    },
)
FINE_TENSOR = {"name": "image", "datatype": "UINT8", "shape": [1, 32, 32, 3], "data": [7] * 3072}


@FEW
@given(document=requests | values, tail=st.binary(max_size=32), length=st.none() | st.integers(-5, 5))
def test_any_inference_request_is_answered_or_refused(endpoint, document, tail, length):
    if isinstance(document, dict):
        # Few changes to a good request reach deeper than one that is broken everywhere.
        fine = {"inputs": [FINE_TENSOR]} | document
        if isinstance(fine["inputs"], list):
            fine["inputs"] = [FINE_TENSOR | tensor if isinstance(tensor, dict) else tensor for tensor in fine["inputs"]]
        document = fine
    header = json.dumps(document).encode()
    headers = {} if length is None else {"inference-header-content-length": str(len(header) + length)}
    answer = endpoint.http.post("/v2/models/pets/infer", content=header + tail, headers=headers)
    assert answer.status_code in FINE


@FEW
@given(path=st.text(max_size=20), method=st.sampled_from(["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS"]))
def test_any_address_is_answered_or_refused(endpoint, path, method):
    from urllib.parse import quote

    answer = endpoint.http.request(method, "/" + quote(path.encode("utf-8", "replace")))
    assert answer.status_code in FINE
