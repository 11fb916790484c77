"""De-identification node for brain MR: face and name go, the science stays."""

__version__ = "0.1.0"
