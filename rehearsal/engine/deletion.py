"""Deletes many resources, users before what they use, as many at once as the order allows."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait

from rehearsal.engine.errors import EngineError, ResourceProtected
from rehearsal.engine.record import Record
from rehearsal.engine.reporter import Reporter
from rehearsal.engine.type_table import short_type
from rehearsal.engine.worker import step_of


def refuse_protected(records: Iterable[Record]) -> None:
    """Raise `ResourceProtected` if any of `records` is, before anything is deleted."""
    if protected := [record for record in records if record.protect]:
        names = ", ".join(f"{short_type(r.type)} {r.name}" for r in protected)
        raise ResourceProtected(
            f"Nothing was deleted, because these resources are protected: {names}. Set protect=False in the program, "
            "run up, and delete then."
        )


def delete_all(
    records: Iterable[Record],
    *,
    delete: Callable[[Record], None],
    reporter: Reporter,
    parallel: int,
    cancelled: Callable[[], bool],
) -> None:
    """Call `delete` for each of `records`, each after everything that depends on it.

    What fails is reported; what it depends on stays. Nothing new begins once `cancelled` says so.
    """
    left = dict(enumerate(records))
    users = users_of(left)
    running: dict[Future[None], int] = {}
    with ThreadPoolExecutor(max_workers=parallel, thread_name_prefix="delete") as pool:
        while True:
            busy = left.keys() | set(running.values())
            ready = [] if cancelled() else [key for key in left if not users[key] & busy]
            for key in ready:
                running[pool.submit(_one, left.pop(key), delete, reporter)] = key
            if not running:
                break
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                key = running.pop(future)
                if (error := future.exception()) is not None:
                    # Whoever waits for this one must not begin: it stays in everybody's way.
                    _keep_what_it_uses(key, left, users)
                    if not isinstance(error, EngineError):
                        raise error
    if cancelled() and left:
        reporter.failure(f"Cancelled: {len(left)} resources were not deleted. Run the same command to go on.")


def users_of(records: Mapping[int, Record]) -> dict[int, set[int]]:
    """For each key the keys of the records that depend on it, by their URNs."""
    by_urn: dict[str, list[int]] = {}
    for key, record in records.items():
        by_urn.setdefault(record.urn, []).append(key)
    users: dict[int, set[int]] = {key: set() for key in records}
    for key, record in records.items():
        for urn in record.dependencies:
            for used in by_urn.get(urn, ()):
                if used != key:
                    users[used].add(key)
    return users


def _one(record: Record, delete: Callable[[Record], None], reporter: Reporter) -> None:
    began = time.monotonic()
    if record.held is not None:
        reporter.started(step_of("delete", record))
    try:
        delete(record)
    except EngineError as error:
        step = step_of("delete", record, began=began)
        reporter.failure(f"{short_type(record.type)} {record.name}: {error}", step)
        raise
    reporter.finished(step_of("delete", record, began=began))


def _keep_what_it_uses(key: int, left: dict[int, Record], users: dict[int, set[int]]) -> None:
    for used in [other for other in left if key in users[other]]:
        if left.pop(used, None) is not None:
            _keep_what_it_uses(used, left, users)
