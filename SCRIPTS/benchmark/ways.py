"""One way that the benchmark compares, run in this process: it prints one line of JSON.

    python -m SCRIPTS.benchmark.ways WAY '{"argument": "value"}'

"ours" is what the project does; the others are what someone without it would write, short and plain.
"""

from __future__ import annotations

import json
import sys

from SCRIPTS.benchmark import cleaning_ways, training_ways
from SCRIPTS.benchmark.shared import LeftOut

WAYS = {way.__name__: way for way in (*cleaning_ways.WAYS, *training_ways.WAYS)}


if __name__ == "__main__":
    try:
        answer = WAYS[sys.argv[1]](**json.loads(sys.argv[2]))
    except LeftOut as reason:
        answer = {"left_out": str(reason)}
    print("\n" + json.dumps(answer))
