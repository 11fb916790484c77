"""What brings results out of the node: destinations, associations, commitments."""
