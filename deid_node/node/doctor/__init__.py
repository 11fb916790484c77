"""Whether a node can do its work on this machine, and what to do where it cannot.

Nothing that a running node uses is changed, so it may be asked at any time.
"""
