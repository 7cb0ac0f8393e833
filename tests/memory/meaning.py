"""An embedder without a model: words in groups of one meaning, each group one direction."""

import re
from array import array

from ai_memory.search.embed.embedder import EmbeddingError, packed

MEANINGS = [
    {"rounding", "round", "cents", "truncate"},
    {"login", "password", "authenticate", "sign-in"},
    {"deploy", "release", "ship", "rollout"},
    {"invoice", "bill"},
    {"cache", "memoize", "store"},
]
DIM = 16


class Meaning:
    """Vectors by groups of words; it can be told to fail."""

    provider = "openai-compat"

    def __init__(self, model="words"):
        self.model = model
        self.dim = DIM
        self.asked = []
        self.trouble = None
        self.poison = "\0"
        self.retry = "never"
        self.before = lambda: None
        self.tokens = 0

    def documents(self, texts):
        self.asked.append(list(texts))
        self.before()
        if self.trouble:
            raise self.trouble
        if any(self.poison in text for text in texts):
            raise EmbeddingError("refused (HTTP 400)", self.retry)
        self.tokens += sum(len(text.split()) for text in texts)
        return [vector_of(text) for text in texts]

    def query(self, text):
        return self.documents([text])[0]

    def used_tokens(self):
        used, self.tokens = self.tokens, 0
        return used

    def texts(self):
        """Give every piece that was asked for, sorted."""
        return sorted(text for batch in self.asked for text in batch)


def vector_of(text):
    numbers = array("f", [-0.05] * DIM)
    for word in re.findall(r"[\w-]+", text.lower()):
        for n, group in enumerate(MEANINGS):
            if word in group:
                numbers[n] = 1.0
    return packed(numbers)
