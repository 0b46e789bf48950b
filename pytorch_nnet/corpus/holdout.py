"""Speakers kept out of training, for validation and tuning (after Kaldi's utils/subset_data_dir_tr_cv.sh), once or in turn."""

from __future__ import annotations

from ..io.errors import RecipeError
from .datadir import DataDir


def hold_out(data: DataDir, percent: float) -> tuple[list[str], list[str]]:
    """Utterances to train on, and those held out: whole speakers, evenly spread over the list, about `percent` of the utterances.

    The two sides of a conversation, speakers whose recordings are of one file, go together: they say the same things over the same line.
    Raises:
      RecipeError: percent not above 0 and below 100, or fewer than two groups of speakers.
    """
    if not 0 < percent < 100:
        raise RecipeError("impossible share to hold out", id="percent", expected="above 0 and below 100", found=percent)
    groups = speakers_by_file(data)
    if len(groups) < 2:
        raise RecipeError("speakers cannot be held out", file=data.path / "utt2spk", expected="two speakers, or two recorded files, at least",
                          found=f"{len(data.spk2utt)} speakers in {len(groups)} groups that share files", next="give a dev set of other speech")
    spk2utt, due = data.spk2utt, 0.0
    held: list[str] = []
    train: list[str] = []
    for group in groups:
        utts = [utt for speaker in group for utt in spk2utt[speaker]]
        due += len(utts) * percent / 100
        if due >= len(held) + len(utts) / 2:
            held += utts
        else:
            train += utts
    if not held or not train:
        smallest = min(groups, key=lambda group: (sum(len(spk2utt[speaker]) for speaker in group), group))
        alone = [utt for speaker in smallest for utt in spk2utt[speaker]]
        rest = [utt for utt in data.utts if utt not in set(alone)]
        train, held = (alone, rest) if not train else (rest, alone)
    return train, held


def fold(data: DataDir, parts: int, part: int) -> tuple[list[str], list[str]]:
    """The same for a part, 1 to `parts`, of a cross-validation: every parts-th group of speakers is held out.

    So what the list of speakers is sorted by is in every part. (AN4's begins with the women: one part of three neighbouring ones would be
    recognised by models that have heard men alone.)
    Raises:
      RecipeError: fewer than two parts, fewer groups than parts, or no such part.
    """
    groups = speakers_by_file(data)
    if not (2 <= parts <= len(groups) and 1 <= part <= parts):
        raise RecipeError("speakers cannot be parted so", file=data.path / "utt2spk",
                          expected=f"2 to {len(groups)} parts, as many as there are groups of speakers that share files, and one of them",
                          found=f"part {part} of {parts}")
    held = {utt for group in groups[part - 1::parts] for speaker in group for utt in data.spk2utt[speaker]}
    return [utt for utt in data.utts if utt not in held], [utt for utt in data.utts if utt in held]


def speakers_by_file(data: DataDir) -> list[list[str]]:
    """Groups of speakers, in C order of their first: those who share a recorded file, directly or through others."""
    group_of: dict[str, list[str]] = {}
    owner: dict[str, str] = {}  # file -> a speaker in it
    for utt, speaker in data.utt2spk.items():
        own = group_of.setdefault(speaker, [speaker])
        file = data.ctm_place(utt)[0]
        other = group_of[owner.setdefault(file, speaker)]
        if other is not own:
            other += own
            group_of.update(dict.fromkeys(own, other))
    distinct = {id(group): sorted(group, key=str.encode) for group in group_of.values()}
    return sorted(distinct.values(), key=lambda group: group[0].encode())
