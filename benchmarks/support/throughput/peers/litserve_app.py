"""LitServe, its worker processes one a core."""

import litserve
from classifier import PORT, WORKERS, Classifier, answer, decode
from fastapi import UploadFile


class Pets(litserve.LitAPI):
    def setup(self, device) -> None:
        self.classifier = Classifier()

    def decode_request(self, request: UploadFile):
        upload = request if hasattr(request, "file") else request["request"]
        return decode(upload.file.read())

    def predict(self, pixels):
        return self.classifier.scores(pixels)

    def encode_response(self, scores) -> dict:
        return answer(scores)


if __name__ == "__main__":
    server = litserve.LitServer(Pets(), accelerator="cpu", workers_per_device=WORKERS)
    server.run(port=PORT, host="127.0.0.1", num_api_servers=1, log_level="warning", generate_client_file=False)
