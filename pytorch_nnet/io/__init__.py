"""Ground floor: errors, options, atomic publishing, Kaldi archives and model files.

Runs on both Pythons (3.10 with k2, 3.11+), so it imports numpy and the standard library only.
"""
