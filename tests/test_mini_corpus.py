"""The mini corpus: grammar, pronunciations, voices, true times, files, determinism."""

import filecmp
import re
import tempfile
from pathlib import Path

import numpy as np
import pytest
import soundfile

from pytorch_nnet.corpus.mini import conversation, espeak
from pytorch_nnet.corpus.mini.channel import RATE, SOUNDS, Line
from pytorch_nnet.corpus.mini.conversation import Conversation, Segment, TimedWord, split_group
from pytorch_nnet.corpus.mini.espeak import SpokenPhone, SpokenWord, open_synthesizer
from pytorch_nnet.corpus.mini.grammar import Grammar, join_articles
from pytorch_nnet.corpus.mini.pronounce import PHONES, arpabet, pronunciations
from pytorch_nnet.corpus.mini.speakers import draw_speaker
from pytorch_nnet.corpus.mini.writer import Size, write_corpus, write_references
from pytorch_nnet.io.errors import RecipeError

TINY = Size(train=2, test=2, seconds=12)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("mini") / "corpus"
    write_corpus(folder, TINY, seed=3)
    return folder


def read_ctm(path: Path) -> list[tuple[float, float, str]]:
    """Start, end and word of each line."""
    rows = [line.split() for line in path.read_text().splitlines()]
    assert {f"{name}-{channel}" for name, channel, *_ in rows} == {path.name.split(".")[0]}
    return [(float(start), float(start) + float(duration), word) for _, _, start, duration, word in rows]


def test_grammar_draws_only_its_vocabulary_and_varies():
    grammar, rng = Grammar(), np.random.default_rng(0)
    vocabulary = set(grammar.vocabulary())
    sentences = [grammar.hesitate(grammar.draw("turn", topic, rng), rng) for topic in grammar.topics for _ in range(60)]
    said = {word for sentence in sentences for word in sentence}
    assert said <= vocabulary and len(said) > 400
    assert len({tuple(sentence) for sentence in sentences}) > 0.95 * len(sentences)
    assert not {word for word in vocabulary if not re.fullmatch(r"[a-z']+(-[a-z]+)?", word)}


def test_grammar_refuses_an_unknown_rule():
    with pytest.raises(RecipeError, match="unknown rule"):
        Grammar("turn: a <nothing>", {"topic": "thing: b"})


def test_articles():
    assert join_articles("a old dog and a used car".split()) == "an old dog and a used car".split()


def test_every_word_has_a_pronunciation_of_known_phones():
    words = Grammar().vocabulary()
    with open_synthesizer() as synthesizer:
        lexicon = pronunciations(synthesizer, words)
    assert list(lexicon) == words and len(PHONES) == 40
    assert all(forms and all(form and set(form) <= set(PHONES) for form in forms) for forms in lexicon.values())
    assert lexicon["dog"] == [["d", "aa", "g"]] and lexicon["airport"] == [["eh", "r", "p", "ao", "r", "t"]]
    assert lexicon["a"] == [["ey"], ["ax"]]


def test_doubled_r_is_one_phone_and_a_pair_is_halved():
    mapped = arpabet([SpokenPhone("e@", 0.0, 0.2), SpokenPhone("r", 0.2, 0.3)])
    assert [(p.name, round(p.start, 3), round(p.end, 3)) for p in mapped] == [("eh", 0.0, 0.1), ("r", 0.1, 0.3)]


def test_words_run_together_share_their_phones():
    group = SpokenWord(range(1, 3), [SpokenPhone(n, k / 10, (k + 1) / 10) for k, n in enumerate(["V", "v", "D", "@"])])
    words = split_group(group, ["out", "of", "the"], {"of": [["ah", "v"]], "the": [["dh", "ax"]]}, 0.5, 1.0)
    assert [(w.word, w.start, w.end) for w in words] == [("of", 1.0, pytest.approx(1.1)), ("the", pytest.approx(1.1), pytest.approx(1.2))]


def test_a_stop_begins_with_its_closure():
    with open_synthesizer() as synthesizer:
        speech = synthesizer.say("we talk to a cat".split())
        rate = synthesizer.rate
    phones = [phone for word in speech.words for phone in word.phones]
    stops = [index for index, phone in enumerate(phones) if phone.name in espeak.STOPS]
    assert len(stops) == 5
    for index in stops:
        before, phone = phones[index - 1], phones[index]
        first = round(phone.start * rate)
        assert before.end == phone.start and speech.samples[first - 1] != 0
        if phone.name in ("t", "k"):  # voiceless: a whole closure, then the burst
            closure = np.flatnonzero(speech.samples[first:])[0] / rate
            assert 0.03 < closure < 0.07 and phone.end > phone.start + closure
    vowels = [phone for phone in phones if phone.name == "i:"]
    assert vowels[0].end - vowels[0].start < 0.08


