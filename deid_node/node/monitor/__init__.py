"""What the node tells a monitoring system over HTTP: whether it lives, is ready, and how much it does.

Nothing here names a patient, a study or a peer: the only labels are names of destinations
from the settings, states, and classes of errors.
"""
