"""What works on series for `tests.fakes.node`, in a process of its own.

    python -m tests.fakes.worker [PAUSE]

is `deid_node.node.work.loop` with a model that sees a face everywhere, after PAUSE seconds.
"""

from __future__ import annotations

import sys

from deid_node.node.work.loop import main
from tests.fakes.node import recipes_for

if __name__ == "__main__":
    pause = float(sys.argv[1]) if len(sys.argv) > 1 else 0.0
    main(lambda settings: recipes_for(settings, seconds=pause))
