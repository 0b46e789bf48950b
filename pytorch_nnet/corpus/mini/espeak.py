"""The espeak-ng library through ctypes: text to samples, with the times of words and phonemes.

Only `espeakng_loader`'s shared library and data are used. API: espeak-ng src/include/espeak-ng/speak_lib.h.

Two properties of the library shape this file. It keeps state (pitch flutter, rounding of times) from one utterance to the
next and even over espeak_Terminate, so that a second corpus in the same process would differ from the first: a private copy of
the library is loaded each time, whose state is fresh. And it reads its voices from the data folder, in which it takes
at most about 350 voice files before it falls silent: a private folder is made with the English files and our variants only.
"""

from __future__ import annotations

import contextlib
import ctypes
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Collection, Iterator, Mapping, Sequence

import numpy as np

from ...io.errors import RecipeError

MAX_VOICES = 349  # files under lang/ and voices/; one more and every utterance is silent
AUDIBLE = 0.01  # peak below which an utterance counts as silent; full scale is 1
DATA_FILES = ("phontab", "phonindex", "phondata", "intonations", "en_dict")
ACCENTS = {"en-us": "en-US", "en-us-nyc": "en-US-nyc", "en-029": "en-029", "en-gb-x-rp": "en-GB-x-rp",
           "en-gb-scotland": "en-GB-scotland"}  # voice name -> file under lang/gmw

# Phonemes that begin with a closure. The library makes it of zeros and counts it to the phone before.
STOPS = frozenset(("p", "b", "t", "t2", "t#", "t[", "d", "k", "g", "tS", "dZ"))

# Constants of speak_lib.h.
SYNCHRONOUS, PHONEME_EVENTS, UTF8, EE_OK = 2, 1, 1, 0
RATE, PITCH, RANGE = 1, 3, 4
LIST_TERMINATED, WORD, PHONEME = 0, 1, 7


class EventId(ctypes.Union):
    _fields_ = [("number", ctypes.c_int), ("name", ctypes.c_char_p), ("string", ctypes.c_char * 8)]


class Event(ctypes.Structure):
    _fields_ = [("type", ctypes.c_int), ("unique_identifier", ctypes.c_uint), ("text_position", ctypes.c_int),
                ("length", ctypes.c_int), ("audio_position", ctypes.c_int), ("sample", ctypes.c_int),
                ("user_data", ctypes.c_void_p), ("id", EventId)]


CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(Event))


@dataclass
class SpokenPhone:
    name: str  # espeak's mnemonic, without stress marks
    start: float  # seconds
    end: float


@dataclass
class SpokenWord:
    """One or more neighbouring tokens (espeak runs pairs like 'of the' together) and their phones."""

    tokens: range  # positions in the text
    phones: list[SpokenPhone]


@dataclass
class Speech:
    samples: np.ndarray  # (n,) float32 in [-1, 1]
    words: list[SpokenWord]  # together they cover every token


