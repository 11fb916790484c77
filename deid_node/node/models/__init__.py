"""Imported models: how they are kept, measured and exported, and the process they run in."""
