"""What local/run_folds.sh has left: GMMs of train and dev together, tuned on parts of them that other GMMs have not heard."""

import re

from pytorch_nnet.corpus.datadir import DataDir


def test_every_utterance_is_held_out_once(recipe):
    everything = DataDir.load(recipe / "data/folds_all").utts
    assert sorted(everything) == sorted(DataDir.load(recipe / "data/train").utts + DataDir.load(recipe / "data/dev").utts)
    parts = [DataDir.load(recipe / f"data/folds_held{part}") for part in (1, 2)]
    assert sorted(utt for part in parts for utt in part.utts) == sorted(everything)
    for part, held in zip((1, 2), parts):
        heard = DataDir.load(recipe / f"data/folds_train{part}")
        assert not heard.spk2utt.keys() & held.spk2utt.keys() and len(heard.utts) + len(held.utts) == len(everything)
    for gmm in ("mono", "tri3"):
        for score in (recipe / f"exp/folds/all/{gmm}/decode_held_tg").glob("wer_*"):
            assert int(re.search(r"Scored (\d+) sentences", score.read_text())[1]) == len(everything)


def test_the_ladder_has_a_table(recipe):
    rows = [line.split("\t") for line in (recipe / "exp/folds/results/table1.tsv").read_text().splitlines()]
    wers = {row[1]: row[4:6] for row in rows[1:]}
    assert rows[0][4:6] == ["dev WER %", "test WER %"] and len(wers) == 4 and all(all(pair) for pair in wers.values())
    heard = (recipe / "exp/folds/all/mono/log/summary.txt").read_text()
    assert len(re.findall("0 utterances failed", heard)) > 3