class Synthesizer:
    """Speaks; made by `open_synthesizer`. `rate` is its sampling rate in Hz."""

    def __init__(self, library: ctypes.CDLL, data: Path, variants: Collection[str]):
        self.library, self.data, self.variants = library, data, variants
        self.chunks: list[np.ndarray] = []
        self.events: list[tuple[int, int, int, str]] = []  # type, text position, sample, phoneme
        self.callback = CALLBACK(self._collect)  # kept alive here: the library holds a bare pointer
        self.rate = library.espeak_Initialize(SYNCHRONOUS, 0, str(data.parent).encode(), PHONEME_EVENTS)
        if self.rate <= 0:
            raise RecipeError("espeak-ng does not start", file=data, expected="a sampling rate", found=self.rate,
                              next="pip install --force-reinstall espeakng-loader")
        library.espeak_SetSynthCallback(self.callback)
        library.espeak_ng_SetRandSeed(ctypes.c_long(1))  # breath noise; initialisation had seeded it with the time of day

    def _collect(self, samples, count, events) -> int:
        if samples and count > 0:
            self.chunks.append(np.ctypeslib.as_array(samples, (count,)).copy())
        index = 0
        while events[index].type != LIST_TERMINATED:
            event = events[index]
            if event.type in (WORD, PHONEME):
                name = bytes(event.id.string).decode() if event.type == PHONEME else ""
                self.events.append((event.type, event.text_position, event.sample, name))
            index += 1
        return 0

    def say(self, tokens: Sequence[str], voice: str = "en-us", *, rate: int = 175, pitch: int = 50,
            pitch_range: int = 50) -> Speech:
        """Speaks `tokens` as one phrase.

        Args:
          voice: accent, or accent+variant. rate: words a minute. pitch, pitch_range: 0 to 100.
        Raises:
          RecipeError: an unknown voice, or a silent result.
        """
        _, plus, variant = voice.partition("+")  # of a variant that it does not know the library says nothing
        if (plus and variant not in self.variants) or self.library.espeak_SetVoiceByName(voice.encode()) != EE_OK:
            raise RecipeError("espeak-ng does not know a voice", file=self.data, id=voice, expected="a voice of the data folder")
        for parameter, value in ((RATE, rate), (PITCH, pitch), (RANGE, pitch_range)):
            self.library.espeak_SetParameter(parameter, int(value), 0)
        self.chunks.clear()
        self.events.clear()
        text = " ".join(tokens).encode() + b"\0"
        self.library.espeak_Synth(text, len(text), 0, 1, 0, UTF8, None, None)
        samples = np.concatenate(self.chunks).astype(np.float32) / 32768 if self.chunks else np.zeros(0, np.float32)
        if not len(samples) or np.abs(samples).max() < AUDIBLE:
            raise RecipeError("espeak-ng returned silence", file=self.data, id=voice, expected=f"speech for '{' '.join(tokens)}'",
                              found=f"{len(samples)} samples, peak {np.abs(samples).max(initial=0):.4f}")
        words = self._words(tokens, len(samples))
        give_closures_to_stops([phone for word in words for phone in word.phones], samples, self.rate)
        return Speech(samples, words)

    def _words(self, tokens: Sequence[str], count: int) -> list[SpokenWord]:
        """Groups the phoneme events by token."""
        owner = [index for index, token in enumerate(tokens) for _ in range(len(token) + 1)]  # of each character
        words: list[SpokenWord] = []
        spoken: SpokenPhone | None = None
        for kind, position, sample, name in self.events:
            seconds = sample / self.rate
            if kind == WORD:
                token = owner[position - 1]
                if not words or token not in words[-1].tokens:
                    words.append(SpokenWord(range(token, token + 1), []))
                continue
            if spoken is not None:
                spoken.end = seconds
            name = name.lstrip("',%=")
            spoken = None
            if name == ";" and words and words[-1].phones:  # a glide into the next vowel: part of the phone before it
                spoken = words[-1].phones[-1]
            elif words and not name.startswith("_"):  # '_' and '_:' are pauses, events before the first word set up the voice
                spoken = SpokenPhone(name, seconds, count / self.rate)
                words[-1].phones.append(spoken)
        words = [word for word in words if word.phones]
        for word, following in zip(words, [word.tokens.start for word in words[1:]] + [len(tokens)]):
            word.tokens = range(word.tokens.start, following)
        if not words or words[0].tokens.start != 0:
            raise RecipeError("espeak-ng gave no phonemes for the first word", id=" ".join(tokens))
        return words


def give_closures_to_stops(phones: Sequence[SpokenPhone], samples: np.ndarray, rate: int) -> None:
    """Lets a stop begin with its closure, as phoneticians and aligners have it, where the library starts it at the burst.

    After a pause the closure cannot be told from the pause; there the burst remains the start.
    """
    for before, phone in zip(phones, phones[1:]):
        if phone.name in STOPS and before.end == phone.start:
            first, burst = round(before.start * rate), round(phone.start * rate)
            sounding = np.flatnonzero(samples[first:burst])
            if len(sounding):
                before.end = phone.start = (first + int(sounding[-1]) + 1) / rate


@contextlib.contextmanager
def open_synthesizer(variants: Mapping[str, str] | None = None) -> Iterator[Synthesizer]:
    """Yields a Synthesizer with the English accents and the given voice variants; its files are removed at the end.

    Args:
      variants: name -> content of a voice file; spoken as 'accent+name'.
    Raises:
      RecipeError: espeakng-loader missing, or more variants than the library can take.
    """
    try:
        import espeakng_loader
    except ImportError:
        raise RecipeError("the mini corpus needs the package espeakng-loader", expected="espeakng_loader", found="no such module",
                          next="utils/setup_env.sh, or pip install espeakng-loader") from None
    variants = dict(variants or {})
    if len(ACCENTS) + len(variants) > MAX_VOICES:
        raise RecipeError("more voices than espeak-ng can take", expected=f"at most {MAX_VOICES - len(ACCENTS)} speakers",
                          found=len(variants))
    source = Path(espeakng_loader.get_data_path())
    with tempfile.TemporaryDirectory(prefix="espeak-") as folder:
        data = Path(folder) / "espeak-ng-data"
        (data / "lang" / "gmw").mkdir(parents=True)
        (data / "voices" / "!v").mkdir(parents=True)
        for name in (*DATA_FILES, *(f"lang/gmw/{file}" for file in ACCENTS.values())):
            shutil.copyfile(source / name, data / name)
        for name, content in variants.items():
            (data / "voices" / "!v" / name).write_text(content)
        library = shutil.copyfile(espeakng_loader.get_library_path(), Path(folder) / "libespeak-ng.so")
        synthesizer = Synthesizer(ctypes.CDLL(str(library)), data, variants.keys())
        try:
            yield synthesizer
        finally:
            synthesizer.library.espeak_Terminate()
