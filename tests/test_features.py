"""Features against kaldi-native-fbank, and steps/make_mfcc, make_fbank, compute_cmvn_stats on telephone data."""

import json

import kaldi_native_fbank as knf
import lhotse
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lhotse.features.base import FeatureExtractor

from pytorch_nnet.corpus.audio import read_audio
from pytorch_nnet.corpus.datadir import DataDir, Segment
from pytorch_nnet.corpus.validate import validate_data_dir
from pytorch_nnet.features import compute, compute_job
from pytorch_nnet.features.cmvn import apply_cmvn, compute_cmvn_stats
from pytorch_nnet.features.compute import MakeFbankOptions, MakeMfccOptions, make_features
from pytorch_nnet.features.deltas import add_deltas, splice
from pytorch_nnet.features.extractors import KaldiMfcc, RootFbank
from pytorch_nnet.features.fbank import FbankConfig, fbank
from pytorch_nnet.features.frontend import FrontendConfig, mel_energies, num_frames
from pytorch_nnet.features.mfcc import MfccConfig, mfcc
from pytorch_nnet.features.reader import FeatureReader
from pytorch_nnet.features.storage import ArchiveWriter
from pytorch_nnet.io.errors import RecipeError
from speech import noise, telephone


def kaldi(samples, config, cepstra=False):
    """kaldi-native-fbank's mel energies, or its MFCCs."""
    options = knf.MfccOptions() if cepstra else knf.FbankOptions()
    frame, mel = options.frame_opts, options.mel_opts
    frame.samp_freq, frame.dither, frame.snip_edges = config.sampling_rate, 0, config.snip_edges
    frame.frame_length_ms, frame.frame_shift_ms = config.frame_length, config.frame_shift
    frame.window_type, frame.preemph_coeff = config.window_type, config.preemphasis_coefficient
    mel.num_bins, mel.low_freq, mel.high_freq = config.num_mel_bins, config.low_freq, config.high_freq
    options.use_energy = False
    if cepstra:
        options.num_ceps, options.cepstral_lifter = config.num_ceps, config.cepstral_lifter
    else:
        options.use_log_fbank = False
    online = (knf.OnlineMfcc if cepstra else knf.OnlineFbank)(options)
    online.accept_waveform(config.sampling_rate, samples.tolist())
    online.input_finished()
    return np.array([online.get_frame(t) for t in range(online.num_frames_ready)])


def test_no_more_cepstra_than_mel_filters():
    with pytest.raises(RecipeError, match="more cepstral coefficients"):
        mfcc(np.zeros(800), MfccConfig(num_ceps=24, num_mel_bins=23))


@pytest.mark.parametrize("options", [
    {"num_mel_bins": 31}, {"num_mel_bins": 31, "sampling_rate": 16000}, {"snip_edges": False},
                                     {"window_type": "hamming"},
    {"window_type": "hanning"}, {"low_freq": 125.0, "high_freq": 3800.0}, {"high_freq": -300.0},
    {"preemphasis_coefficient": 0.0}, {"frame_length": 32.0, "frame_shift": 8.0, "window_type": "rectangular"}])
def test_mel_energies_agree_with_kaldi(options):
    config = FrontendConfig(**options)
    samples = (noise(6.2, config.sampling_rate) * 20000).round().astype(np.float32)
    ours, theirs = mel_energies(samples, config), kaldi(samples, config)
    assert ours.shape == theirs.shape and ours.dtype == np.float32
    assert len(ours) > 600  # more than one block
    np.testing.assert_allclose(ours, theirs, rtol=1e-4)


