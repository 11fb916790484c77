"""Run the command line: ``python -m deid_node`` or ``deid-node``."""

from __future__ import annotations

from typing import NoReturn

from deid_node import log
from deid_node.cli.app import main as run


def main() -> NoReturn:
    """Run one verb; libraries stay silent unless the verb lets them speak."""
    log.silence()
    run()


if __name__ == "__main__":
    main()
