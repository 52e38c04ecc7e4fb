"""Where the data and the weights of one's own run lie on this machine: kept beside run.json, never handed on.

A run folder may come from somebody else. What it says about places on this machine is believed only by whoever goes on
with a run of their own (`RunFolder.begin` and `resume`); `RunFolder.open` takes the places that its caller names.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from casestudy.errors import DataError
from casestudy.files import file_digest
from casestudy.records import Record
from casestudy.runs.record import RunRecord, Source, Wishes

LOCAL = ".local.json"


@dataclass(frozen=True)
class Local(Record):
    """Places on this machine."""

    data: str = ""  # of the archive, zip or folder; "" where nobody named it
    weights: dict[str, str] = field(default_factory=dict)  # of each file of weights, by the name that run.json has

    @classmethod
    def of(cls, wishes: Wishes, data: Path) -> Local:
        """Returns where the data and the weights are that a run is asked for with."""
        places = RunRecord(wishes, Source("", ""), "").own_weights()
        return cls(str(data.resolve()), {name_of(place): place for place in places})

    def hold_against(self, record: RunRecord) -> None:
        """Raises a DataError unless the data that were named, if any, are the run's, or its clean letters.zip."""
        data = Path(self.data)
        if self.data and not data.exists():
            raise DataError(f"--data names the data of the run; there is nothing at {data}. Check its spelling.")
        known = {record.data.sha256, record.files.get("letters.zip")} if record.data.sha256 else set()
        if self.data and known and (not data.is_file() or file_digest(data) not in known):
            raise DataError(
                f"--data names the data of the run, {record.data.name}; {data} is other data. Name that file."
            )

    def place_of(self, name: str) -> str:
        return self.weights.get(name, name)


def name_of(place: str) -> str:
    """Returns the name of a file without its place, whatever system the place is of.

    >>> name_of("/home/anna/my.npz"), name_of("C:\\\\Users\\\\anna\\\\my.npz"), name_of("my.npz")
    ('my.npz', 'my.npz', 'my.npz')
    """
    return place.replace("\\", "/").rpartition("/")[2]
