"""The photo in a `multipart/form-data` body (RFC 7578), without files on disk: the body is in memory already."""

from dataclasses import dataclass, field

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from serving.problems import UNREADABLE, Problem

_MAX_PARTS = 16


@dataclass
class _Part:
    headers: dict[bytes, bytes] = field(default_factory=dict)
    content: bytearray = field(default_factory=bytearray)

    @property
    def is_file(self) -> bool:
        _, options = parse_options_header(self.headers.get(b"content-disposition", b""))
        return b"filename" in options


class _Form:
    """Collects what the parser calls out."""

    def __init__(self) -> None:
        self.parts: list[_Part] = []
        self._name = b""
        self._value = b""

    def on_part_begin(self) -> None:
        if len(self.parts) == _MAX_PARTS:
            raise Problem(UNREADABLE, f"The form has more than {_MAX_PARTS} parts; send one photo.")
        self.parts.append(_Part())

    def on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def on_header_end(self) -> None:
        self.parts[-1].headers[self._name.lower()] = self._value
        self._name = self._value = b""

    def on_part_data(self, data: bytes, start: int, end: int) -> None:
        self.parts[-1].content += data[start:end]


def photo_of(body: bytes, content_type: str) -> bytes:
    """Give the content of the one part that has a file name. Raises `Problem` (422)."""
    _, options = parse_options_header(content_type)
    boundary = options.get(b"boundary")
    if not boundary:
        raise Problem(UNREADABLE, "The Content-Type names no boundary between the parts of the form.")
    form = _Form()
    try:
        parser = MultipartParser(
            boundary,
            {
                "on_part_begin": form.on_part_begin,
                "on_header_field": form.on_header_field,
                "on_header_value": form.on_header_value,
                "on_header_end": form.on_header_end,
                "on_part_data": form.on_part_data,
            },
        )
        parser.write(body)
        parser.finalize()
    except FormParserError as error:
        raise Problem(UNREADABLE, f"The multipart form is broken: {error}.") from error
    files = [part for part in form.parts if part.is_file]
    if len(files) != 1:
        raise Problem(UNREADABLE, f"The form has {len(files)} parts with a file name; send exactly one photo.")
    return bytes(files[0].content)
