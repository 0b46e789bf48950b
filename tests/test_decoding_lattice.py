import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytorch_nnet.decoding.k2_decode import trimmed
from pytorch_nnet.decoding.lattice import Lattice, LatticeReader, LatticeWriter, best_paths, one_best
from pytorch_nnet.io.errors import RecipeError

LMWTS, WIPS = [5.0, 9.0, 12.5, 17.0], [-0.5, 0.0, 1.0]


def compact(lattice):
    columns = [lattice.arcs[name] for name in ("src", "dst", "word", "am", "graph")]
    return Lattice.build(*columns, frame=lattice.states["frame"], compact=True)


@st.composite
def lattices(draw):
    """Random lattices with chains, twin arcs and wordless stretches; scores are multiples of 1/8, so sums are exact."""
    size = draw(st.integers(2, 9))
    score = st.integers(-64, 8).map(lambda n: n / 8)
    rows = []
    for dst in range(1, size):  # every state is entered from before and, in the end, left to behind
        rows += [(draw(st.integers(max(0, dst - 3), dst - 1)), dst) for _ in range(draw(st.integers(1, 3)))]
    left = {src for src, _ in rows}
    rows += [(src, draw(st.integers(src + 1, size - 1))) for src in range(size - 1) if src not in left]
    rows = [(src, dst, draw(st.sampled_from([0, 0, 0, 1, 2])), draw(score), draw(score)) for src, dst in rows]
    return Lattice.build(*map(np.array, zip(*rows)), frame=np.arange(size) * 2)


def every_path(lattice):
    """[(words with frames, am, graph)] of all paths."""
    exits = {}
    for arc in lattice.arcs.tolist():
        exits.setdefault(arc[0], []).append(arc)
    found, stack = [], [(0, (), 0.0, 0.0)]
    while stack:
        state, words, am, graph = stack.pop()
        if state == len(lattice.states) - 1:
            found.append((words, am, graph))
        for _, dst, word, more_am, more_graph in exits.get(state, []):
            frame = int(lattice.states["frame"][state])
            stack.append((dst, words + (((word, frame),) if word else ()), am + more_am, graph + more_graph))
    return found


def cost(path, lmwt, wip):
    words, am, graph = path
    return -am / lmwt - graph + wip * len(words)


@pytest.mark.slow
@settings(max_examples=200, deadline=None)
@given(lattices())
def test_sweep_equals_enumeration_of_all_paths(lattice):
    paths = every_path(lattice)
    for (lmwt, wip), words in best_paths(lattice, LMWTS, WIPS).items():
        best = min(cost(path, lmwt, wip) for path in paths)
        said = [tuple(word for word, _ in path[0]) for path in paths if cost(path, lmwt, wip) <= best + 1e-9]
        assert tuple(words) in said
        timed, am, graph = one_best(lattice, lmwt, wip)
        assert cost((timed, am, graph), lmwt, wip) == pytest.approx(best) and (tuple(timed), am, graph) in paths


@pytest.mark.slow
@settings(max_examples=200, deadline=None)
@given(lattices())
def test_compacting_invents_no_path_and_loses_none_that_could_be_best(lattice):
    small = compact(lattice)
    before, after = every_path(lattice), every_path(small)
    assert len(small.arcs) <= len(lattice.arcs) and set(after) <= set(before)
    assert small.num_frames == lattice.num_frames and (small.arcs["src"] < small.arcs["dst"]).all()
    for lmwt in (1.0, *LMWTS, 100.0):
        for wip in (-3.0, *WIPS, 3.0):
            assert min(cost(p, lmwt, wip) for p in after) == pytest.approx(min(cost(p, lmwt, wip) for p in before))


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 7), st.integers(1, 8)).filter(lambda arc: arc[0] < arc[1]), max_size=14))
def test_trimming_keeps_the_arcs_of_whole_paths(rows):
    rows = sorted([*rows, (7, 9)])
    paths = [[0]]
    for path in paths:  # grows while we read: every way on from the start
        paths += [path + [dst] for src, dst in sorted(set(rows)) if src == path[-1]]
    through = {arc for path in paths if path[-1] == 9 for arc in zip(path, path[1:])}
    src, dst, kept = trimmed(*np.array(rows).T)
    assert [rows[i] for i in kept] == [row for row in rows if row in through]
    if len(kept):
        states = sorted({state for arc in through for state in arc})
        assert [(states[a], states[b]) for a, b in zip(src, dst)] == [rows[i] for i in kept]


def test_compacting_joins_what_offers_no_choice():
    # Two words, each spoken over three frames, without alternatives: two arcs remain, with the frames of the words.
    lattice = Lattice.build(range(6), range(1, 7), [0, 7, 0, 0, 8, 0], [-1.0] * 6, [-0.5] * 6, np.arange(7))
    small = compact(lattice)
    assert small.arcs["word"][small.arcs["word"] > 0].tolist() == [7, 8] and len(small.arcs) == 2 + 1
    words, am, graph = one_best(small, 10.0)
    assert words == [(7, 1), (8, 4)] and am == -6 and graph == -3


def test_archive_round_trip_is_exact_and_repeatable(tmp_path):
    rng = np.random.default_rng(3)
    made = {}
    for number in range(3):
        size = 5 + number
        made[f"spk-A_{number}"] = Lattice.build(
            np.arange(size),
            np.arange(1, size + 1),
            rng.integers(0, 4, size),
            rng.normal(size=size),
            rng.normal(size=size),
            np.arange(size + 1),
        )
    for name in ("a.npz", "b.npz"):
        with LatticeWriter(tmp_path / name) as writer:
            for utt, lattice in made.items():
                writer.write(utt, lattice)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    reader = LatticeReader(tmp_path / "a.npz")
    assert len(reader) == 3 and [utt for utt, _ in reader] == list(made)
    for utt, lattice in made.items():
        assert (reader[utt].arcs == lattice.arcs).all() and (reader[utt].states == lattice.states).all()
    # The documented layout, read without the library.
    with np.load(tmp_path / "a.npz", allow_pickle=False) as plain:
        assert plain["spk-A_0.arcs"].dtype.itemsize == 20 and plain["spk-A_0.states"]["frame"][-1] == 5


def test_bad_archives_and_lattices_are_refused(tmp_path):
    lattice = Lattice.build([0, 1], [1, 2], [1, 0], [0.0, 0.0], [0.0, 0.0], [0, 1, 2])
    with LatticeWriter(tmp_path / "lat.1.npz") as writer:
        writer.write("u", lattice)
    with pytest.raises(RecipeError, match="no readable lattice") as error:
        LatticeReader(tmp_path / "lat.1.npz")["v"]
    assert error.value.id == "v"
    content = (tmp_path / "lat.1.npz").read_bytes()
    (tmp_path / "cut.npz").write_bytes(content[:-40])
    with pytest.raises(RecipeError, match="not a lattice archive"):
        LatticeReader(tmp_path / "cut.npz")
    for src, dst, am in (([0, 0], [1, 2], 0.0), ([1, 0], [0, 2], 0.0), ([0, 1], [1, 2], np.nan)):
        with pytest.raises(RecipeError):
            Lattice.build(src, dst, [0, 0], [am, 0.0], [0.0, 0.0], [0, 1, 2])
    with pytest.raises(RecipeError):
        Lattice.build([], [], [], [], [], [0])


def test_an_interrupted_writer_publishes_nothing(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        with LatticeWriter(tmp_path / "lat.1.npz"):
            raise KeyboardInterrupt
    assert not list(tmp_path.iterdir())