def test_unknown_voice_and_too_many_voices_are_refused():
    with open_synthesizer({"v": "language variant\nname v\n"}) as synthesizer:
        assert np.abs(synthesizer.say(["hello"], "en-us+v").samples).max() > 0.05
        with pytest.raises(RecipeError, match="nosuch"):
            synthesizer.say(["hello"], "en-us+nosuch")
    with pytest.raises(RecipeError, match="at most 344 speakers"):
        with open_synthesizer({f"v{k}": "" for k in range(espeak.MAX_VOICES)}):
            pass


def test_as_many_voices_as_allowed_can_be_heard():
    names = [f"v{k}" for k in range(espeak.MAX_VOICES - len(espeak.ACCENTS))]
    with open_synthesizer({name: f"language variant\nname {name}\n" for name in names}) as synthesizer:
        assert np.abs(synthesizer.say(["hello"], f"en-us+{names[-1]}").samples).max() > 0.05


def test_private_files_are_removed(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with open_synthesizer():
        assert list(tmp_path.iterdir())
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_line_has_the_noise_it_promises():
    rng = np.random.default_rng(1)
    clean = np.zeros(8 * RATE, np.float32)
    clean[4 * RATE:] = 0.1 * rng.standard_normal(4 * RATE)
    sent = Line(300, 3400, 0.0, snr=6.0, level=-26.0, colour=0.5).carry(clean, rng)
    noise, both = np.mean(sent[:4 * RATE]**2), np.mean(sent[4 * RATE:]**2)
    assert 10 * np.log10((both - noise) / noise) == pytest.approx(6.0, abs=0.7)
    spectrum = np.abs(np.fft.rfft(sent[4 * RATE:]))**2  # bins of 0.25 Hz
    assert spectrum[:400].mean() < 0.01 * spectrum[4000:8000].mean()


def test_speakers_are_all_different():
    speakers = [draw_speaker(1, number) for number in range(120)]
    voices = {s.description.replace(s.variant, "") for s in speakers}  # their names alone would make them differ
    assert len(voices) == len({s.line for s in speakers}) == len({s.variant for s in speakers}) == 120
    assert {s.gender for s in speakers} == {"F", "M"}
    assert draw_speaker(1, 7) == speakers[7] and draw_speaker(2, 7).line != speakers[7].line


def test_corpus_has_the_layout_of_the_releases(corpus):
    files = {str(path.relative_to(corpus)) for path in corpus.rglob("*") if path.is_file()}
    assert {"LDC97S62/swb1_d1/data/sw02001.sph", "LDC97S62/swb1_d2/data/sw02002.sph",
            "swb_ms98_transcriptions/sw-ms98-dict.text", "swb_ms98_transcriptions/20/2001/sw2001A-ms98-a-trans.text",
            "swb_ms98_transcriptions/20/2002/sw2002B-ms98-a-word.text", "LDC2002S09/hub5e_00/english/en_4156.sph",
            "LDC2002S09/hub5e_00/english/sw_4390.sph", "LDC2002S09/hub5e_00/english/hub5e_00.pem",
            "LDC2002T43/reference/hub5e00.english.000405.stm", "LDC2002T43/reference/en20000405_hub5.glm",
            "LDC2002T43/reference/english/en_4156.txt", "truth/sw02001-A.words.ctm", "truth/en_4156-B.phones.ctm"} <= files
    info = soundfile.info(str(corpus / "LDC97S62/swb1_d1/data/sw02001.sph"))
    assert (info.samplerate, info.channels, info.subtype, info.format) == (8000, 2, "ULAW", "NIST")


def test_transcripts_cover_the_recording_and_contain_the_true_words(corpus):
    duration = soundfile.info(str(corpus / "LDC97S62/swb1_d1/data/sw02001.sph")).duration
    for letter in "AB":
        lines = (corpus / f"swb_ms98_transcriptions/20/2001/sw2001{letter}-ms98-a-trans.text").read_text().splitlines()
        rows = [line.split() for line in lines]
        starts, ends = [float(row[1]) for row in rows], [float(row[2]) for row in rows]
        assert starts[0] == 0 and ends[-1] == pytest.approx(duration, abs=0.02)
        assert all(0 <= start - end < 0.02 for start, end in zip(starts[1:], ends))
        truth = read_ctm(corpus / f"truth/sw02001-{letter}.words.ctm")
        spoken = [(float(row[1]), float(row[2]), row[3:]) for row in rows if row[3:] != ["[silence]"]]
        assert [word for _, _, word in truth] == [word for _, _, words in spoken for word in words]
        position = 0
        for start, end, words in spoken:
            inside = truth[position:position + len(words)]
            assert start - 0.001 <= inside[0][0] and inside[-1][1] <= end + 0.001
            position += len(words)


def test_phones_tile_their_words(corpus):
    for path in sorted((corpus / "truth").glob("*.words.ctm")):
        words = [row for row in read_ctm(path) if row[2] not in SOUNDS]
        phones = read_ctm(Path(str(path).replace(".words.", ".phones.")))
        assert {phone for _, _, phone in phones} <= set(PHONES)
        for start, end, word in words:
            inside = [p for p in phones if start - 2e-4 <= p[0] and p[1] <= end + 2e-4]
            assert inside and inside[0][0] == pytest.approx(start, abs=2e-4) and inside[-1][1] == pytest.approx(end, abs=2e-4), word


def test_true_times_are_where_the_sound_is(corpus):
    """Line noise fills the pauses, so speech must be louder inside words than outside, and most clearly without a shift."""
    samples, _ = soundfile.read(str(corpus / "LDC97S62/swb1_d1/data/sw02001.sph"))
    for channel, letter in enumerate("AB"):
        power = (samples[:len(samples) // 80 * 80, channel].reshape(-1, 80)**2).mean(axis=1)
        spoken = np.zeros(len(power), bool)
        for start, end, _ in read_ctm(corpus / f"truth/sw02001-{letter}.words.ctm"):
            spoken[round(start * 100):round(end * 100)] = True
        contrast = {shift: np.log(power[np.roll(spoken, shift)]).mean() - np.log(power[~np.roll(spoken, shift)]).mean()
                    for shift in range(-20, 21)}
        assert contrast[0] > 0.3 and abs(max(contrast, key=contrast.get)) <= 5


def test_stm_labels_are_declared_and_noise_is_not_scored(corpus):
    lines = (corpus / "LDC2002T43/reference/hub5e00.english.000405.stm").read_text().splitlines()
    declared = {line.split('"')[1] for line in lines if line.startswith(";; LABEL")}
    for line in (line for line in lines if not line.startswith(";;")):
        fields = line.split()
        assert set(fields[5].strip("<>").split(",")) <= declared and len(fields) > 6
        assert "[" not in line and " ".join(fields[6:]).isupper()


def test_a_segment_without_words_is_not_scored(tmp_path):
    speakers = (draw_speaker(1, 0), draw_speaker(1, 1))
    segments = [Segment(0, 1.0, 1.5, [TimedWord("[laughter]", 1.1, 1.4, [])]),
                Segment(0, 2.0, 3.0, [TimedWord("yeah", 2.1, 2.4, []), TimedWord("[noise]", 2.5, 2.9, [])])]
    write_references(tmp_path, [Conversation("sw_4390", np.zeros((0, 2), np.float32), segments, speakers)])
    stm = (tmp_path / "LDC2002T43/reference/hub5e00.english.000405.stm").read_text().splitlines()
    gender = speakers[0].gender
    assert [line for line in stm if not line.startswith(";;")] == [
        f"sw_4390 A sw_4390_A 1.00 1.50 <O,sw,{gender},sw-{gender}> IGNORE_TIME_SEGMENT_IN_SCORING",
        f"sw_4390 A sw_4390_A 2.00 3.00 <O,sw,{gender},sw-{gender}> YEAH"]
    pem = (tmp_path / "LDC2002S09/hub5e_00/english/hub5e_00.pem").read_text().splitlines()
    assert pem[1:] == ["sw_4390 A unknown_speaker 1.00 1.50", "sw_4390 A unknown_speaker 2.00 3.00"]


@pytest.mark.slow
def test_same_seed_same_bytes_other_seed_other_words(corpus, tmp_path):
    def files(folder: Path) -> list[str]:
        return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())

    write_corpus(tmp_path / "again", TINY, seed=3)
    write_corpus(tmp_path / "other", TINY, seed=4)
    assert files(tmp_path / "again") == files(corpus) == files(tmp_path / "other")
    _, differ, errors = filecmp.cmpfiles(corpus, tmp_path / "again", files(corpus), shallow=False)
    assert not differ and not errors
    assert not filecmp.cmp(corpus / "truth/sw02001-A.words.ctm", tmp_path / "other/truth/sw02001-A.words.ctm", shallow=False)


def test_nothing_is_published_when_a_word_cannot_be_heard(tmp_path, monkeypatch):
    monkeypatch.setattr(conversation, "to_telephone_rate", lambda samples, rate, warp: (np.zeros(9 * RATE, np.float32), 1.0))
    with pytest.raises(RecipeError, match="cannot be heard"):
        write_corpus(tmp_path / "corpus", Size(train=1, test=1, seconds=5), seed=1)
    assert not list(tmp_path.iterdir())


def test_command_refuses_what_it_cannot_do(run, tmp_path):
    done = run("local/make_mini_corpus", "--size", "huge", tmp_path / "corpus")
    assert done.returncode == 1 and "smoke or default" in done.stderr and "Traceback" not in done.stderr
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter1").touch()
    done = run("local/make_mini_corpus", "--size", "smoke", tmp_path / "thesis")
    assert done.returncode == 1 and "would be replaced" in done.stderr and (tmp_path / "thesis" / "chapter1").exists()
