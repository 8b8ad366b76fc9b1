"""`POST /v1/classify/batch`: several photos in one form, each with its own result or problem."""

import asyncio
from typing import Annotated, NotRequired, TypedDict

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from imaging import PhotoError
from serving.auth.api_key_auth import ApiKeyAuth
from serving.http.body import Bodies
from serving.http.classify import FORM_TYPE, Abstained, as_json, deployed, peer_of, recording_of
from serving.http.multipart import SentPhoto, photos_of
from serving.http.workers import Workers
from serving.inference.explanation import Explain, Explanation, abstain_of, explain_of, explanation
from serving.inference.loaded_model import ChosenBy, Model, Share
from serving.problems import WRONG_TYPE, PhotoProblem, Problem, members, of_photo
from serving.recording.recorder import Recorder, RequestRecording
from serving.release.live import Deployed, Live
from serving.telemetry import Metrics


class BatchResult(Explanation):
    """Result of one photo: a class, or a problem."""

    name: Annotated[str, msgspec.Meta(description="File name in the form")]
    label: NotRequired[
        Annotated[str, msgspec.Meta(description="The class: the most probable one, unless `decision` says otherwise")]
    ]
    probabilities: NotRequired[dict[str, Share]]
    abstention: NotRequired[Abstained]
    problem: NotRequired[Annotated[PhotoProblem, msgspec.Meta(description="Why this photo has no result")]]


class Batch(TypedDict):
    """The response to a form with photos."""

    model: Model
    request_id: str
    decision: NotRequired[ChosenBy]
    results: Annotated[list[BatchResult], msgspec.Meta(description="In the order of the photos")]


class BatchApi:
    """Classifies the photos of a batch individually, in parallel on the worker threads.

    Each photo is a separate task, so that other requests wait for single photos and not for whole batches. Batched
    inference would save little: `benchmarks/serving/session.py` measures it.
    """

    def __init__(
        self,
        *,
        live: Live,
        bodies: Bodies,
        workers: Workers,
        metrics: Metrics,
        auth: ApiKeyAuth,
        most: int,
        recorder: Recorder | None = None,
    ) -> None:
        """If `recorder` is None, predictions are not recorded."""
        self._live = live
        self._bodies = bodies
        self._workers = workers
        self._metrics = metrics
        self._auth = auth
        self._most = most
        self._recorder = recorder

    async def classify(self, request: Request) -> Response:
        """Answer `POST /v1/classify/batch`: 200 for a valid form, even if photos in it are invalid."""
        content_type = request.headers.get("content-type", "")
        kind = content_type.partition(";")[0].strip().lower()
        if kind != FORM_TYPE:
            raise Problem(
                WRONG_TYPE, f"The Content-Type is {kind or 'missing'}; send {FORM_TYPE} with one part per photo."
            )
        explain, abstain = explain_of(request), abstain_of(request)
        peer = peer_of(self._workers, request)
        deployed(self._live)  # 503 before the body is received
        async with self._bodies.read(request) as body:
            photos = await self._workers.run(peer, photos_of, body, content_type, most=self._most)
            self._auth.charge(request.state.caller, len(photos))
            current = deployed(self._live)  # one version for the whole batch
            model = current.model
            recording = recording_of(self._recorder, request) if self._recorder else None
            results = await self._all(peer, current, photos, explain, abstain=abstain, recording=recording)
        document: Batch = {
            "model": model.identity,
            "request_id": request.state.request_id,
            "results": results,
        }
        if model.rule is not None:
            document["decision"] = model.rule
        return Response(await self._workers.run_in_place(peer, as_json, document), media_type="application/json")

    async def _all(
        self,
        peer: str,
        current: Deployed,
        photos: list[SentPhoto],
        explain: Explain,
        *,
        abstain: bool,
        recording: RequestRecording | None,
    ) -> list[BatchResult]:
        results: list[BatchResult] = [{"name": photo.name} for photo in photos]
        waiting = iter(range(len(photos)))

        async def process() -> None:
            for number in waiting:
                sampled = recording if recording is not None and recording.wants(number) else None
                results[number] = await self._workers.run_in_place(
                    peer, self._one, current, number, photos[number], explain, abstain=abstain, recording=sampled
                )

        async def process_in_parallel() -> None:
            try:
                with self._workers.place(peer):
                    await process()
            except Problem:
                return  # no free place: the first task processes all photos

        with self._workers.place(peer):
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(process())
                for _ in range(min(self._workers.threads, len(photos)) - 1):
                    tasks.create_task(process_in_parallel())
        return results

    def _one(
        self,
        current: Deployed,
        number: int,
        photo: SentPhoto,
        explain: Explain,
        *,
        abstain: bool,
        recording: RequestRecording | None,
    ) -> BatchResult:
        """Returns the result of one photo; a problem with it does not affect the others."""
        model = current.model
        try:
            found = model.classify(photo.content, explain=explain is not Explain.NOTHING, record=recording is not None)
        except PhotoError as error:
            problem = of_photo(error)
            return {"name": photo.name, "problem": members(problem.kind, problem.detail)}
        if recording is not None:
            recording.record(photo.content, found, model=model, entry=current.move.number, item=number)
        self._metrics.count_prediction(model.version.number, found.label)
        result: BatchResult = {
            "name": photo.name,
            "label": found.label,
            "probabilities": found.probabilities,
            **explanation(model, found, explain),
        }
        if abstain:
            result["abstention"] = model.abstained(found)
        return result
