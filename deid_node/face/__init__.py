"""Where the face is, and what is written in its place."""
