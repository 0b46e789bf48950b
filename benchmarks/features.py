#!/usr/bin/env python3
"""Measures features on one thread: stage 2's job, with reading, cuts and storing, beside kaldi-native-fbank alone.

Usage: benchmarks/features.py <recipe>        (a folder where run.sh has finished stage 2; a minute)
 e.g.: benchmarks/features.py egs/switchboard

Rates are seconds of speech per second of processor time. kaldi-native-fbank computes log mel energies of the same samples, already
in memory, with the same framing and filters; our filterbank alone is timed in the same way. Ways take turns. The job is a process: its
start (imports) is counted, as it is once for each of --nj jobs.
"""

import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"
ROOT = Path(__file__).resolve().parents[1]
os.environ["PYTHONPATH"] = str(ROOT)  # for the programs it runs
sys.path.insert(0, str(ROOT))

import kaldi_native_fbank as knf  # noqa: E402
import numpy as np  # noqa: E402
from ratios import ratio  # noqa: E402
from recipe import commit, machine  # noqa: E402

from pytorch_nnet.corpus.datadir import DataDir  # noqa: E402
from pytorch_nnet.corpus.placement import place_utterances  # noqa: E402
from pytorch_nnet.features.compute_job import read_placements  # noqa: E402
from pytorch_nnet.features.fbank import FbankConfig, fbank  # noqa: E402
from pytorch_nnet.features.frontend import INT16_SCALE  # noqa: E402
from pytorch_nnet.io.options import build, load_config  # noqa: E402

TURNS, GOAL = 3, 500


def peers(config, segments):
    """The two filterbanks over samples in memory."""
    options = knf.FbankOptions()
    options.frame_opts.samp_freq = config.sampling_rate
    options.frame_opts.dither = 0
    options.frame_opts.snip_edges = True
    options.mel_opts.num_bins = config.num_mel_bins
    options.mel_opts.low_freq, options.mel_opts.high_freq = config.low_freq, config.high_freq
    options.energy_floor = 0

    def theirs():
        for samples in segments:
            online = knf.OnlineFbank(options)
            online.accept_waveform(config.sampling_rate, samples)
            online.input_finished()
            np.stack([online.get_frame(frame) for frame in range(online.num_frames_ready)])

    def ours():
        for samples in segments:
            fbank(samples, config)

    return ours, theirs


def job(recipe):
    """Processor seconds of a whole compute job on a copy of data/train_fbank."""
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "train_fbank"
        subprocess.run([ROOT / "utils/copy_data_dir", recipe / "data/train", data], check=True, capture_output=True)
        shutil.copy(recipe / "data/train_fbank/feature_config.yaml", data)
        (data / "data").mkdir(exist_ok=True)
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, "-m", "pytorch_nnet.features.compute_job", "1", "1", data], check=True, capture_output=True,
                       cwd=recipe)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main(argv):
    if len(argv) != 1 or argv[0].startswith("-"):
        print(__doc__)
        return 0 if "--help" in argv else 2
    recipe = Path(argv[0]).resolve()
    os.chdir(recipe)
    config = build(FbankConfig, load_config(recipe / "conf/fbank.yaml"))
    placements = place_utterances(DataDir.load("data/train"), sampling_rate=config.sampling_rate)
    segments = [samples * np.float32(INT16_SCALE) for _, samples in read_placements(placements, False)]
    speech = sum(map(len, segments)) / config.sampling_rate
    times = {"our filterbank": [], "kaldi-native-fbank": [], "stage 2's job": []}
    for turn in range(TURNS + 1):
        for name, way in zip(times, (*peers(config, segments), lambda: job(recipe))):
            start = time.process_time()
            seconds = way()
            seconds = time.process_time() - start if seconds is None else seconds
            if turn:
                times[name].append(seconds)
    print(f"{machine()}, commit {commit()}; {speech:.0f} s of speech\n\n| | times real time | |\n| --- | ---: | --- |")
    for name, values in times.items():
        rate = speech / statistics.median(values)
        verdict = "" if "job" not in name else f"goal {GOAL}: {'meets' if rate >= GOAL else 'misses'}"
        print(f"| {name} | {rate:,.0f} | {verdict} |")
    ratio("filterbank: kaldi-native-fbank's time / ours", statistics.median(b / a for a, b in zip(times["our filterbank"], times["kaldi-native-fbank"])), 1.0)
    ratio("stage 2's job, times real time", speech / statistics.median(times["stage 2's job"]), GOAL)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
