"""Every target."""

from fuzz import corpus, kaldi, lang, models, options, scoring, stores  # noqa: F401
