"""A head that nobody has, drawn by code: shapes, tissues, anatomy, and a series of it."""
