"""Sockets, disk, database, threads and time."""
