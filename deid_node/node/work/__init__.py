"""What takes a complete series to its result: the engine, the worker, the process it runs in."""
