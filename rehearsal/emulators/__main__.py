"""Print what each emulator lacks, as the lists of docs/design/emulators.md."""

import textwrap

from rehearsal.emulators import EMULATORS, Product


def missing(product: Product) -> str:
    """Returns a Markdown list of what it lacks: each with its number of contract tests and what would restore it."""
    items = [f"- {one.behaviour} (tests: {len(one.tests)}). To restore it: {one.fix}." for one in product.lacks]
    return "\n".join(textwrap.fill(item, 118, subsequent_indent="  ", break_long_words=False) for item in items)


if __name__ == "__main__":
    for product in EMULATORS.values():
        if product.lacks:
            print(f"{product.name}\n\n{missing(product)}\n")
