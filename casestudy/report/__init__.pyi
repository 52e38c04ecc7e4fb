from .pages import (
    number as number,
)
from .pages import (
    page as page,
)
from .pages import (
    percent as percent,
)
from .pages import (
    points as points,
)
from .pages import (
    source as source,
)
from .report import (
    PROTOCOLS as PROTOCOLS,
)
from .report import (
    summary_sentence as summary_sentence,
)
from .report import (
    write_report as write_report,
)
