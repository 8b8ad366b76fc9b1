"""Photos in a `multipart/form-data` body (RFC 7578), which is in memory: no temporary files."""

from dataclasses import dataclass, field

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from serving.problems import TOO_LARGE, UNREADABLE, Problem

OTHER_PARTS = 16
"""Maximum parts of a form; in a form of several photos, in addition to the photos."""
_LONGEST_NAME = 255


@dataclass
class _Part:
    headers: dict[bytes, bytes] = field(default_factory=dict)
    content: bytearray = field(default_factory=bytearray)

    @property
    def file_name(self) -> bytes | None:
        """File name of the part; None if it is not a file."""
        _, options = parse_options_header(self.headers.get(b"content-disposition", b""))
        return options.get(b"filename")


@dataclass(frozen=True)
class SentPhoto:
    """A photo of a form, with its file name."""

    name: str
    content: bytes


class _Form:
    """Collects the parts of a form from the parser's callbacks."""

    def __init__(self, most: int) -> None:
        self._most = most
        self.parts: list[_Part] = []
        self._name = b""
        self._value = b""

    def on_part_begin(self) -> None:
        if len(self.parts) == self._most:
            raise Problem(UNREADABLE, f"The form has more than {self._most} parts; send fewer.")
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
    """Returns the content of the only part with a file name. Raises `Problem` (422)."""
    photos = _files(body, content_type, most_parts=OTHER_PARTS)
    if len(photos) != 1:
        raise Problem(UNREADABLE, f"The form has {len(photos)} parts with a file name; send exactly one photo.")
    return photos[0].content


def photos_of(body: bytes, content_type: str, *, most: int) -> list[SentPhoto]:
    """Returns all parts with a file name, in order. Raises `Problem` (422; 413 for more than `most`)."""
    photos = _files(body, content_type, most_parts=most + OTHER_PARTS)
    if not photos:
        raise Problem(UNREADABLE, "The form has no part with a file name; send at least one photo.")
    if len(photos) > most:
        raise Problem(TOO_LARGE, f"The form has {len(photos)} photos; the limit is {most}.")
    return photos


def _files(body: bytes, content_type: str, *, most_parts: int) -> list[SentPhoto]:
    _, options = parse_options_header(content_type)
    boundary = options.get(b"boundary")
    if not boundary:
        raise Problem(UNREADABLE, "The Content-Type has no boundary parameter.")
    form = _Form(most_parts)
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
        raise Problem(UNREADABLE, f"The multipart form is malformed: {error}.") from error
    return [
        SentPhoto(name.decode("utf-8", "replace")[:_LONGEST_NAME], bytes(part.content))
        for part in form.parts
        if (name := part.file_name) is not None
    ]
