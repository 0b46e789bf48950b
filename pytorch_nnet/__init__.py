"""Hybrid HMM/neural speech recognition: the library behind the recipe's steps.

Rooms, lowest floor first; a room imports only from rooms before it:
io, corpus, features, lang, hmm, frames, models, training, decoding, scoring.
"""

__version__ = "0.1.0"
