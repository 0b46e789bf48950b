"""Kaldi data directories <-> Lhotse manifests.

A file with two sides is one Lhotse recording with two channels, named by its entry in reco2file_and_channel; each
utterance is a supervision and a MonoCut of its own channel, under its own id. What Lhotse has no field for (the name of
the side's recording, its letter) travels in the supervision's `custom`, so that the way back is exact.

To load .sph audio through Lhotse, choose its libsndfile backend (LHOTSE_AUDIO_BACKEND=LibsndfileBackend in the
environment); by default it calls the sph2pipe program.
"""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Iterable

from lhotse import AudioSource, CutSet, MonoCut, Recording, RecordingSet, SupervisionSegment, SupervisionSet

from ..io.errors import RecipeError
from ..io.publish import publish_folder
from .audio import is_command
from .datadir import DataDir, Segment, check_apart
from .placement import MAX_OVERSHOOT, Placement, place_utterances


def to_lhotse(data: DataDir, *, sampling_rate: int | None = None, allow_pipes: bool = False,
              max_overshoot: float = MAX_OVERSHOOT) -> tuple[RecordingSet, SupervisionSet, CutSet]:
    """The manifests of a data directory, utterances in C order. Arguments and errors as in `place_utterances`."""
    placements = place_utterances(data, sampling_rate=sampling_rate, allow_pipes=allow_pipes,
                                  max_overshoot=max_overshoot)
    cuts = list(make_cuts(data, placements))
    recordings = {cut.recording_id: cut.recording for cut in cuts}
    supervisions = [cut.supervisions[0].with_offset(cut.start) for cut in cuts]
    return (RecordingSet.from_recordings(recordings.values()), SupervisionSet.from_segments(supervisions),
            CutSet.from_cuts(cuts))


def make_cuts(data: DataDir, placements: Iterable[Placement]) -> Iterable[MonoCut]:
    """Yields a MonoCut per placement: the utterance's id, times and channel, with recording and supervision."""
    recordings: dict[str, Recording] = {}
    for place in placements:
        recording = make_recording(data, place)
        if recordings.setdefault(recording.id, recording) != recording:
            raise RecipeError("two audio files under one name", file=data.path / "reco2file_and_channel",
                              id=place.recording,
                              expected=recordings[recording.id].sources[0].source, found=place.audio.source)
        custom = {"recording": place.recording}
        if place.recording in data.channel:
            custom["file"], custom["side"] = data.channel[place.recording]
        # Rounded where Lhotse rounds, so that times compare equal after a trip through JSON.
        duration = round(place.end - place.start, ndigits=8)
        supervision = SupervisionSegment(
            id=place.utt, recording_id=recording.id, start=0.0, duration=duration, channel=place.channel,
            text=" ".join(data.text[place.utt]) if data.text else None, speaker=data.utt2spk[place.utt], custom=custom)
        yield MonoCut(id=place.utt, start=place.start, duration=duration, channel=place.channel,
                      recording=recordings[recording.id], supervisions=[supervision])


def make_recording(data: DataDir, place: Placement) -> Recording:
    """The Lhotse recording of a placement's file, all channels; at another speed, one that Lhotse changes as it reads."""
    audio = place.audio
    shared = audio.channels > 1 and place.recording in data.channel
    recording = Recording(
        id=data.channel[place.recording][0] if shared else place.recording,
        sources=[AudioSource(type="command" if is_command(audio.source) else "file",
                             channels=list(range(audio.channels)),
                             source=audio.source.rstrip().rstrip("|") if is_command(audio.source) else audio.source)],
        sampling_rate=audio.sampling_rate, num_samples=audio.samples, duration=audio.samples / audio.sampling_rate)
    return recording if place.speed == 1 else recording.perturb_speed(place.speed, affix_id=False)


