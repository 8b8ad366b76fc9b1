"""The monthly report's key figures as plain text, for an e-mail by SNS. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

from petpark.reports.pages.month_page import Figure, figures

if TYPE_CHECKING:
    from petpark.reports.facts import MonthFacts
    from petpark.reports.pages.texts import Texts


def month_mail(facts: MonthFacts, t: Texts, *, address: str, region: str) -> str:
    """Returns a line for each key figure, and the report's address: `address` is an `s3://` URI.

    The link opens the S3 console. A presigned URL would need no account, but expires with the job's credentials.
    https://docs.aws.amazon.com/AmazonS3/latest/userguide/ShareObjectPreSignedURL.html
    """
    bucket, _, key = address.removeprefix("s3://").partition("/")
    url = f"https://s3.console.aws.amazon.com/s3/object/{bucket}?region={region}&prefix={quote(key, safe='')}"
    lines = [
        f"{t('month.title', month=t.month(facts.month))}, {t('page.stack', stack=facts.stack)}",
        "",
        *(_line(each, t) for each in figures(facts, t)),
        "",
        t("mail.report", url=url),
        t("mail.command", command=f"aws s3 cp {address} ."),
    ]
    return "\n".join(lines).replace("\N{NO-BREAK SPACE}", " ")


def _line(figure: Figure, t: Texts) -> str:
    notes = "; ".join(note for note in figure.notes if note)
    value = t("unknown") if figure.value is None else figure.value
    return f"{figure.what}: {value} ({notes})" if notes else f"{figure.what}: {value}"
