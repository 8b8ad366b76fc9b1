"""FastAPI under uvicorn, one process a core, the work on its thread pool."""

from classifier import PORT, WORKERS, Classifier
from fastapi import FastAPI, Request
from fastapi.concurrency import run_in_threadpool

app = FastAPI()
classifier = Classifier()


@app.get("/ready")
def ready() -> dict:
    return {}


@app.post("/predict")
async def predict(request: Request) -> dict:
    return await run_in_threadpool(classifier.classify, await request.body())


if __name__ == "__main__":
    import uvicorn

    uvicorn.run(
        "fastapi_app:app",
        host="127.0.0.1",
        port=PORT,
        workers=WORKERS,
        access_log=False,
        log_level="warning",
        timeout_worker_healthcheck=60,  # on a busy machine five seconds end workers before they have imported it
    )
