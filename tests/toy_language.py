"""A small language and model for decoding tests: lang directory, tree, transition model, random likelihoods."""

from __future__ import annotations

import math
from pathlib import Path

LEXICON = [
    ("a", "X"),
    ("ab", "X Y"),
    ("ba", "Y X"),
    ("bat", "Y X Z"),
    ("bad", "Y X Z"),
    ("cat", "W X Z"),
    ("zoo", "Z W W"),
]
PHONES = ["SIL", "W", "X", "Y", "Z"]
# (history, word, cost, next history): a back-off bigram with #0 on the back-off arcs; "" is the unigram state.
BIGRAM = (
    [("", word, 1.0 + 0.3 * i, word) for i, word in enumerate("a ab ba bat bad cat zoo".split())]
    + [(word, "#0", 0.7 + 0.05 * i, "") for i, word in enumerate("a ab ba bat bad cat zoo".split())]
    + [("cat", "bat", 0.4, "bat"), ("a", "cat", 0.6, "cat"), ("bad", "zoo", 0.3, "zoo"), ("zoo", "a", 0.9, "a")]
)


def write_lang(folder: Path, lexicon=LEXICON, grammar=BIGRAM, silence_prob: float = 0.5) -> Path:
    """Writes phones.txt, words.txt, phones/disambig.int, L_disambig.fst and G.fst as prepare_lang and format_lm do."""
    import kaldifst

    (folder / "phones").mkdir(parents=True)
    prons = [pron for _, pron in lexicon]
    prefixes = {" ".join(p.split()[:n]) for p in prons for n in range(1, len(p.split()))}
    used: dict[str, int] = {}
    marked = []
    for word, pron in lexicon:
        if prons.count(pron) > 1 or pron in prefixes:
            used[pron] = used.get(pron, 0) + 1
            pron = f"{pron} #{used[pron]}"
        marked.append((word, pron))
    last = max([0, *used.values()]) + 1
    disambig = [f"#{i}" for i in range(last + 1)]
    phones = {p: i for i, p in enumerate(["<eps>", *PHONES, *disambig])}
    vocabulary = sorted({word for word, _ in lexicon})
    words = {w: i for i, w in enumerate(["<eps>", *vocabulary, "#0"])}
    for name, table in (("phones.txt", phones), ("words.txt", words)):
        (folder / name).write_text("".join(f"{k} {v}\n" for k, v in table.items()))
    (folder / "phones" / "disambig.int").write_text("".join(f"{phones[d]}\n" for d in disambig))
    kaldifst.compile(lexicon_text(marked, phones, words, f"#{last}", silence_prob)).write(
        str(folder / "L_disambig.fst")
    )
    kaldifst.compile(grammar_text(grammar, words)).write(str(folder / "G.fst"))
    return folder


def lexicon_text(lexicon, phones, words, silence_mark: str, silence_prob: float) -> str:
    """Kaldi's make_lexicon_fst_silprob without probabilities: 0 start, 1 between words, 2 in silence, 3 after it."""
    sil, nosil = -math.log(silence_prob), -math.log(1 - silence_prob)
    lines = [
        f"0 1 0 0 {nosil}",
        f"0 2 0 0 {sil}",
        f"2 3 {phones['SIL']} 0",
        f"3 1 {phones[silence_mark]} 0",
        f"1 1 {phones['#0']} {words['#0']}",
    ]
    state = 4
    for word, pron in lexicon:
        at, out = 1, words[word]
        *head, tail = pron.split()
        for phone in head:
            lines.append(f"{at} {state} {phones[phone]} {out}")
            at, state, out = state, state + 1, 0
        lines += [f"{at} 1 {phones[tail]} {out} {nosil}", f"{at} 2 {phones[tail]} {out} {sil}"]
    return "\n".join([*lines, "1"]) + "\n"


def grammar_text(grammar, words) -> str:
    states = {"": 0}
    for history, _, _, following in grammar:
        states.setdefault(history, len(states))
        states.setdefault(following, len(states))
    lines = [f"{states[h]} {states[n]} {words[w]} {0 if w == '#0' else words[w]} {cost}" for h, w, cost, n in grammar]
    return "\n".join([*lines, *(f"{state} {0.5 + 0.1 * state}" for state in states.values())]) + "\n"


def toy_model(num_phones: int = len(PHONES)):
    """(TransitionModel, ContextDependency): monophone, three states a phone, uneven transition probabilities."""
    import kaldi_hmm_gmm as khg

    lines = [
        "<Topology>",
        "<TopologyEntry>",
        "<ForPhones>",
        " ".join(map(str, range(1, num_phones + 1))),
        "</ForPhones>",
    ]
    for state, stay in enumerate((0.75, 0.6, 0.3)):
        transitions = f"<Transition> {state} {stay} <Transition> {state + 1} {1 - stay:.2f}"
        if state == 0:  # the middle state may be skipped
            transitions = "<Transition> 0 0.75 <Transition> 1 0.2 <Transition> 2 0.05"
        lines.append(f"<State> {state} <PdfClass> {state} {transitions} </State>")
    lines += ["<State> 3 </State>", "</TopologyEntry>", "</Topology>"]
    topology = khg.HmmTopology()
    topology.read("\n".join(lines))
    tree = khg.monophone_context_dependency(list(range(1, num_phones + 1)), [0] + [3] * num_phones)
    return khg.TransitionModel(tree, topology), tree
