"""Run the command line: ``python -m deid_node`` or ``deid-node``."""

from deid_node.cli.app import main

if __name__ == "__main__":
    main()
