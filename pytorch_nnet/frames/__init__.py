"""Packed frames: features and labels of a whole set in a few memory-mapped arrays, soft labels beside them, samplers."""
