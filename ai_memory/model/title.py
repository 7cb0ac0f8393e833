"""Which texts can serve as the title of a session: a sentence the user typed, not what a program put in its place."""

from __future__ import annotations

import re

#: What stands in the place of a prompt that the configuration keeps out.
NOT_CAPTURED = "prompt not captured"

_TAG = re.compile(r"</?[A-Za-z][\w/-]{0,63}[\s>]")
_BARE_COMMAND = re.compile(r"/[A-Za-z][\w:-]*")
_PROMPT_SIGNS = re.compile(r"[\u2500-\u257f\u276f\u279c\ue0a0-\ue0d7]")
_CODE_NAME = re.compile(r"(?=\S*[\d\[\](){}])\S*[-_\[]\S*")
_BRACKETED = re.compile(r"(?:\[[^\]]*\]\s*)+")
_NO_WORD = re.compile(r"[\W_]+")

#: What agents write into the prompt by themselves and in plain words.
_PREAMBLES = (
    NOT_CAPTURED,
    "caveat: the messages below were generated",
    "this session is being continued from a previous conversation",
)

#: Answers that only let the agent go on; compared without punctuation and case.
_ACKNOWLEDGEMENTS = frozenset(
    "y, n, k, ok, okay, okey, yes, yep, yeah, yup, no, nope, sure, fine, good, great, nice, cool, "
    "perfect, done, correct, right, exactly, agreed, thanks, thank you, thx, ty, please, yes please, no "
    "thanks, ok thanks, ok go, ok go on, go, go on, go ahead, yes go ahead, continue, please continue, ok "
    "continue, yes continue, proceed, please proceed, resume, next, more, do it, do that, yes do it, ok "
    "do it, lets go, let's go, sounds good, looks good, that works, lgtm, got it, i see, hi, hello, hey, "
    "hello there, test, sim, não, nao, isso, certo, beleza, pode ser, pode continuar, continua, continue "
    "por favor, obrigado, obrigada, valeu, si, sí, claro, vale, gracias, sigue, continúa, adelante, ja, "
    "nein, gut, passt, weiter, mach weiter, danke, bitte, oui, non, d'accord, merci, vas-y, да, нет, "
    "хорошо, спасибо, дальше, продолжай, 好, 好的, 是, 是的, 对, 继续, 谢谢, はい, 続けて, 네, 계속".split(", ")
)


def usable_title(text: str) -> bool:
    """Tell whether a prompt (or its first line) can stand as a session's title.

    Terse requests ("fix ci") can. Markup that a client wrapped around something, slash commands without words,
    screen decoration, names of models and files, and mere acknowledgements cannot.
    """
    line = text.strip()
    if _NO_WORD.fullmatch(line) or not any(map(str.isalpha, line)):
        return False
    if _TAG.match(line) or _PROMPT_SIGNS.match(line) or _BRACKETED.fullmatch(line):
        return False
    if _BARE_COMMAND.fullmatch(line) or _CODE_NAME.fullmatch(line):
        return False
    lowered = line.lower().replace("’", "'")
    if lowered.startswith(_PREAMBLES):
        return False
    return lowered.strip(" \t\n.,!?;:…。！？👍🙏-") not in _ACKNOWLEDGEMENTS
