"""Frozen records of texts, counts and numbers that people change by `name=value` and jobs carry as JSON."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, fields, replace
from types import MappingProxyType
from typing import Any, ClassVar, Self, cast

from registry.encoding import Fields
from training.errors import SpecMalformed


class Settings:
    """Base of such a dataclass: each field has a default, whose type is the field's."""

    YOUNG: ClassVar[frozenset[str]] = frozenset()
    """Fields that jobs of the past do not know: what was stored without one has the default, which is off."""

    RETIRED: ClassVar[Mapping[str, float]] = MappingProxyType({})
    """Fields that only jobs of the past have, with the value that changed nothing; another value is refused."""

    def with_settings(self, settings: Iterable[str]) -> Self:
        """Change some by `name=value`; SpecMalformed names those that exist."""
        record = cast("Any", self)
        kinds: dict[str, type[str | int | float]] = {name: type(value) for name, value in asdict(record).items()}
        changes: dict[str, str | int | float] = {}
        for setting in settings:
            name, separator, value = setting.partition("=")
            if not separator or name not in kinds:
                raise SpecMalformed(f"{setting!r} is not a setting; use name=value with one of: {', '.join(kinds)}")
            try:
                changes[name] = kinds[name](value)
            except ValueError as error:
                raise SpecMalformed(f"{name} needs a value of type {kinds[name].__name__}, not {value!r}") from error
        return cast("Self", replace(record, **changes))

    @classmethod
    def read(cls, reader: Fields) -> Self:
        """Read all, strictly; ValueError or SpecMalformed."""
        read: dict[str, object] = {}
        for field in fields(cast("Any", cls)):
            if field.name in cls.YOUNG and field.name not in reader.rest():
                continue
            if isinstance(field.default, str):
                read[field.name] = reader.text(field.name)
            elif isinstance(field.default, int):
                read[field.name] = reader.count(field.name, least=0)
            else:
                read[field.name] = reader.number(field.name)
        for name, idle in cls.RETIRED.items():
            if name in reader.rest() and (value := reader.number(name)) != idle:
                raise SpecMalformed(f"{name}={value} is not supported any more; submit the job again without it")
        reader.done()
        return cls(**read)