def speed_of(cut: MonoCut) -> float:
    """The factor of a recording's one transform. Raises RecipeError for any other: a data directory cannot say it."""
    transforms = [t if isinstance(t, dict) else t.to_dict() for t in cut.recording.transforms or []]
    if not transforms:
        return 1.0
    if [t["name"] for t in transforms] != ["Speed"]:
        raise RecipeError("recording with a transform that a data directory cannot hold", id=cut.id,
                          expected="none, or one change of speed", found=", ".join(t["name"] for t in transforms),
                          next="save the transformed audio: cuts.save_audios(...)")
    return float(transforms[0]["kwargs"]["factor"])


def write_manifests(data: DataDir, folder, *, allow_pipes: bool = False) -> tuple[int, int]:
    """Publishes recordings, supervisions and cuts (.jsonl.gz) as `folder`; the same data gives the same bytes.

    Returns the numbers of recordings and of cuts.
    """
    check_apart(data.path, folder)
    recordings, supervisions, cuts = to_lhotse(data, allow_pipes=allow_pipes)
    with publish_folder(folder) as temporary:
        for name, manifest in (("recordings", recordings), ("supervisions", supervisions), ("cuts", cuts)):
            with open(temporary / f"{name}.jsonl.gz", "wb") as packed, \
                    gzip.GzipFile(filename="", mode="wb", fileobj=packed, mtime=0) as file:
                file.writelines(f"{json.dumps(item.to_dict(), ensure_ascii=False)}\n".encode() for item in manifest)
    return len(recordings), len(cuts)


def from_lhotse(cuts: CutSet, path) -> DataDir:
    """Publishes a data directory from cuts with one supervision each, of `to_lhotse` or of any other Lhotse recipe.

    An utterance takes the id of its supervision. A recording with several channels becomes one per side,
    `<id>-A` and `<id>-B`, unless its cuts carry the names.
    Raises:
      RecipeError: a cut without exactly one supervision, without speaker or recording, or not of one channel; two of one id.
    """
    data, whole = DataDir(Path(path), {}), True
    for cut in sorted(cuts, key=lambda cut: cut.id.encode()):
        if not (isinstance(cut, MonoCut) and cut.has_recording
                and len(cut.supervisions) == 1 and cut.supervisions[0].speaker):
            raise RecipeError("cut is not one utterance", id=cut.id, next="cuts.trim_to_supervisions()",
                              expected="one channel, a recording, one supervision with a speaker",
                              found=f"{type(cut).__name__} with {len(cut.supervisions)} supervisions")
        supervision, audio = cut.supervisions[0], cut.recording
        custom, several = supervision.custom or {}, audio.num_channels > 1
        side = custom.get("side", "AB"[cut.channel] if cut.channel < 2 else str(cut.channel + 1))
        recording = custom.get("recording", f"{audio.id}-{side}" if several else audio.id)
        source = audio.sources[0]
        if supervision.id in data.utt2spk:
            raise RecipeError("two cuts of one utterance", file=path, id=supervision.id, expected="an id for each supervision", found="two of them",
                              next="give the supervisions ids of their own: cuts.map_supervisions(...)")
        data.utt2spk[supervision.id] = supervision.speaker
        if supervision.text:
            data.text[supervision.id] = supervision.text.split()
        data.wav[recording] = f"{source.source.rstrip()} |" if source.type == "command" else str(source.source)
        data.speed[recording] = speed_of(cut)
        if several or "side" in custom:
            data.channel[recording] = (custom.get("file", audio.id), side)
        start = cut.start + supervision.start
        data.segments[supervision.id] = Segment(recording, start, start + supervision.duration)
        of_all = start == 0 and abs(supervision.duration - audio.duration) * audio.sampling_rate <= 1
        whole = whole and supervision.id == recording and of_all
    if whole:
        data.segments = {}  # every recording is one utterance
    if set(data.speed.values()) == {1.0}:
        data.speed = {}
    data.check_agreement()
    with publish_folder(path) as folder:
        data.write(folder)
    data.path = Path(path)
    return data
