"""Secrets that are known by their shape alone, wherever they stand: vendor tokens, JWTs, key blocks, URLs, paths."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from ai_memory.capture.looks import is_placeholder, is_random, is_reference

#: A secret in a text: start, end, kind.
Span = tuple[int, int, str]

_WORD = "[A-Za-z0-9]"
_SIGN = "[A-Za-z0-9_-]"

#: kind -> the prefixes of a vendor's tokens, and what follows them. A "?" marks prefixes that also end innocent
#: words: they count at the start of a word only.
_VENDORS: dict[str, tuple[str, str]] = {
    "github-token": ("ghp_ gho_ ghu_ ghs_ ghr_ github_pat_", "[A-Za-z0-9_]{16,}"),
    "gitlab-token": (
        "glpat- gldt- glrt- glrtr- glcbt- glptt- glft- glsoat- glimt- glagent- gloas- glffct- glwt-",
        "[A-Za-z0-9_.-]{16,}",
    ),
    "anthropic-key": ("sk-ant-", _SIGN + "{12,}"),
    "openai-key": ("?sk-", _SIGN + "{16,}"),
    "stripe-key": ("sk_live_ sk_test_ rk_live_ rk_test_ whsec_", "[A-Za-z0-9+/=_-]{10,}"),
    "slack-token": ("xoxa- xoxb- xoxc- xoxd- xoxe- xoxe. xoxo- xoxp- xoxr- xoxs- xapp-", "[A-Za-z0-9.%-]{10,}"),
    "npm-token": ("?npm_", _WORD + "{20,}"),
    "pypi-token": ("?pypi-", _SIGN + "{32,}"),
    "huggingface-token": ("?hf_ api_org_", _WORD + "{20,}"),
    "sendgrid-key": ("?SG.", _SIGN + r"{16,}\." + _SIGN + "{16,}"),
    "digitalocean-token": ("dop_v1_ doo_v1_ dor_v1_", _WORD + "{32,}"),
    "google-token": ("ya29. GOCSPX-", _SIGN + "{16,}"),
    "vault-token": ("?hvs. ?hvb. ?hvr.", _SIGN + "{16,}"),
    "age-key": ("AGE-SECRET-KEY-", _WORD + "{16,}"),
    "shopify-token": ("shpat_ shpca_ shppa_ shpss_", "[A-Fa-f0-9]{24,}"),
    "square-token": ("sq0atp- sq0csp- sq0idp-", _SIGN + "{20,}"),
    "mailgun-key": ("?key-", "[0-9a-f]{32}"),
    "figma-token": ("figd_", _SIGN + "{20,}"),
    "linear-key": ("lin_api_ lin_oauth_", _WORD + "{20,}"),
    "notion-token": ("?ntn_ ?secret_", _WORD + "{40,}"),
    "postman-key": ("PMAK-", _SIGN + "{24,}"),
    "doppler-token": ("?dp.pt. ?dp.st. ?dp.ct. ?dp.sa.", "[A-Za-z0-9._-]{24,}"),
    "sentry-token": ("sntrys_ sntryu_", "[A-Za-z0-9_+/=-]{20,}"),
    "grafana-token": ("?glc_ ?glsa_", "[A-Za-z0-9_+/=]{24,}"),
    "newrelic-key": ("NRAK- NRII- NRJS- NRRA-", _SIGN + "{16,}"),
    "planetscale-token": ("pscale_tkn_ pscale_pw_ pscale_oauth_", "[A-Za-z0-9_.=-]{20,}"),
    "supabase-key": ("sbp_ sb_secret_", _SIGN + "{20,}"),
    "rubygems-key": ("rubygems_", _WORD + "{24,}"),
    "fly-token": ("?fm1_ ?fm1r_ ?fm2_ ?fo1_", "[A-Za-z0-9_+/=-]{24,}"),
    "groq-key": ("?gsk_", _WORD + "{20,}"),
    "xai-key": ("?xai-", _WORD + "{24,}"),
    "replicate-token": ("?r8_", _WORD + "{24,}"),
    "perplexity-key": ("pplx-", _WORD + "{24,}"),
    "pinecone-key": ("pcsk_", "[A-Za-z0-9_]{24,}"),
    "langsmith-key": ("lsv2_pt_ lsv2_sk_", "[A-Za-z0-9_]{24,}"),
    "dynatrace-token": ("dt0c01. dt0s01.", r"[A-Z0-9]{16,}\.[A-Z0-9]{24,}"),
    "circleci-token": ("CCIPAT_ CCIPRJ_", "[A-Za-z0-9_]{20,}"),
    "netlify-token": ("?nfp_ ?nfc_ ?nfo_", _WORD + "{24,}"),
    "docker-token": ("dckr_pat_ dckr_oat_", _SIGN + "{16,}"),
    "tailscale-key": ("tskey-", _SIGN + "{16,}"),
    "heroku-key": ("HRKU-", _SIGN + "{24,}"),
    "gohighlevel-token": ("?pit-", "[0-9a-f]{8}-[0-9a-f-]{20,27}"),
    "terraform-token": (".atlasv1.", "[A-Za-z0-9_=-]{24,}"),
}
_BODIES = {
    prefix.lstrip("?"): (kind, re.compile(body), prefix.startswith("?"))
    for kind, (prefixes, body) in _VENDORS.items()
    for prefix in prefixes.split()
}
_PREFIX = re.compile("|".join(re.escape(prefix) for prefix in sorted(_BODIES, key=len, reverse=True)))
_LONGEST_PREFIX = 40
#: What a token goes on with after the sign that ends its prefix. One pass for this finds where to look at all.
_AFTER_PREFIX = re.compile(r"[_.-](?:(?=[A-Za-z_]{0,40}[0-9])[0-9A-Za-z_]{10}|[A-Za-z]{16})")
#: Tokens so short that what follows their prefix may not look like it: these are looked for by name.
_SHORT_TOKENS = ("glpat-", "gldt-", "dckr_", "GOCSPX-")
_RUN = re.compile(r"[A-Za-z0-9_.\-~+/=%]+")
#: A token may follow an escape of JSON ("\\nsk-...") or of a URL ("%3Dsk-..."), of which the last sign is a letter.
_WORD_START = re.compile(r"(?<![A-Za-z0-9])|(?<=\\[nrtbf])|(?<=%[0-9A-F][0-9A-F])")

#: Tokens that begin with signs of their own alphabet.
_SOLID = re.compile(
    r"""
    (?P<aws_access_key>(?<![A-Za-z0-9])A[KS]IA[A-Z0-9]{16}(?![A-Za-z0-9])
        # The console's CSV and a pasted pair put the secret half beside it, without a name.
        (?:[\s,;:|"']{1,6}[A-Za-z0-9/+]{40}(?![A-Za-z0-9/+=]))?)
    |(?P<google_key>AIza[A-Za-z0-9_-]{30,}|(?<![A-Za-z0-9/.:])1//0[A-Za-z0-9_-]{20,})
    |(?P<meta_token>(?<![A-Za-z0-9+/=_-])EAA[A-Za-z0-9]{20,}(?![A-Za-z0-9+/=_-]))
    |(?P<twilio_key>(?<![A-Za-z0-9])SK[0-9a-f]{32}(?![A-Za-z0-9]))
    |(?P<telegram_token>:(?<=[0-9]{6}:)AA[A-Za-z0-9_-]{30,})
    |(?P<azure_secret>Q~[A-Za-z0-9_.~-]{30,})
    |(?P<atlassian_token>(?<![A-Za-z0-9+/])AT(?:ATT3|CTT3|BB)[A-Za-z0-9_=.-]{20,})
    |(?P<jfrog_key>(?<![A-Za-z0-9])AKCp[A-Za-z0-9]{40,})
    """,
    re.VERBOSE,
)
#: One cheap pass for how they begin: ordinary text pays for this alone.
_SOLID_START = re.compile(r"[AE1S:Q](?:[KS]IA[A-Z0-9]|Iza|AA|//0|K[0-9a-f]{8}|~[A-Za-z0-9_.~-]{8}|TATT|TCTT|TBB|KCp)")
#: How far the part of a token reaches back that stands before what it is known by: alphabet, length.
_BACK = {
    "telegram-token": ("0123456789", 10),
    "azure-secret": ("", 4),
    "terraform-token": ("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", 20),
}

#: Kinds whose prefix also begins innocent words: a solid run proves them, or the look of the rest.
_WEAK = {"openai-key": re.compile(r"[A-Za-z0-9]{16}"), "meta-token": re.compile(r"[0-9]")}

_JWT = re.compile(r"(?<![A-Za-z0-9_-])eyJ[A-Za-z0-9_-]{6,}(?:\.[A-Za-z0-9_-]{4,})+(?:\.(?![A-Za-z0-9_-]))?")
_JWT_AFTER_ESCAPE = re.compile(r"(?<=\\[nrtbf])" + r"eyJ[A-Za-z0-9_-]{6,}(?:\.[A-Za-z0-9_-]{4,})+")
_DATABRICKS = re.compile(r"dapi[0-9a-f]{32}(?:-\d)?")

_KEY_BEGIN = re.compile(r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----")
_KEY_END = re.compile(r"-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----")
_KEY_LINE = r"(?:\s|\\+[nrt]|[\"'`+>|#*,;:.]|//|(?:Proc-Type|DEK-Info|Version|Comment):[^\n\\]{0,80})"
_KEY_LINES = re.compile(rf"(?:{_KEY_LINE}*+[A-Za-z0-9+/=_-]{{16,}}+)++(?:\s*+(?:\\+[nrt])*+[A-Za-z0-9+/=]++)?")
_KEY_LENGTH = 32_768
_KEY_ALPHABET = re.compile(r"[A-Za-z0-9+/=]{16}")
_KEY_TAIL_LINE = re.compile(r"[\s\"'`+>|#*,;-]*[A-Za-z0-9+/=]{16,}[\s\"'`+,;]*")
_PUTTY = re.compile(r"Private-Lines: \d+(?:\s+[A-Za-z0-9+/=]{16,})+(?:\s+[A-Za-z0-9+/=]+)?")

_USERINFO = re.compile(r"://(?P<user>[^\s/?#\"'<>`\\]{1,512})@(?=[\w.\[{$%-])")
#: Passwords of databases are pasted as they are, with "/", "?" and "@" in them.
_DATABASE_USERINFO = re.compile(r"://(?P<user>[^\s:/@\"'<>`]{0,64}:(?!\d{1,5}[/?#])[^\s\"'<>`]{1,256})@(?=[\w.\[-])")
_DATABASES = re.compile(
    r"(?:postgres(?:ql)?|mysqlx?|mariadb|mongodb|rediss?|valkeys?|amqps?|mssql|sqlserver|oracle|clickhouse|"
    r"ldaps?|smtps?|imaps?|s?ftps?|nats|kafka|cockroachdb|couchbase|neo4j|bolt|jdbc)(?:\+\w+)?$"
)
_WEBHOOK = re.compile(
    r"(?:hooks\.slack(?:-gov)?\.com/(?:services|workflows|triggers)/|/api/webhooks/|webhook\.office\.com/webhookb2/|"
    r"chat\.googleapis\.com/v1/spaces/[^\s\"'<>]{0,80}key=)(?P<path>[^\s\"'<>`\\)]{12,})"
)

_CREDENTIAL_PLACE = re.compile(
    r"[\\/](?:\.(?:ssh|aws|kube|gnupg|azure)(?![\w-])|\.config[\\/]+gcloud(?![\w-])|\.docker[\\/]+config\.json|"
    r"[._]netrc(?![\w-])|\.git-credentials|\.pgpass(?![\w-])|\.pypirc|gcloud[\\/]+(?:application_default_cred|credentials)|"
    r"id_(?:rsa|dsa|ecdsa|ed25519)(?:_sk)?(?![\w.-])|Microsoft[\\/]+(?:Credentials|Protect|Vault)(?![\w-]))",
    re.IGNORECASE,
)
_PATH_REST = re.compile(r"[^\s\"'`<>|*?;,(){}]*")
_PATH_STOP = " \t\r\n\"'`<>|*?;,(){}=@"
_LONGEST_PATH = 256


def found_by_shape(text: str) -> Iterator[Span]:
    """Find every secret that is known by its shape; spans may overlap."""
    yield from _vendor_tokens(text)
    if _SOLID_START.search(text):
        for match in _SOLID.finditer(text):
            kind = (match.lastgroup or "").replace("_", "-")
            if _strong(kind, match.group()):
                yield _reach_back(text, match.start(), kind), match.end(), kind
    for anchor, finder in _ANCHORED:
        position = text.find(anchor)
        while position >= 0:
            end = position + len(anchor)
            for span in finder(text, position):
                yield span
                end = max(end, span[1])
            position = text.find(anchor, end)
    yield from _credential_paths(text)


def _vendor_tokens(text: str) -> Iterator[Span]:
    if any(prefix in text for prefix in _SHORT_TOKENS):
        yield from _tokens_between(text, 0, len(text))
        return
    done = 0
    sign = _AFTER_PREFIX.search(text)
    while sign:
        run = _RUN.match(text, sign.start())
        end = run.end() if run else sign.end()
        yield from _tokens_between(text, max(done, sign.start() - _LONGEST_PREFIX), end)
        done = end
        sign = _AFTER_PREFIX.search(text, done)


def _tokens_between(text: str, start: int, end: int) -> Iterator[Span]:
    for prefix in _PREFIX.finditer(text, start, end):
        kind, body, at_word_start = _BODIES[prefix.group()]
        if prefix.start() < start or (at_word_start and not _WORD_START.match(text, prefix.start())):
            continue
        token = body.match(text, prefix.end())
        if token and _strong(kind, token.group()):
            yield _reach_back(text, prefix.start(), kind), token.end(), kind
            start = token.end()


def _strong(kind: str, token: str) -> bool:
    if len(set(token[-16:].lower()) - set("-_")) <= 2:
        return False
    sign = _WEAK.get(kind)
    return sign is None or bool(sign.search(token)) or is_random(token)


def _reach_back(text: str, start: int, kind: str) -> int:
    alphabet, reach = _BACK.get(kind, ("", 0))
    head = text[max(0, start - reach) : start] if reach else ""
    return start - (len(head) - len(head.rstrip(alphabet)) if alphabet else len(head))


def _jwts(text: str, position: int) -> Iterator[Span]:
    match = _JWT.match(text, position) or _JWT_AFTER_ESCAPE.match(text, position)
    if match:
        yield position, match.end(), "jwt"


def _databricks(text: str, position: int) -> Iterator[Span]:
    match = _DATABRICKS.match(text, position)
    if match:
        yield position, match.end(), "databricks-token"


def _key_blocks(text: str, position: int) -> Iterator[Span]:
    begin = _KEY_BEGIN.match(text, position)
    if not begin:
        return
    stop = text.find("-----END", begin.end(), begin.end() + _KEY_LENGTH)
    end = _KEY_END.match(text, stop) if stop >= 0 else None
    if end and _KEY_ALPHABET.search(text, begin.end(), stop):
        yield position, end.end(), "private-key"
    elif lines := _KEY_LINES.match(text, begin.end()):
        yield position, lines.end(), "private-key"


def _key_tails(text: str, position: int) -> Iterator[Span]:
    # The head of a long output may have been cut away by the agent, so that a block has an end alone.
    end = _KEY_END.match(text, position)
    if not end:
        return
    start = position
    while start > 0:
        line_start = text.rfind("\n", max(0, start - 256), start - 1) + 1
        if not _KEY_TAIL_LINE.fullmatch(text, line_start, start):
            break
        start = line_start
    if start < position:
        yield start, end.end(), "private-key"


def _putty_keys(text: str, position: int) -> Iterator[Span]:
    match = _PUTTY.match(text, position)
    if match:
        yield position, match.end(), "private-key"


def _url_credentials(text: str, position: int) -> Iterator[Span]:
    is_database = _DATABASES.search(text, max(0, position - 24), position)
    match = (is_database and _DATABASE_USERINFO.match(text, position)) or _USERINFO.match(text, position)
    if not match:
        return
    user, colon, password = match["user"].partition(":")
    secret = password if colon else user
    if is_reference(secret) or is_placeholder(secret):
        return
    if colon or (len(user) >= 16 and is_random(user)):
        yield match.start("user"), match.end("user"), "url-credentials"


def _webhooks(text: str, position: int) -> Iterator[Span]:
    match = _WEBHOOK.match(text, position)
    if match and not is_placeholder(match["path"][:300]):
        yield match.start("path"), match.end("path"), "webhook"


def _credential_paths(text: str) -> Iterator[Span]:
    done = 0
    for match in _CREDENTIAL_PLACE.finditer(text):
        if match.start() < done:
            continue
        lowest = max(done, match.start() - _LONGEST_PATH)
        head = text[lowest : match.start()]
        # A drive's path may hold spaces ("C:\Users\Ana Lima\.ssh\id_rsa").
        drive = max(head.rfind(":\\"), head.rfind(":/"))
        if drive > 0 and head[drive - 1].isalpha() and not any(sign in head[drive:] for sign in "\n\"'`<>|*?;"):
            start = lowest + drive - 1
        elif match.group()[0] == "\\" and text[match.end() : match.end() + 1] not in ("\\", "/"):
            continue  # an escaped dot in a regular expression: "s3\\.aws"
        else:
            start = lowest + max(head.rfind(sign) for sign in _PATH_STOP) + 1
        rest = _PATH_REST.match(text, match.end())
        done = rest.end() if rest else match.end()
        yield start, done, "credential-path"


_ANCHORED: tuple[tuple[str, Callable[[str, int], Iterator[Span]]], ...] = (
    ("eyJ", _jwts),
    ("dapi", _databricks),
    ("-----BEGIN ", _key_blocks),
    ("-----END ", _key_tails),
    ("Private-Lines:", _putty_keys),
    ("://", _url_credentials),
    ("hooks.slack", _webhooks),
    ("/api/webhooks/", _webhooks),
    ("webhook.office.com", _webhooks),
    ("chat.googleapis.com", _webhooks),
)
