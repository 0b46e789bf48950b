"""Packed frames: features and labels of a set in a few memory-mapped arrays, soft labels, samplers."""
