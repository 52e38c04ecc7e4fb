from .claim import claims as claims
from .pages import (
    decimals as decimals,
    interval as interval,
    page as page,
    points as points,
    source as source,
)
from .report import (
    PROTOCOLS as PROTOCOLS,
    summary_sentence as summary_sentence,
    write_report as write_report,
)
