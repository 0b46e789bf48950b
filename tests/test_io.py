"""The ground floor: options, publishing, archives, launcher, parse_options."""

import dataclasses
import gzip
import io
import subprocess

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from conftest import ROOT
from pytorch_nnet.io import archives, options, publish
from pytorch_nnet.io.errors import RecipeError
from pytorch_nnet.io.launcher import run_jobs
from pytorch_nnet.io.options import option


@dataclasses.dataclass
class Sample:
    beam: float = option(13.0, "search beam")
    max_active: int = option(7000, "active states")
    skip_scoring: bool = option(False, "do not score")
    sizes: list[int] = option([1, 2], "widths")
    name: str | None = option(None, "a name")


def test_options_take_kaldi_spellings():
    parsed, rest = options.parse(Sample, ["--max-active", "5", "--skip_scoring=true", "--sizes", "3,4", "a", "b"], "usage")
    assert parsed == Sample(max_active=5, skip_scoring=True, sizes=[3, 4]) and rest == ["a", "b"]


def test_command_line_wins_over_config(tmp_path):
    (tmp_path / "c.yaml").write_text("beam: 9\nmax-active: 11\n")
    parsed, _ = options.parse(Sample, ["--beam", "10", "--config", str(tmp_path / "c.yaml")], "usage")
    assert parsed.beam == 10.0 and parsed.max_active == 11


@pytest.mark.parametrize("arguments, says", [
    (["--max-activ", "3"], "max_active"), (["--beam", "wide"], "wide"), (["--skip-scoring", "yes"], "true or false"),
    (["--max-active", "2.5"], "int"), (["--beam"], "without a value"), (["--config", "/nowhere.yaml"], "/nowhere.yaml"),
])
def test_bad_options_are_named(arguments, says):
    with pytest.raises(RecipeError, match=says):
        options.parse(Sample, arguments, "usage")


def test_unfinished_output_leaves_the_old_file(tmp_path):
    target = tmp_path / "a" / "x.txt"
    with publish.publish(target) as file:
        file.write("old")
    with pytest.raises(ValueError):
        with publish.publish(target) as file:
            file.write("half")
            raise ValueError
    assert target.read_text() == "old" and [p.name for p in target.parent.iterdir()] == ["x.txt"]


def test_folder_is_replaced_whole(tmp_path):
    for content in ("one", "two"):
        with publish.publish_folder(tmp_path / "store") as folder:
            (folder / content).write_text(content)
    assert [p.name for p in (tmp_path / "store").iterdir()] == ["two"]
    (tmp_path / "disk/store").mkdir(parents=True)
    (tmp_path / "link").symlink_to("disk/store")
    with publish.publish_folder(tmp_path / "link") as folder:
        (folder / "three").write_text("3")
        assert folder.parent == (tmp_path / "disk").resolve()
    assert (tmp_path / "link").is_symlink() and [p.name for p in (tmp_path / "disk/store").iterdir()] == ["three"]


@given(st.dictionaries(st.from_regex("[a-cX-Z09_][a-cX-Z09_-]*", fullmatch=True), arrays.arrays(np.int32, st.integers(0, 30)), min_size=1))
def test_alignments_round_trip(tmp_path_factory, alignments):
    path = tmp_path_factory.mktemp("ali") / "ali.1.gz"
    archives.write_ali(path, alignments)
    back = archives.read_ali(path)
    assert back.keys() == alignments.keys() and all((back[k] == alignments[k]).all() for k in back)


