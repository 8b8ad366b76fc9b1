"""A parameter store in memory, as far as an endpoint reads it, which can go away."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from serving.keys.record import ApiKey, KeyScope, hash_of, new_key
from tests.serving.park import NOW


class Parameters:
    """Keys are made here as `petpark keys create` makes them."""

    path = "/petpark/prod/api-keys"

    def __init__(self) -> None:
        self.values: dict[str, str] = {}
        self.away = False

    def create(
        self,
        name: str = "camera",
        *,
        rate: float = 10,
        burst: int = 5,
        expires: datetime | None = None,
        scopes: tuple[KeyScope, ...] = (KeyScope.CLASSIFY,),
    ) -> str:
        key = new_key()
        self.keep(
            ApiKey(
                name=name,
                hash=hash_of(key),
                rate=rate,
                burst=burst,
                created=NOW,
                expires=expires,
                scopes=frozenset(scopes),
            )
        )
        return key

    def rotate(self, name: str, *, now: datetime, grace: timedelta) -> str:
        key = new_key()
        self.keep(ApiKey.from_json(name, self.values[name]).rotated(hash_of(key), now=now, grace=grace))
        return key

    def keep(self, record: ApiKey) -> None:
        self.values[record.name] = record.to_json()

    def get_paginator(self, operation: Any) -> "Parameters":
        assert operation == "get_parameters_by_path"
        return self

    def paginate(self, *, Path: str) -> Iterator[dict[str, Any]]:  # noqa: N803
        assert Path == self.path
        if self.away:
            raise ConnectionError("the parameter store is away")
        for name, value in self.values.items():  # a page each
            yield {"Parameters": [{"Name": f"{Path}/{name}", "Value": value}]}
