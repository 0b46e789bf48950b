"""Is a data directory what every later step expects? (Kaldi: utils/validate_data_dir.sh and validate_text.pl.)

`DataDir.load` has looked at order, repeats, ids, times, and whether the tables hold the same ids; here comes what only a whole check can ask.
"""

from __future__ import annotations

from typing import Iterable

from ..io.archives import read_scp, refuse_pipe
from ..io.errors import RecipeError, reading
from .datadir import DataDir
from .maintain import CUTS, read_cut_lines
from .placement import SIDES
from .tables import EXTRAS, check_extra

FORBIDDEN = ("<s>", "</s>", "<eps>", "#0")  # symbols of grammars: in a transcript they would be taken for their own


def validate_data_dir(path, *, text: bool = True, feats: bool = True, wav: bool = True, allow_pipes: bool = False,
                      non_print: bool = False) -> DataDir:
    """Checks a data directory; returns it.

    Args:
      text, feats, wav: whether text, feats.scp and wav.scp must be there.
      allow_pipes: wav.scp may have commands. non_print: transcripts may have signs that cannot be seen.
    Raises:
      RecipeError: the first thing that is wrong.
    """
    need = ["spk2utt"] + ["text"] * text + ["feats.scp", "utt2num_frames"] * feats + ["wav.scp"] * wav
    data = DataDir.load(path, need=need)
    mend = f"utils/fix_data_dir {data.path}"
    check_speakers(data, mend)
    check_recordings(data, mend, allow_pipes)
    for utt, count in data.num_frames.items():
        if not count:
            raise RecipeError("utterance without frames", file=data.path / "utt2num_frames", id=utt, expected="at least 1", found=0, next=mend)
    ids: dict[str, Iterable[str]] = {"utterance": data.utt2spk, "speaker": data.spk2utt,
                                    "recording": data.wav or {s.recording for s in data.segments.values()} or data.utt2spk}
    for name, extra in EXTRAS.items():
        if (data.path / name).exists():
            check_extra(data.path / name, ids[extra.keyed], mend)
    if data.text:
        check_transcripts(data, non_print)
    if (data.path / CUTS).exists():
        utts = [utt for utt, _ in read_cut_lines(data.path / CUTS)]
        if utts != data.utts:
            wrong = next(iter(sorted(set(utts) ^ set(data.utts))), utts[0] if utts else None)
            raise RecipeError(f"utt2spk and {CUTS} disagree", file=data.path / CUTS, id=wrong,
                              expected=f"the {len(data.utts)} utterances of utt2spk, in C order",
                              found=f"{len(utts)} cuts", next=mend)
    return data


def check_speakers(data: DataDir, mend: str) -> None:
    """spk2utt is the inverse of utt2spk, and speakers are in order where their utterances are."""
    known = {speaker: utts.split() for speaker, utts in read_scp(data.path / "spk2utt", allow_pipes=True).items()}
    if known != data.spk2utt:
        wrong = next(s for s in sorted(known.keys() | data.spk2utt.keys()) if known.get(s) != data.spk2utt.get(s))
        raise RecipeError("spk2utt is not the inverse of utt2spk", file=data.path / "spk2utt", id=wrong,
                          expected=f"{len(data.spk2utt.get(wrong, []))} utterances",
                          found=f"{len(known.get(wrong, []))}", next=mend)
    previous = ""
    for utt, speaker in data.utt2spk.items():
        if speaker.encode() < previous.encode():
            raise RecipeError("speakers are not in C order where utterances are", file=data.path / "utt2spk", id=utt,
                              expected=f"a speaker from '{previous}' on", found=speaker,
                              next="make the speaker a prefix of its utterance ids, followed by '-'")
        previous = speaker


def check_recordings(data: DataDir, mend: str, allow_pipes: bool) -> None:
    """wav.scp has paths, and just the recordings that segments and reco2file_and_channel have."""
    for recording, source in data.wav.items():
        refuse_pipe(source, file=data.path / "wav.scp", id=recording, allow=allow_pipes)
        if source.startswith("~"):
            raise RecipeError("a path with ~, which only shells understand", file=data.path / "wav.scp", id=recording, expected="a path from / on, or from the "
                              "folder of the recipe", found=source, next="write the folder's name out")
    used = {segment.recording for segment in data.segments.values()}
    if data.wav and data.segments and data.wav.keys() != used:
        surplus = sorted(data.wav.keys() - used)
        raise RecipeError("recording without a segment", file=data.path / "wav.scp", id=surplus[0], expected=f"the {len(used)} recordings of segments",
                          found=f"{len(surplus)} more", next=mend)
    if data.channel and data.wav and data.channel.keys() != data.wav.keys():
        wrong = sorted(data.channel.keys() ^ data.wav.keys())
        raise RecipeError("wav.scp and reco2file_and_channel disagree", file=data.path / "reco2file_and_channel", id=wrong[0],
                          expected=f"the {len(data.wav)} recordings of wav.scp", found=f"{len(wrong)} in one of them only", next=mend)
    for recording, (_, channel) in data.channel.items():
        if channel not in SIDES:
            raise RecipeError("unknown channel", file=data.path / "reco2file_and_channel", id=recording, expected=" ".join(SIDES), found=channel)


def check_transcripts(data: DataDir, non_print: bool) -> None:
    """No word is a symbol of the grammar; white space is blanks and tabs; every sign can be seen."""
    path = data.path / "text"
    for utt, words in data.text.items():
        for word in words:
            if word in FORBIDDEN:
                raise RecipeError("a symbol of the grammar as a word", file=path, id=utt, expected="no " + " ".join(FORBIDDEN), found=word,
                                  next="take it out of the transcript, or write it otherwise")
    if non_print:
        return
    with reading(path), open(path, encoding="utf-8", newline="\n") as file:
        for number, line in enumerate(file, 1):
            body = line.removesuffix("\n").replace("\t", " ")
            if not body.isprintable():
                odd = next(letter for letter in body if not letter.isprintable())
                raise RecipeError("white space other than blanks, or a sign that cannot be seen", file=f"{path}:{number}", id=line.split()[0],
                                  expected="signs that can be seen, blanks between them", found=f"U+{ord(odd):04X}",
                                  next="replace it (sed); or allow it with --non-print, if it is no white space")
