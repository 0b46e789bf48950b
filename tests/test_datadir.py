"""Data directories: what is refused, and utils/{validate,fix,copy,subset,split}_data_dir, utils/combine_data."""

import gzip
import json

import pytest

from pytorch_nnet.corpus.combine import combine_data_dirs
from pytorch_nnet.corpus.datadir import DataDir
from pytorch_nnet.corpus.maintain import copy_data_dir, fix_data_dir, split_data_dir, subset_data_dir
from pytorch_nnet.corpus.validate import validate_data_dir
from pytorch_nnet.io.errors import RecipeError
from speech import telephone


@pytest.fixture
def data(tmp_path):
    """Twelve utterances of four sides, with an index of features (no archive is opened here)."""
    data = telephone(tmp_path)
    data.feats = {utt: f"{tmp_path}/raw.ark:{k}" for k, utt in enumerate(data.utts)}
    data.num_frames = {utt: 100 - 7 * (k % 5) for k, utt in enumerate(data.utts)}
    data.cmvn = {speaker: f"{tmp_path}/cmvn.ark:{k}" for k, speaker in enumerate(data.spk2utt)}
    data.write()
    write_cuts(data.path, data.utts)
    return data


def write_cuts(path, utts):
    with gzip.open(path / "cuts.jsonl.gz", "wt") as file:
        file.writelines(json.dumps({"id": utt, "type": "MonoCut"}) + "\n" for utt in utts)


def cut_ids(path):
    with gzip.open(path / "cuts.jsonl.gz", "rt") as file:
        return [json.loads(line)["id"] for line in file]


def edit(path, change):
    """Rewrites a file's list of lines."""
    lines = change(path.read_text().splitlines())
    path.write_text("".join(line + "\n" for line in lines))


def test_a_good_directory_is_valid(data):
    assert validate_data_dir(data.path).utts == data.utts


@pytest.mark.parametrize("name, change, message, wrong", [
    ("utt2spk", lambda lines: lines[::-1], "not sorted in C order", "sw02002-B_000090-000175"),
    ("text", lambda lines: lines[1:2] + lines[:1] + lines[2:], "not sorted in C order", "sw02001-A_000010-000085"),
    ("wav.scp", lambda lines: lines + lines[-1:], "repeated key", "sw02002-B"),
    ("text", lambda lines: [lines[0].split()[0]] + lines[1:], "empty transcript", "sw02001-A_000010-000085"),
    ("text", lambda lines: lines[1:], "utt2spk and text disagree", "sw02001-A_000010-000085"),
    ("feats.scp", lambda lines: lines[:-1], "utt2spk and feats.scp disagree", "sw02002-B_000200-000300"),
    ("feats.scp", lambda lines: [lines[0].split()[0] + " cat x |"] + lines[1:], "pipe", "sw02001-A_000010-000085"),
    ("utt2num_frames", lambda lines: lines[:-1], "utt2spk and utt2num_frames disagree", "sw02002-B_000200-000300"),
    ("cmvn.scp", lambda lines: lines[1:], "utt2spk and cmvn.scp disagree", "sw02001-A"),
    ("wav.scp", lambda lines: lines[1:], "segment of an unknown recording", "sw02001-A_000010-000085"),
    ("segments", lambda lines: [lines[0].replace("0.100", "0.900")] + lines[1:], "bad segment times",
     "sw02001-A_000010-000085"),
    ("spk2utt", lambda lines: lines[1:], "spk2utt is not the inverse", "sw02001-A"),
    ("wav.scp", lambda lines: [lines[0] + " |"] + lines[1:], "pipe", "sw02001-A"),
])
def test_what_is_wrong_is_named(data, name, change, message, wrong):
    edit(data.path / name, change)
    with pytest.raises(RecipeError, match=message) as error:
        validate_data_dir(data.path)
    assert error.value.id == wrong and name in error.value.report() and str(data.path) in str(error.value.file)
    assert error.value.expected is not None and error.value.found is not None and error.value.next


def test_cuts_must_be_the_utterances(data):
    write_cuts(data.path, data.utts[1:])
    with pytest.raises(RecipeError, match="cuts.jsonl.gz disagree") as error:
        validate_data_dir(data.path)
    assert error.value.id == data.utts[0]