def test_weak_bands_beside_strong_ones_survive_float32():
    """Against the same chain in float64, with a tone 70 dB above the rest."""
    config = FrontendConfig(num_mel_bins=31)
    time = np.arange(8000) / 8000
    samples = (8000 * np.sin(2 * np.pi * 300 * time) + 3 * np.random.default_rng(0).standard_normal(8000)).round()
    windows = np.stack([samples[start:start + 200] for start in range(0, 8000 - 199, 80)])
    windows -= windows.mean(axis=1, keepdims=True)
    windows -= 0.97 * np.concatenate([windows[:, :1], windows[:, :-1]], axis=1)
    windows *= (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(200) / 199)) ** 0.85
    power = np.abs(np.fft.rfft(windows, 256))[:, :128] ** 2
    edges = np.linspace(*(1127 * np.log(1 + f / 700) for f in (20, 4000)), 33)
    bins = 1127 * np.log(1 + np.arange(128) * 31.25 / 700)
    filters = np.array([np.interp(bins, edges[k:k + 3], [0, 1, 0]) for k in range(31)])
    np.testing.assert_allclose(mel_energies(samples, config), power @ filters.T, rtol=1e-3)


@pytest.mark.parametrize("rate, bins, snip", [(8000, 23, True), (16000, 40, True), (8000, 23, False)])
def test_mfcc_agrees_with_kaldi(rate, bins, snip):
    config = MfccConfig(sampling_rate=rate, num_mel_bins=bins, snip_edges=snip)
    samples = (noise(2, rate) * 20000).round().astype(np.float32)
    ours, theirs = mfcc(samples, config), kaldi(samples, config, cepstra=True)
    assert ours.shape == theirs.shape == (num_frames(len(samples), config), 13)
    np.testing.assert_allclose(ours, theirs, atol=2e-3)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 3000), st.sampled_from([8000, 16000]), st.booleans())
def test_frame_counts_are_kaldis(count, rate, snip):
    config = FrontendConfig(sampling_rate=rate, snip_edges=snip)
    samples = np.ones(count, dtype=np.float32)
    if count < config.window and not snip:
        return  # Kaldi mirrors more than once there; utterances that short are refused
    assert len(mel_energies(samples, config)) == num_frames(count, config) == len(kaldi(samples, config))


def test_fbank_is_the_tenth_root_of_mel_energies():
    config = FbankConfig()
    samples = (noise(1) * 20000).astype(np.float32)
    feats = fbank(samples, config)
    assert feats.shape == (98, 31) and feats.dtype == np.float32
    np.testing.assert_allclose(feats.astype(np.float64) ** 10, mel_energies(samples, config), rtol=1e-4)
    assert (fbank(np.zeros(8000), config) == 0).all()
    assert np.isfinite(mfcc(np.zeros(8000), MfccConfig())).all()


@pytest.mark.parametrize("options, word", [({"num_mel_bins": 200}, "covers no bin"),
                                           ({"high_freq": 5000.0}, "frequency band"),
                                           ({"window_type": "kaiser"}, "window type")])
def test_impossible_filters_are_refused(options, word):
    with pytest.raises(RecipeError, match=word):
        fbank(np.ones(8000), FbankConfig(**options))


def test_extractors_are_registered_and_take_lhotses_scale(tmp_path):
    samples = noise(1).astype(np.float32)
    for kind, config, function in ((RootFbank, FbankConfig(), fbank), (KaldiMfcc, MfccConfig(), mfcc)):
        extractor = FeatureExtractor.from_dict(kind(config).to_dict())
        assert isinstance(extractor, kind) and extractor.config == config
        assert extractor.frame_shift == 0.01 and extractor.feature_dim(8000) == config.dim
        np.testing.assert_array_equal(extractor.extract(samples[None], 8000), function(samples * 32768, config))
        with pytest.raises(RecipeError, match="sampling rate") as error:
            extractor.extract(samples, 16000)
        assert error.value.expected == "8000 Hz" and error.value.found == "16000 Hz"
    # Lhotse's own pipeline checks the frame count against the duration, which suits snip_edges=false.
    with open(tmp_path / "x.ark", "wb") as stream:
        extractor = RootFbank(FbankConfig(snip_edges=False))
        features = extractor.extract_from_samples_and_store(samples[None], ArchiveWriter(tmp_path / "x.ark", stream),
                                                            8000)
    np.testing.assert_array_equal(features.load(), extractor.extract(samples, 8000))