def test_text_alignments_and_damage(tmp_path):
    with gzip.open(tmp_path / "ali.1.gz", "wt") as file:
        file.write("utt1 1 2 3\nutt2 4\n")
    assert {k: v.tolist() for k, v in archives.read_ali(tmp_path / "ali.1.gz").items()} == {"utt1": [1, 2, 3], "utt2": [4]}
    archives.write_ali(tmp_path / "b.gz", {"utt": np.arange(1000)})
    content = (tmp_path / "b.gz").read_bytes()
    (tmp_path / "b.gz").write_bytes(content[: len(content) // 2])
    with pytest.raises(RecipeError, match="b.gz"):
        archives.read_ali(tmp_path / "b.gz")


def test_stream_cut_short_is_an_error():
    stream = io.BytesIO()
    archives.write_archive(stream, "utt", np.ones((5, 3)))
    assert [(k, m.shape) for k, m in archives.read_archive(io.BytesIO(stream.getvalue()))] == [("utt", (5, 3))]
    with pytest.raises(RecipeError, match="middle"):
        list(archives.read_archive(io.BytesIO(stream.getvalue()[:-7])))


class Trap:
    """Makes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (self.path, "w")


def test_nothing_is_unpickled_from_an_archive(tmp_path):
    import pickle

    trap = pickle.dumps(Trap(str(tmp_path / "sprung")))
    (tmp_path / "x.ark").write_bytes(b"utt PKL" + trap)
    with pytest.raises(RecipeError, match="cannot be read"):
        archives.read_matrix(f"{tmp_path}/x.ark:4")
    with pytest.raises(RecipeError, match="instead of a matrix"):
        list(archives.read_archive(io.BytesIO(b"utt PKL" + trap)))
    with pytest.raises(RecipeError, match="damaged"):
        archives.read_ali(tmp_path / "x.ark")
    assert not (tmp_path / "sprung").exists()


def test_scp_refuses_pipes_and_disorder(tmp_path):
    path = tmp_path / "wav.scp"
    path.write_text("a sph2pipe a.sph |\n")
    with pytest.raises(RecipeError, match="allow-pipes"):
        archives.read_scp(path)
    assert archives.read_scp(path, allow_pipes=True)
    path.write_text("b 1\na 2\n")
    with pytest.raises(RecipeError, match="fix_data_dir"):
        archives.read_scp(path)
    path.write_text("B 1\na 2\n")  # C order: upper case first
    assert list(archives.read_scp(path)) == ["B", "a"]


def test_ark_scp_round_trip(tmp_path):
    matrices = {"a": np.ones((2, 3), np.float32), "b": np.zeros((1, 3))}
    assert archives.write_ark_scp(tmp_path / "x.ark", tmp_path / "x.scp", matrices.items()) == 2
    for key, entry in archives.read_scp(tmp_path / "x.scp").items():
        matrix = archives.read_matrix(entry)
        assert matrix.dtype == matrices[key].dtype and (matrix == matrices[key]).all()
        assert len(archives.read_matrix(f"{entry}[0:0]")) == 1
        with pytest.raises(RecipeError, match="rows"):
            archives.read_matrix(f"{entry}[0:10]")


def test_job_array_and_its_failure(tmp_path, capfd):
    log = f"{tmp_path}/log/x.JOB.log"
    run_jobs("utils/run.py --max-jobs-run 2", 3, log, ["bash", "-c", f"echo job JOB > {tmp_path}/JOB"])
    assert sorted(p.read_text() for p in tmp_path.glob("[123]")) == ["job 1\n", "job 2\n", "job 3\n"]
    assert "# Ended (code 0)" in (tmp_path / "log/x.3.log").read_text()
    with pytest.raises(RecipeError, match="x.JOB.log"):
        run_jobs("utils/run.py", 2, log, ["bash", "-c", "echo trouble in JOB; [ JOB != 2 ]"])
    assert "trouble in 2" in capfd.readouterr().err


def parse_options(arguments, config=""):
    script = f'nj=4; force=false; preset=; help_message=HELP; . {ROOT}/utils/parse_options.sh; echo "$nj $force $preset|$*"'
    return subprocess.run(["bash", "-euo", "pipefail", "-c", script, "prog", *arguments], capture_output=True, text=True)


def test_parse_options(tmp_path):
    assert parse_options(["--nj", "8", "--force=true", "x", "y"]).stdout == "8 true |x y\n"
    config = tmp_path / "c"
    config.write_text("# sizes\nnj=3 # jobs\npreset=mini\n")
    assert parse_options(["--nj", "5", "--config", str(config)]).stdout == "5 false mini|\n"
    assert parse_options(["--help"]).stdout == "HELP\n"


@pytest.mark.parametrize("option", ["name", "old", "line", "value", "i", "option", "arguments"])
def test_parse_options_takes_any_name(tmp_path, option):
    """Also those that its own functions might use."""
    (tmp_path / "c").write_text(f"{option}=config\n")
    script = f'{option}=default; other=false; . {ROOT}/utils/parse_options.sh; echo "${option} $other"'
    for arguments, expected in ((["--" + option, "given"], "given false"), (["--config", "c"], "config false"),
                                ([f"--{option}=a", "--other"], "a true")):
        done = subprocess.run(["bash", "-euo", "pipefail", "-c", script, "prog", *arguments], capture_output=True, text=True, cwd=tmp_path)
        assert done.stdout == expected + "\n", done.stderr


@pytest.mark.parametrize("arguments, says", [
    (["--njj", "3"], "njj"), (["--force", "yes"], "true or false"), (["--nj", "many"], "whole number"), (["--nj"], "needs a value"),
    (["--config", "/nowhere"], "/nowhere"), (["--$(touch x)", "1"], "not an option name"),
])
def test_parse_options_refuses(arguments, says):
    done = parse_options(arguments)
    assert done.returncode == 1 and says in done.stderr
