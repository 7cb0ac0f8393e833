"""A model that answers as a test tells it, with a meter that counts as vendors do."""

from ai_memory.llm.chat import Answer, Call, ModelError, never

#: What each answer counts, and costs.
USED, COST = (111, 17), 0.25


class Scripted:
    """Gives `answers` one after the other, the last one again and again: a JSON value, an error, or a function."""

    provider, model = "scripted", "m-1"

    def __init__(self, *answers):
        self.answers = list(answers)
        #: Every question that went out.
        self.asked = []
        self.record = None

    def __call__(self, settings, record):
        self.record = record
        return self

    def ask(self, ask, *, cancelled=never):
        self.asked.append(ask)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if callable(answer):
            answer = answer(ask)
        kind = answer.kind if isinstance(answer, ModelError) else "ok"
        self.record(Call(ask.purpose, self.provider, self.model, *USED, COST, kind))
        if isinstance(answer, Exception):
            raise answer
        return Answer("", answer, self.provider, self.model, *USED, 0.1)