def kaldi_deltas(feats, order, window):
    """The definition, frame by frame, as in Kaldi's DeltaFeatures: scales by convolution, frames clamped."""
    scales = [[1.0]]
    for _ in range(order):
        old = scales[-1]
        new = [0.0] * (len(old) + 2 * window)
        norm = sum(j * j for j in range(-window, window + 1))
        for j in range(-window, window + 1):
            for k, value in enumerate(old):
                new[j + window + k] += j * value / norm
        scales.append(new)
    rows = []
    for t in range(len(feats)):
        row = []
        for taps in scales:
            half = len(taps) // 2
            row.append(sum(taps[k + half] * feats[min(max(t + k, 0), len(feats) - 1)] for k in range(-half, half + 1)))
        rows.append(np.concatenate(row))
    return np.array(rows)


@pytest.mark.parametrize("frames", [1, 3, 20])
@pytest.mark.parametrize("order, window", [(1, 2), (2, 2), (2, 3), (3, 1)])
def test_deltas_are_kaldis(frames, order, window):
    feats = np.random.default_rng(frames).standard_normal((frames, 4)).astype(np.float32)
    np.testing.assert_allclose(add_deltas(feats, order, window), kaldi_deltas(feats, order, window), atol=1e-5)


def test_delta_of_a_ramp_is_its_slope_and_splice_clamps():
    ramp = 3.0 * np.arange(20, dtype=np.float32)[:, None]
    deltas = add_deltas(ramp)
    np.testing.assert_allclose(deltas[4:-4, 1], 3, rtol=1e-5)
    np.testing.assert_allclose(deltas[4:-4, 2], 0, atol=1e-4)
    feats = np.arange(6, dtype=np.float32).reshape(3, 2)
    np.testing.assert_array_equal(splice(feats, 1, 2), [[0, 1, 0, 1, 2, 3, 4, 5], [0, 1, 2, 3, 4, 5, 4, 5],
                                                        [2, 3, 4, 5, 4, 5, 4, 5]])


@pytest.fixture
def in_process(monkeypatch):
    """Runs the jobs here, one after another: a process each would only import Lhotse again."""

    def jobs(cmd, count, log, command):
        for job in range(1, count + 1):
            compute_job.main([str(job) if word == "JOB" else str(word) for word in command[3:]])

    monkeypatch.setattr(compute, "run_jobs", jobs)


def matrices(path):
    return dict(FeatureReader(path, cmvn=None))


def test_features_do_not_depend_on_the_number_of_jobs(tmp_path, in_process):
    data = telephone(tmp_path)
    counts = make_features(data.path, MakeFbankOptions(nj=1))
    one = matrices(data.path)
    assert make_features(data.path, MakeFbankOptions(nj=3)) == counts == (12, sum(map(len, one.values())))
    three = matrices(data.path)
    assert list(one) == list(three) == data.utts
    for utt, feats in one.items():
        np.testing.assert_array_equal(three[utt], feats)
    assert len(list((data.path / "data").glob("raw_*.ark"))) == 3
    make_features(data.path, MakeFbankOptions(nj=99))  # at most one job per speaker
    assert len(list((data.path / "data").iterdir())) == 4, "stale archives or pieces are left"
    validate_data_dir(data.path)


def test_each_utterance_has_its_own_side_and_span(tmp_path, in_process):
    data = telephone(tmp_path)
    make_features(data.path, MakeMfccOptions(nj=2))
    audio, rate = read_audio(data.wav["sw02002-B"])
    feats = matrices(data.path)["sw02002-B_000090-000175"]
    np.testing.assert_array_equal(feats, mfcc(audio[1, 7200:14000] * np.float32(32768), MfccConfig()))
    assert len(feats) == 1 + (6800 - 200) // 80


