"""BentoML, its worker processes one a core."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import bentoml
from bentoml.validators import ContentType
from classifier import PORT, WORKERS, Classifier


@bentoml.service(workers=WORKERS, traffic={"timeout": 60}, logging={"access": {"enabled": False}}, http={"port": PORT})
class Pets:
    def __init__(self) -> None:
        self.classifier = Classifier()

    @bentoml.api(route="/predict")
    def predict(self, image: Annotated[Path, ContentType("image/jpeg")], /) -> dict:  # "/": the body itself, no form
        return self.classifier.classify(image.read_bytes())
