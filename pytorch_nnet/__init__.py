"""Hybrid HMM/neural speech recognition: the library behind the recipe's steps.

Rooms, lowest floor first; a room imports only from rooms before it:
io, corpus, features, lang, hmm, frames, models, training, decoding, scoring, recognition.
"""

__version__ = "0.1.0"
__all__ = ["Recognizer", "__version__"]


def __getattr__(name: str):
    """`from pytorch_nnet import Recognizer`, imported when it is asked for: it needs more than the decoder's environment has."""
    if name == "Recognizer":
        from .recognition.recognizer import Recognizer

        return Recognizer
    raise AttributeError(f"module 'pytorch_nnet' has no attribute '{name}'")