def test_cuts_and_index_point_at_the_same_bytes(tmp_path, in_process, monkeypatch):
    monkeypatch.setenv("LHOTSE_AUDIO_BACKEND", "LibsndfileBackend")
    data = telephone(tmp_path)
    make_features(data.path, MakeFbankOptions(nj=2))
    cuts = lhotse.load_manifest(data.path / "cuts.jsonl.gz")
    lhotse.validate(cuts, read_data=True)
    reader, index = FeatureReader(data.path, cmvn=None), DataDir.load(data.path)
    assert [cut.id for cut in cuts] == reader.keys() == data.utts
    for cut in cuts:
        assert f"{cut.features.storage_path}:{cut.features.storage_key}" == index.feats[cut.id]
        np.testing.assert_array_equal(cut.load_features(), reader[cut.id])
        segment = data.segments[cut.id]
        assert cut.start == segment.start and cut.supervisions[0].end == pytest.approx(segment.end - segment.start)
        assert cut.num_frames == index.num_frames[cut.id]


@pytest.mark.slow
def test_steps_make_features_and_statistics(tmp_path, run):
    data = telephone(tmp_path)
    config = tmp_path / "fbank.yaml"
    config.write_text("sampling_rate: 8000\nnum_mel_bins: 31\nroot: 10\n")
    done = run("steps/make_fbank", "--nj", 2, "--config", config, data.path)
    assert done.returncode == 0, done.stderr
    assert "12 utterances" in done.stderr
    with pytest.raises(RecipeError, match="cmvn.scp") as error:
        FeatureReader(data.path)
    assert error.value.next == f"steps/compute_cmvn_stats {data.path}"
    done = run("steps/compute_cmvn_stats", data.path)
    assert done.returncode == 0 and "4 speakers" in done.stderr, done.stderr
    reader = FeatureReader(data.path)
    for utts in reader.data.spk2utt.values():
        np.testing.assert_allclose(np.concatenate([reader[utt] for utt in utts]).mean(axis=0), 0, atol=1e-4)
    assert run("utils/validate_data_dir", data.path).returncode == 0
    # A misspelt option, and a file at 16 kHz where 8 is expected: the report names both sides.
    done = run("steps/make_fbank", "--num-mel-bin", 31, data.path)
    assert done.returncode == 1 and "did you mean 'num_mel_bins'?" in done.stderr
    wide = telephone(tmp_path / "wide", conversations=1, rate=16000)
    done = run("steps/make_fbank", "--nj", 1, "--config", config, wide.path)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    for words in ("another sampling rate", "sw02001.sph", "sw02001-A", "expected: 8000 Hz", "found:    16000 Hz",
                  "next:"):
        assert words in done.stderr
    assert not (wide.path / "feats.scp").exists()


def test_variances_are_normalised_on_request(tmp_path, in_process):
    data = telephone(tmp_path)
    make_features(data.path, MakeMfccOptions())
    assert compute_cmvn_stats(FeatureReader(data.path, cmvn=None)) == 4
    reader = FeatureReader(data.path, {"norm_means": True, "norm_vars": True})
    for utts in reader.data.spk2utt.values():
        feats = np.concatenate([reader[utt] for utt in utts])
        np.testing.assert_allclose(feats.mean(axis=0), 0, atol=1e-4)
        np.testing.assert_allclose(feats.std(axis=0), 1, rtol=1e-3)
    with pytest.raises(RecipeError, match="about the mean"):
        apply_cmvn(np.ones((2, 3), dtype=np.float32), np.ones((2, 4)), norm_means=False, norm_vars=True)
    with pytest.raises(RecipeError, match="unknown normalisation"):
        FeatureReader(data.path, {"norm_mean": True})
    # New features make the old statistics void.
    make_features(data.path, MakeFbankOptions())
    assert not (data.path / "cmvn.scp").exists()