def test_missing_tables_are_errors_unless_told(data, run):
    (data.path / "text").unlink()
    done = run("utils/validate_data_dir", data.path)
    assert done.returncode == 1 and "missing input" in done.stderr and "text" in done.stderr
    assert "Traceback" not in done.stderr
    assert run("utils/validate_data_dir", "--no-text", data.path).returncode == 0
    assert run("utils/validate_data_dir", "--no-text", "true", data.path).returncode == 0
    done = run("utils/validate_data_dir", data.path / "nowhere")
    assert done.returncode == 1 and "no such data directory" in done.stderr and "next:" in done.stderr


def test_speakers_out_of_order_are_refused(tmp_path):
    # 'a-b' sorts after 'a', but 'a-b-1' before 'a-c': splitting by speaker would tear the order apart.
    data = DataDir(tmp_path, {"a-a": "a", "a-b-1": "a-b", "a-c": "a"},
                   {"a-a": ["x"], "a-b-1": ["x"], "a-c": ["x"]}).write()
    with pytest.raises(RecipeError, match="speakers are not in C order") as error:
        validate_data_dir(data.path, feats=False, wav=False)
    assert error.value.id == "a-c"


def test_fixing_sorts_and_drops_what_is_not_everywhere(data, run):
    edit(data.path / "utt2spk", lambda lines: lines[::-1])
    edit(data.path / "text", lambda lines: lines[1:])                                      # the first has no transcript
    edit(data.path / "feats.scp", lambda lines: lines[:-1])                                # the last no features
    edit(data.path / "segments", lambda lines: lines + ["zz sw02001-A 0.000 1.000"])       # one is unknown
    edit(data.path / "text", lambda lines: lines[:3] + [lines[3].split()[0]] + lines[4:])  # one transcript is empty
    edit(data.path / "wav.scp", lambda lines: [line for line in lines if "sw02002-A" not in line])
    before = {name: (data.path / name).read_text() for name in ("utt2spk", "text", "segments")}
    done = run("utils/fix_data_dir", data.path)
    assert done.returncode == 0, done.stderr
    fixed = validate_data_dir(data.path)
    gone = {data.utts[0]: "not in text", data.utts[-1]: "not in feats.scp", data.utts[4]: "empty in text",
            "zz": "not in utt2spk",
            **dict.fromkeys(data.utts[6:9], "recording sw02002-A not in wav.scp")}
    assert fixed.utts == [utt for utt in data.utts if utt not in gone]
    assert set(done.stdout.splitlines()[:-1]) == {f"dropped {utt}: {reason}" for utt, reason in gone.items()}
    assert "6 utterances kept, 7 dropped" in done.stdout
    assert cut_ids(data.path) == fixed.utts and set(fixed.cmvn) == set(fixed.spk2utt)
    for name, content in before.items():
        assert (data.path / ".backup" / name).read_text() == content
    assert fix_data_dir(data.path) == {}


def test_fixing_refuses_to_guess(data):
    edit(data.path / "text", lambda lines: lines + [lines[0] + " again"])
    with pytest.raises(RecipeError, match="two values") as error:
        fix_data_dir(data.path)
    assert error.value.id == data.utts[0]
    (data.path / "text").write_text("nobody hello\n")
    with pytest.raises(RecipeError, match="no utterance is in all tables"):
        fix_data_dir(data.path)


def test_fixing_removes_statistics_that_lack_a_speaker(data):
    edit(data.path / "cmvn.scp", lambda lines: lines[1:])
    assert fix_data_dir(data.path) == {}
    assert not (data.path / "cmvn.scp").exists() and (data.path / ".backup/cmvn.scp").exists()
    validate_data_dir(data.path)


