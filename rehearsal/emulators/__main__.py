"""Print what each emulator lacks, as the tables of docs/design/emulators.md."""

from rehearsal.emulators import EMULATORS, Product


def table(product: Product) -> str:
    """Markdown: a row for each behaviour that it lacks, with the number of contract tests that show it."""
    lines = ["| it lacks | tests | what would restore it |", "|---|---|---|"]
    lines += [f"| {one.behaviour} | {len(one.tests)} | {one.fix} |" for one in product.lacks]
    return "\n".join(lines)


if __name__ == "__main__":
    for product in EMULATORS.values():
        if product.lacks:
            print(f"{product.name}\n\n{table(product)}\n")
