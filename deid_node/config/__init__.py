"""Settings and profile files, as frozen types."""