def test_a_copy_has_no_features(data, tmp_path, run):
    for name in ("stm", "glm"):
        (data.path / name).write_text(name)
    (tmp_path / "copy/data").mkdir(parents=True)
    (tmp_path / "copy/feats.scp").write_text("old features\n")
    assert run("utils/copy_data_dir", data.path, tmp_path / "copy").returncode == 0
    names = {path.name for path in (tmp_path / "copy").iterdir()}
    assert names == {"wav.scp", "segments", "text", "utt2spk", "spk2utt", "reco2file_and_channel", "stm", "glm"}
    copy = validate_data_dir(tmp_path / "copy", feats=False)
    assert (copy.text, copy.segments, copy.wav, copy.channel) == (data.text, data.segments, data.wav, data.channel)
    for target in (data.path, data.path.parent):
        with pytest.raises(RecipeError, match="would replace its source"):
            copy_data_dir(data.path, target)
        with pytest.raises(RecipeError, match="would replace its source"):
            combine_data_dirs([tmp_path / "copy", data.path], target)
    assert validate_data_dir(data.path).feats


def test_subsets(data, tmp_path, run):
    even = subset_data_dir(data.path, 4, tmp_path / "even")
    assert even.utts == data.utts[::3] and set(even.spk2utt) == set(data.spk2utt)
    assert cut_ids(tmp_path / "even") == even.utts
    assert subset_data_dir(data.path, 3, tmp_path / "first", first=True).utts == data.utts[:3]
    assert run("utils/subset_data_dir", "--shortest", data.path, 2, tmp_path / "short").returncode == 0
    short = validate_data_dir(tmp_path / "short")
    assert short.utts == [data.utts[4], data.utts[9]]  # the two of 72 frames
    assert set(short.wav) == set(short.cmvn) == {"sw02001-B", "sw02002-B"}
    with pytest.raises(RecipeError, match="not that many"):
        subset_data_dir(data.path, 13, tmp_path / "many")


def test_the_parts_of_a_split_make_the_whole_again(data, tmp_path, run):
    (data.path / "feature_config.yaml").write_text("num_mel_bins: 31\n")
    parts = sorted(split_data_dir(data.path, 3).iterdir())
    done = run("utils/combine_data", tmp_path / "whole", parts[2], parts[0], parts[1])
    assert done.returncode == 0 and "12 utterances" in done.stdout
    whole = validate_data_dir(tmp_path / "whole")
    for name in ("utt2spk", "spk2utt", "text", "wav.scp", "segments", "reco2file_and_channel", "feats.scp", "utt2num_frames", "cmvn.scp",
                 "feature_config.yaml", "cuts.jsonl.gz"):
        assert (whole.path / name).exists(), name
        if name != "cuts.jsonl.gz":
            assert (whole.path / name).read_bytes() == (data.path / name).read_bytes(), name
    assert cut_ids(whole.path) == data.utts


def halves(data, tmp_path):
    """Two directories of the same recordings."""
    return [subset_data_dir(data.path, 6, tmp_path / "first", first=True).path, data.subset(data.utts[6:]).write(tmp_path / "second").path]


def test_combining_leaves_out_what_some_lack_and_says_so(data, tmp_path, capsys):
    first, second = halves(data, tmp_path)
    (second / "cmvn.scp").unlink()
    (second / "reco2speed").write_text("".join(f"{recording} 1.1\n" for recording in DataDir.load(second).wav))
    combined = combine_data_dirs([first, second], tmp_path / "both")
    said = capsys.readouterr().err
    assert combined.utts == data.utts and combined.feats == data.feats and not combined.cmvn
    assert not (tmp_path / "both/cmvn.scp").exists() and all(f"no {name}, as {second} has none" in said for name in ("cmvn.scp", "cuts.jsonl.gz"))
    assert set(combined.speed.values()) == {1.0, 1.1}
    assert not (tmp_path / "both/cuts.jsonl.gz").exists()  # the second has none


@pytest.mark.parametrize("name, change, message", [
    ("wav.scp", lambda lines: [f"{line}.old" for line in lines], "disagree in wav.scp"),
    ("cmvn.scp", lambda lines: [f"{line}0" for line in lines], "disagree in cmvn.scp"),
    ("reco2speed", lambda lines: [line.replace(" 1", " 1.1") for line in lines], "disagree in reco2speed"),
    ("feature_config.yaml", lambda lines: ["num_mel_bins: 40"], "features of two kinds")])