def test_reader_refuses_what_does_not_fit(tmp_path, in_process):
    data = telephone(tmp_path)
    with pytest.raises(RecipeError, match="feats.scp"):
        FeatureReader(data.path, cmvn=None)
    make_features(data.path, MakeMfccOptions())
    reader = FeatureReader(data.path, cmvn=None)
    utt = reader.keys()[0]
    reader.data.num_frames[utt] += 1
    with pytest.raises(RecipeError, match="utt2num_frames disagree") as error:
        reader[utt]
    assert error.value.id == utt
    with pytest.raises(RecipeError, match="no such utterance"):
        reader["nobody"]
    archive = data.path / "data" / "raw_data.2.ark"
    archive.write_bytes(archive.read_bytes()[:-100])
    with pytest.raises(RecipeError, match="cannot be read"):
        matrices(data.path)


def shorten(data, count):
    """Makes the first segments shorter than a window."""
    for utt in data.utts[:count]:
        start = data.segments[utt].start
        data.segments[utt] = Segment(data.segments[utt].recording, start, start + 0.02)
    data.write()
    return data.utts[:count]


def test_short_utterances_are_named_or_dropped_everywhere(tmp_path, in_process):
    data = telephone(tmp_path, conversations=4)
    (short,) = shorten(data, 1)
    with pytest.raises(RecipeError, match="too short") as error:
        make_features(data.path, MakeMfccOptions())
    assert error.value.id == short and "1 of 24" in error.value.found and "--drop-short" in error.value.next
    assert not (data.path / "feats.scp").exists()
    assert make_features(data.path, MakeMfccOptions(drop_short=True))[0] == 23
    left = validate_data_dir(data.path)
    assert short not in left.utts and len(left.text) == 23
    shorten(left, 2)
    with pytest.raises(RecipeError, match="too many"):
        make_features(data.path, MakeMfccOptions(drop_short=True))


def test_pipes_run_only_when_allowed(tmp_path, in_process):
    data = telephone(tmp_path, conversations=1)
    make_features(data.path, MakeMfccOptions())
    plain = matrices(data.path)
    path = data.wav["sw02001-A"]
    data.wav = dict.fromkeys(data.wav, f"touch {tmp_path}/ran; cat {path} |")
    data.write()
    with pytest.raises(RecipeError, match="pipe") as error:
        make_features(data.path, MakeMfccOptions())
    assert error.value.id == "sw02001-A" and "wav.scp" in str(error.value.file) and "--allow-pipes" in error.value.next
    assert not (tmp_path / "ran").exists()
    make_features(data.path, MakeMfccOptions(allow_pipes=True))
    assert (tmp_path / "ran").exists()
    for utt, feats in matrices(data.path).items():
        np.testing.assert_array_equal(feats, plain[utt])
    data.wav["sw02001-B"] = "echo no such tape >&2; exit 3 |"
    data.write()
    with pytest.raises(RecipeError, match="command failed") as error:
        make_features(data.path, MakeMfccOptions(allow_pipes=True))
    assert "exit code 3" in error.value.found and "no such tape" in error.value.found


def test_damaged_audio_gives_no_features(tmp_path, in_process, monkeypatch):
    data = telephone(tmp_path, conversations=1)
    monkeypatch.setattr(compute_job.FeatureExtractor, "from_yaml", lambda path: Broken(MfccConfig()))
    with pytest.raises(RecipeError, match="not finite") as error:
        make_features(data.path, MakeMfccOptions())
    assert error.value.id == data.utts[0]


class Broken(KaldiMfcc):
    def extract(self, samples, sampling_rate):
        return np.full((3, 13), np.nan, dtype=np.float32)


def test_the_config_beside_the_features_says_how_they_were_made(tmp_path, in_process):
    data = telephone(tmp_path, conversations=1)
    make_features(data.path, MakeFbankOptions(root=5.0, nj=1))
    extractor = FeatureExtractor.from_yaml(data.path / "feature_config.yaml")
    assert extractor.config == FbankConfig(root=5.0) and json.dumps(extractor.to_dict())
