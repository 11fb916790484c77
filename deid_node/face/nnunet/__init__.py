"""Models that others trained with nnU-Net: read without torch, and without running their files."""
