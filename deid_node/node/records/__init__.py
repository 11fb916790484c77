"""What was done, on record: the audit log, and the crosswalk for an honest broker."""
