"""How reading AWS's price lists can fail. None of these changes the table."""

from petpark.errors import OperatorError


class PriceListRefused(OperatorError):
    """A file is not a price list in the documented format, or states prices that cannot be used."""


class PricesImplausible(OperatorError):
    """The lists lack what the table has, or state prices that moved too far; `--yes` takes them nevertheless."""


class TableNotWritable(OperatorError):
    """The table could not be written."""