def test_combining_refuses_contradictions(data, tmp_path, name, change, message):
    """Two directories that share a speaker and a recording."""
    first = subset_data_dir(data.path, 1, tmp_path / "first", first=True).path
    second = data.subset(data.utts[1:]).write(tmp_path / "second").path
    for folder in (first, second):
        (folder / "feature_config.yaml").write_text("num_mel_bins: 31\n")
    (second / "reco2speed").write_text("".join(f"{recording} 1\n" for recording in DataDir.load(second).wav))
    edit(second / name, change)
    with pytest.raises(RecipeError, match=message) as error:
        combine_data_dirs([first, second], tmp_path / "both")
    assert "second" in str(error.value) and "first" in str(error.value) and not (tmp_path / "both").exists()


def test_combining_refuses_an_utterance_twice(data, tmp_path, run):
    first, second = halves(data, tmp_path)
    with pytest.raises(RecipeError, match="one utterance in two"):
        combine_data_dirs([first, second, data.path], tmp_path / "both")
    with pytest.raises(RecipeError, match="would replace its source"):
        combine_data_dirs([first, second], second)
    (second / "segments").unlink()
    assert "utt2spk and wav.scp disagree" in run("utils/combine_data", tmp_path / "both", first, second).stderr


@pytest.mark.parametrize("jobs", [1, 2, 3, 4])
def test_splits_cover_all_and_keep_speakers_whole(data, jobs):
    folder = split_data_dir(data.path, jobs)
    parts = [validate_data_dir(folder / str(job)) for job in range(1, jobs + 1)]
    assert [utt for part in parts for utt in part.utts] == data.utts
    speakers = [speaker for part in parts for speaker in part.spk2utt]
    assert len(speakers) == len(set(speakers)) == 4
    assert max(len(part.utts) for part in parts) <= 6 or jobs == 1


def test_more_parts_than_speakers(data, run):
    done = run("utils/split_data_dir", data.path, 5)
    assert done.returncode == 1 and "more jobs than speakers" in done.stderr and "nj at most 4" in done.stderr
    assert not (data.path / "split5").exists()


def test_jobs_are_at_most_the_speakers(data, capsys):
    assert DataDir.load(data.path).at_most(3) == 3
    assert DataDir.load(data.path).at_most(64) == 4 and "64" in capsys.readouterr().err


def rewrite(first):
    """Changes the first line's value."""
    return lambda lines: [f"{lines[0].split()[0]} {first}", *lines[1:]]


A1 = "sw02001-A_000010-000085"


@pytest.mark.parametrize("name, content, message, wrong", [
    ("text", rewrite("hello <s> there"), "symbol of the grammar", A1),
    ("text", rewrite("hello #0"), "symbol of the grammar", A1),
    ("text", rewrite("hello\u00a0there"), "cannot be seen", A1),
    ("text", rewrite("hello \u200bthere"), "cannot be seen", A1),
    ("wav.scp", rewrite("~/audio/x.sph"), "only shells understand", "sw02001-A"),
    ("wav.scp", lambda lines: [*lines, "zz x.sph"], "recording without a segment", "zz"),
    ("reco2file_and_channel", lambda lines: lines[1:], "wav.scp and reco2file_and_channel disagree", "sw02001-A"),
    ("reco2file_and_channel", rewrite("sw02001 left"), "unknown channel", "sw02001-A"),
    ("reco2file_and_channel", rewrite("sw02001"), "damaged", "sw02001-A"),
    ("utt2num_frames", rewrite("0"), "utterance without frames", A1),
    ("utt2num_frames", rewrite("-3"), "damaged", None),
    ("utt2num_frames", rewrite("1e3"), "damaged", None),
    ("segments", rewrite("sw02001-A nan 1"), "bad segment times", A1),
    ("segments", rewrite("sw02001-A 0 inf"), "bad segment times", A1),
    ("segments", rewrite("sw02001-A 0.0001 0.0004"), "bad segment times", A1),
    ("segments", rewrite("sw02001-A 0.5"), "damaged", None),
    ("utt2spk", rewrite("sw02001-A two"), "not an id", "'sw02001-A two'"),
])
def test_what_else_is_wrong_is_named(data, name, content, message, wrong):
    edit(data.path / name, content)
    with pytest.raises(RecipeError, match=message) as error:
        validate_data_dir(data.path)
    assert error.value.id == wrong and name in str(error.value.file)


