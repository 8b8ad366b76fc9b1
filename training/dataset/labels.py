"""Class names, as they come from folders, tables and people."""

import unicodedata


def clean_label(name: str) -> str:
    """Returns a class name in its normal form: Unicode NFC, no surrounding spaces, single spaces inside.

    File systems spell accents differently (macOS decomposes them), and a trailing space is invisible, so two spellings
    that look the same are one class. Raises ValueError, for a person, for a name that is empty or holds characters that
    cannot be seen, such as those that terminals obey.
    """
    label = " ".join(unicodedata.normalize("NFC", name).split())
    if not label:
        raise ValueError("its class has no name")
    if not label.isprintable():
        hidden = ", ".join(sorted({f"U+{ord(each):04X}" for each in label if not each.isprintable()}))
        raise ValueError(f"the name of its class, {label!a}, holds characters that cannot be seen ({hidden})")
    return label
