"""KServe's model server and its first protocol: the photo as base64 in JSON, for it has no other way for a JPEG."""

import base64

from classifier import PORT, WORKERS, Classifier
from kserve import Model, ModelServer


class Pets(Model):
    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.load()

    def __reduce__(self):
        return Pets, (self.name,)  # each worker process loads it again

    def load(self) -> bool:
        self.classifier = Classifier()
        self.ready = True
        return True

    def predict(self, payload, headers=None) -> dict:
        photos = [base64.b64decode(instance["image"]["b64"]) for instance in payload["instances"]]
        return {"predictions": [self.classifier.classify(photo) for photo in photos]}


if __name__ == "__main__":
    server = ModelServer(
        http_port=PORT, enable_grpc=False, workers=WORKERS, access_log_format=None, enable_latency_logging=False
    )
    server.start([Pets("pets")])
