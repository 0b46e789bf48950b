"""An HMM acoustic model's directory: final.mdl, tree and what is done to the features (hmm/features.py)."""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np

from ..io.errors import RecipeError, require_file
from ..io.kaldi_model import Gaussians, Transitions, read_model, write_model
from ..io.kaldi_topology import Topology
from ..io.kaldi_tree import Tree
from .features import FeatureOptions

# What says how to use final.mdl: tree and features; final.alimdl is for features that are not adapted yet.
MODEL_FILES = ("tree", "cmvn_opts", "feature_opts", "splice_opts", "final.mat", "final.alimdl")


class AcousticModel:
    """Transition model, tree and, in a GMM system, Gaussians.

    table, tree_map, gmm: our own structures (io.kaldi_model, io.kaldi_tree); gmm is None in a network's alignment directory.
    transitions, tree, am: the same as objects of kaldi_hmm_gmm, made when first asked for.
    pdf_of, phone_of, hmm_state (int32), is_self_loop (bool): arrays indexed by transition-id, index 0 unused.
    """

    def __init__(self, table: Transitions, tree_map: Tree, gmm: Gaussians | None = None,
                 features: FeatureOptions = FeatureOptions(), file=None):
        self.table, self.tree_map, self.gmm, self.features, self.file = table, tree_map, gmm, features, file
        arrays = table.tables()
        self.pdf_of, self.phone_of, self.hmm_state = arrays["pdf"], arrays["phone"], arrays["hmm_state"]
        self.is_self_loop = arrays["is_loop"]
        for what, count in (("Gaussian mixtures", gmm and gmm.num_pdfs), ("pdfs of the transition model", table.num_pdfs)):
            if count is not None and count != tree_map.num_pdfs:
                raise RecipeError("model and tree disagree", file=file, expected=f"{tree_map.num_pdfs} pdfs as in the tree",
                                  found=f"{count} {what}")

    @classmethod
    def load(cls, folder, name: str = "final.mdl") -> "AcousticModel":
        """Reads a model directory."""
        folder = Path(folder)
        require_file(folder / name, next="train it first (steps/train_mono, steps/train_deltas, steps/align_nnet)")
        table, gmm = read_model(folder / name)
        return cls(table, Tree.read(folder / "tree"), gmm, FeatureOptions.read(folder), folder / name)

    def save(self, folder, name: str = "final.mdl") -> None:
        """Publishes the model's files; the model itself last."""
        folder = Path(folder)
        self.tree_map.write(folder / "tree")
        self.features.write(folder)
        write_model(folder / name, self.table, self.gmm)

    @classmethod
    def create(cls, topology: Topology, tree_map: Tree, features: FeatureOptions = FeatureOptions()) -> "AcousticModel":
        """A model without Gaussians, its transition probabilities from the topology."""
        import kaldi_hmm_gmm as khg

        transitions = khg.TransitionModel(ctx_dep=khg_tree(tree_map), hmm_topo=khg_topology(topology))
        tuples = np.array([item.__getstate__() for item in transitions.tuples], np.int32)
        return cls(Transitions(topology, tuples, np.array(transitions.log_probs, np.float32)), tree_map, None, features)

    @property
    def num_pdfs(self) -> int:
        return self.tree_map.num_pdfs

    @functools.cached_property
    def tree(self):
        """kaldi_hmm_gmm.ContextDependency."""
        return khg_tree(self.tree_map)

    @functools.cached_property
    def transitions(self):
        """kaldi_hmm_gmm.TransitionModel."""
        return khg_transitions(self.table, self.tree, self.file)

    @functools.cached_property
    def am(self):
        """kaldi_hmm_gmm.AmDiagGmm."""
        return khg_gaussians(self.require_gmm())

    @functools.cached_property
    def _scorer(self):
        from .gmm import MixtureScorer

        return MixtureScorer(self.require_gmm())

    def require_gmm(self) -> Gaussians:
        if self.gmm is None:
            raise RecipeError("model without Gaussians", file=self.file, expected="a GMM system", found="a bare transition model",
                              next="name the GMM directory, or use steps/align_nnet")
        return self.gmm

    def loglikes(self, features: np.ndarray) -> np.ndarray:
        """The Gaussians' input (T, D) -> log p(x | pdf), float32 (T, pdfs)."""
        return self._scorer(features)

    def replaced(self, *, gmm: Gaussians | None = None, log_probs: np.ndarray | None = None,
                 features: FeatureOptions | None = None) -> "AcousticModel":
        """The same model with other Gaussians, transition log-probabilities or features."""
        table = self.table
        if log_probs is not None:
            table = Transitions(table.topology, table.tuples, np.asarray(log_probs, np.float32))
        return AcousticModel(table, self.tree_map, gmm or self.gmm, features or self.features)

    def check_phones(self, lang) -> None:
        """Raises RecipeError if a phone of the lang directory's lexicon has no HMM here."""
        known = set(self.table.topology.phones.tolist())
        names = {index: name for name, index in lang.phones.items()}
        used = {lang.phones[phone] for _, phones in lang.lexicon for phone in phones} | {lang.optional_silence}
        for phone in sorted(used - known):
            raise RecipeError("phone of the lexicon unknown to the model", file=self.file, id=names.get(phone, phone),
                              expected="the lang directory the model was trained with", found=str(lang.path("phones.txt")),
                              next="train again with this lang directory (steps/train_mono)")