EXTRA = {"vad.scp": ("utterance", "x.ark:3", None), "utt2lang": ("utterance", "en", "en us"), "utt2uniq": ("utterance", "u", "a b"),
         "utt2dur": ("utterance", "1.5", "0"), "utt2max_frames": ("utterance", "90", "many"),
         "utt2warp": ("utterance", "1.1", "-1"), "reco2dur": ("recording", "3.0", "nan"),
         "spk2gender": ("speaker", "f", "female"), "spk2warp": ("speaker", "0.9", "inf")}


@pytest.mark.parametrize("name", EXTRA)
def test_tables_of_others_are_checked_and_fixed_too(data, name):
    kind, good, bad = EXTRA[name]
    ids = {"utterance": data.utt2spk, "recording": data.wav, "speaker": data.spk2utt}[kind]
    path = data.path / name
    whole = "".join(f"{id} {good}\n" for id in ids)
    path.write_text(whole)
    assert validate_data_dir(data.path).utts == data.utts and fix_data_dir(data.path) == {}
    if bad:
        edit(path, rewrite(bad))
        with pytest.raises(RecipeError, match=f"bad value in {name}") as error:
            validate_data_dir(data.path)
        assert error.value.id == next(iter(ids)) and error.value.found == bad
    path.write_text(whole)
    edit(path, lambda lines: [*lines[1:], f"zz {good}"])
    with pytest.raises(RecipeError, match=f"utt2spk and {name} disagree"):
        validate_data_dir(data.path)
    dropped = fix_data_dir(data.path)
    fixed = validate_data_dir(data.path)
    assert set(dropped) - {"zz"} == set(data.utts) - set(fixed.utts) and len(dropped) >= 1
    assert "zz" not in path.read_text() and "zz" in (data.path / ".backup" / name).read_text()


def test_fixing_drops_what_no_step_could_use(data):
    edit(data.path / "segments", rewrite("sw02001-A 1 0.5"))
    edit(data.path / "utt2num_frames", lambda lines: [lines[0], lines[1].split()[0] + " none", lines[2].split()[0] + " 0", *lines[3:]])
    assert {utt: reason.split(":")[0] for utt, reason in fix_data_dir(data.path).items()} == {
        data.utts[0]: "bad value in segments", data.utts[1]: "bad value in utt2num_frames", data.utts[2]: "bad value in utt2num_frames"}
    assert validate_data_dir(data.path).utts == data.utts[3:]


def test_no_backup_is_written_over(data):
    before = (data.path / "text").read_text()
    edit(data.path / "text", lambda lines: lines[1:])
    first = (data.path / "text").read_text()
    fix_data_dir(data.path)  # sorts nothing, drops one in the other tables
    edit(data.path / "text", lambda lines: lines[::-1])
    second = (data.path / "text").read_text()
    fix_data_dir(data.path)
    edit(data.path / "text", lambda lines: lines[1:])
    third = (data.path / "text").read_text()
    fix_data_dir(data.path)
    edit(data.path / "text", lambda lines: lines[::-1])
    fix_data_dir(data.path)
    kept = {path.name: path.read_text() for path in (data.path / ".backup").iterdir() if path.name.startswith("text")}
    assert kept["text"] == second and len(set(kept.values())) == len(kept) >= 2
    assert {path.name for path in (data.path / ".backup").iterdir() if path.name.startswith("utt2spk")} == {"utt2spk", "utt2spk.1"}
    assert before != first != third


def test_signs_that_cannot_be_seen_may_be_allowed(data, run):
    edit(data.path / "text", rewrite("zero\u200cwidth"))
    done = run("utils/validate_data_dir", data.path)
    assert done.returncode == 1 and "U+200C" in done.stderr and "--non-print" in done.stderr
    assert run("utils/validate_data_dir", "--non-print", data.path).returncode == 0
