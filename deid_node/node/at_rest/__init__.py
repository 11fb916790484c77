"""Identified files of the spool, encrypted: a key for each series, wrapped by one that is the site's.

`stream` is the layout of a file, `series_keys` the keys, `sealing` both for a folder; ADR 18.
"""