def khg_tree(tree: Tree):
    """A ContextDependency; kaldi_hmm_gmm binds no constructor, but its pickle state is Kaldi's binary form without header."""
    import kaldi_hmm_gmm as khg

    result = khg.ContextDependency.__new__(khg.ContextDependency)
    result.__setstate__((np.frombuffer(tree.to_bytes()[2:], np.int8).tolist(),))
    return result


def khg_topology(topology: Topology):
    import kaldi_hmm_gmm as khg

    result = khg.HmmTopology()
    result.read(topology.text())
    return result


def khg_transitions(table: Transitions, tree, file=None):
    """A TransitionModel with the file's log-probabilities; checks that tree and topology give the file's transition-states."""
    import kaldi_hmm_gmm as khg

    fresh = khg.TransitionModel(ctx_dep=tree, hmm_topo=khg_topology(table.topology))
    tuples = np.array([item.__getstate__() for item in fresh.tuples], np.int32)
    if not np.array_equal(tuples, table.tuples):
        raise RecipeError("model and tree disagree", file=file, expected=f"the {len(tuples)} transition-states of the tree",
                          found=f"{len(table.tuples)} others", next="copy final.mdl and tree from the same directory")
    arrays = table.tables()
    leave = np.zeros(len(tuples) + 1)  # log of 1 - P(self-loop), by transition-state, index 0 unused
    loops = np.flatnonzero(arrays["is_loop"])
    stay = np.minimum(np.exp(table.log_probs[loops].astype(np.float64)), 0.99999)
    leave[arrays["state"][loops] + 1] = np.log1p(-stay)
    state = list(fresh.__getstate__())
    state[6], state[7] = table.log_probs.tolist(), leave.tolist()
    result = khg.TransitionModel.__new__(khg.TransitionModel)
    result.__setstate__(tuple(state))
    return result


def khg_gaussians(gaussians: Gaussians):
    import kaldi_hmm_gmm as khg

    am = khg.AmDiagGmm()
    for low, high in zip(gaussians.offsets[:-1], gaussians.offsets[1:]):
        mixture = khg.DiagGmm(nmix=int(high - low), dim=gaussians.dim)
        mixture.set_weights(gaussians.weights[low:high])
        mixture.set_invvars_and_means(gaussians.inv_vars[low:high], gaussians.means_invvars[low:high] / gaussians.inv_vars[low:high])
        mixture.compute_gconsts()
        am.add_pdf(mixture)
    return am
