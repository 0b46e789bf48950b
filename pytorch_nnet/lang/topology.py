"""HMM topologies in Kaldi's text form (Kaldi: utils/gen_topo.pl)."""

from __future__ import annotations

from typing import Sequence

Transitions = list[list[tuple[int, float]]]  # per emitting state: (next state, probability)


def bakis(states: int) -> Transitions:
    """Left to right without skips; a state stays with 0.75, which training overrides."""
    return [[(state, 0.75), (state + 1, 0.25)] for state in range(states)]


def silence(states: int) -> Transitions:
    """First state, then a fully connected middle, then the last state.

    Silence holds breath, line noise and hum in no fixed order, so its middle states may follow each other freely;
    entering by the first and leaving by the last keeps a minimal duration. Fewer than 4 states leave no middle to
    connect: `bakis`.
    """
    if states < 4:
        return bakis(states)
    share = 1.0 / (states - 1)
    first = [(to, share) for to in range(states - 1)]
    middle = [(to, share) for to in range(1, states)]
    return [first, *[middle] * (states - 2), [(states - 1, 0.75), (states, 0.25)]]


def topology_text(nonsilence: Sequence[int], sil: Sequence[int], nonsilence_states: int, silence_states: int) -> str:
    """The <Topology> of two classes of phones, given by their ids."""
    lines = ["<Topology>"]
    for phones, transitions in ((nonsilence, bakis(nonsilence_states)), (sil, silence(silence_states))):
        lines += ["<TopologyEntry>", "<ForPhones>", " ".join(map(str, phones)), "</ForPhones>"]
        for state, leaving in enumerate(transitions):
            arcs = " ".join(f"<Transition> {to} {probability:.6g}" for to, probability in leaving)
            lines.append(f"<State> {state} <PdfClass> {state} {arcs} </State>")
        lines += [f"<State> {len(transitions)} </State>", "</TopologyEntry>"]
    return "\n".join([*lines, "</Topology>"]) + "\n"
