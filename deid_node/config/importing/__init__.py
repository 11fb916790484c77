"""Read the de-identification rules that sites already have, and write them as a profile."""
