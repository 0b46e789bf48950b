"""A weighted context-free grammar with topics, and sentences drawn from it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import numpy as np

from ...io.errors import RecipeError
from .rules import GENERAL, TOPICS

WEIGHT = re.compile(r"^\{(\d+)\}\s*")
DRIFT = 0.4  # share of the topic's own things, acts and places that are taken from another topic
HESITATIONS = 0.05  # per word boundary
REPEATS = 0.04  # per word of at most four letters
REFERENCE = re.compile(r"^<(\w+)(?:\?(\d+))?>$")


@dataclass(frozen=True)
class Reference:
    """A rule to expand, with the probability of expanding it at all."""

    rule: str
    probability: float = 1.0


@dataclass
class Rule:
    weights: list[float] = field(default_factory=list)
    alternatives: list[list[str | Reference]] = field(default_factory=list)

    def draw(self, rng: np.random.Generator) -> list[str | Reference]:
        weights = np.array(self.weights)
        return self.alternatives[int(rng.choice(len(weights), p=weights / weights.sum()))]


def parse_rules(text: str, known: dict[str, Rule] | None = None) -> dict[str, Rule]:
    """Parses 'name: alternative | alternative' lines (see rules.py) into a copy of `known` with these rules added."""
    rules = dict(known or {})
    for line in filter(None, map(str.strip, text.replace("\n  |", " |").splitlines())):
        name, _, body = line.partition(":")
        rule = rules[name] = Rule()
        for alternative in body.split("|"):
            alternative = alternative.strip()
            weight = WEIGHT.match(alternative)
            rule.weights.append(float(weight.group(1)) if weight else 1.0)
            items: list[str | Reference] = []
            for item in WEIGHT.sub("", alternative).split():
                match = REFERENCE.match(item)
                items.append(Reference(match.group(1), int(match.group(2) or 100) / 100) if match else item)
            rule.alternatives.append(items)
    return rules


class Grammar:
    """Draws sentences; one rule set per topic.

    Raises:
      RecipeError: a rule refers to one that does not exist.
    """

    def __init__(self, general: str = GENERAL, topics: dict[str, str] = TOPICS):
        shared = parse_rules(general)
        self.topical = {name for text in topics.values() for name in parse_rules(text)}
        self.topics = {topic: parse_rules(text, shared) for topic, text in topics.items()}
        for topic, rules in self.topics.items():
            for name, rule in rules.items():
                for item in (item for alternative in rule.alternatives for item in alternative):
                    if isinstance(item, Reference) and item.rule not in rules:
                        raise RecipeError("grammar refers to an unknown rule", file="pytorch_nnet/corpus/mini/rules.py",
                                          id=f"{topic}: {name}", expected="a rule that exists", found=item.rule)

    def draw(self, rule: str, topic: str, rng: np.random.Generator) -> list[str]:
        """One expansion of `rule` as lower-case words."""
        words: list[str] = []
        stack: list[str | Reference] = [Reference(rule)]
        while stack:
            item = stack.pop()
            if isinstance(item, str):
                words.append(item)
            elif item.probability >= 1 or rng.random() < item.probability:
                drift = item.rule in self.topical and rng.random() < DRIFT
                rules = self.topics[str(rng.choice(list(self.topics)))] if drift else self.topics[topic]
                stack += reversed(rules[item.rule].draw(rng))
        return join_articles(words)

    def hesitate(self, words: list[str], rng: np.random.Generator) -> list[str]:
        """The same words with hesitations between them and words begun twice, as in unplanned speech."""
        spoken: list[str] = []
        for index, word in enumerate(words):
            if index and rng.random() < HESITATIONS:
                spoken += self.draw("hesitation", next(iter(self.topics)), rng)
            spoken += [word] * (2 if len(word) <= 4 and rng.random() < REPEATS else 1)
        return spoken

    def vocabulary(self) -> list[str]:
        """Every word the grammar can say, sorted."""
        words = {"an"}
        for rules in self.topics.values():
            words |= {item for rule in rules.values() for alternative in rule.alternatives for item in alternative
                      if isinstance(item, str)}
        return sorted(words)


def join_articles(words: list[str]) -> list[str]:
    """Writes 'a' before a vowel as 'an'. (All vowel-initial words of the grammar begin with a vowel sound but 'used', 'europe'.)"""
    glides = {"used", "europe"}
    return ["an" if word == "a" and following[:1] in set("aeiou") and following not in glides else word
            for word, following in zip(words, [*words[1:], ""])]
