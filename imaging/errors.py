"""What can be wrong with a photo."""


class PhotoError(ValueError):
    """A photo cannot be used; the message says why, for a person."""


class PhotoUnreadable(PhotoError):
    """The bytes are not a complete JPEG, PNG or WebP picture."""


class PhotoTooLarge(PhotoError):
    """The picture has more pixels than the limit; nothing of it was decoded."""
