"""A repository's remote, read from its configuration without starting git, and its one spelling."""

from __future__ import annotations

import os

from .disk import read_regular

_LARGEST = 1 << 18


def remote_url(config: str) -> str:
    """Read the address of `origin`, else of the only remote, from a git configuration file; "" if there is none."""
    try:
        text = read_regular(config, _LARGEST).decode("utf-8", "replace")
    except OSError:
        # A repository without a readable configuration has no remote that could be named.
        return ""
    urls: dict[str, str] = {}
    name = None
    for raw in text.splitlines():
        line = raw.strip()
        if line.startswith("["):
            name = _remote_name(line)
        elif name is not None:
            key, equals, value = line.partition("=")
            if equals and key.strip().lower() == "url":
                urls.setdefault(name, _value(value))
    if "origin" in urls:
        return urls["origin"]
    return next(iter(urls.values())) if len(urls) == 1 else ""


def _remote_name(line: str) -> str | None:
    head, quote, rest = line[1:].partition('"')
    if head.strip().lower() != "remote" or not quote:
        return None
    return rest.rpartition('"')[0].replace('\\"', '"').replace("\\\\", "\\")


def _value(text: str) -> str:
    text = text.strip()
    if text.startswith('"'):
        return text[1:].partition('"')[0]
    for sign in ("#", ";"):
        text = text.partition(sign)[0]
    return text.strip()


def normalise_remote(url: str) -> str:
    """Bring every spelling of a remote to `host/path`, lower-cased; "" for a place on this disk.

    User, password, port, query, `.git` and needless slashes go; so `git@github.com:Acme/shop.git` and
    `https://user:secret@github.com/Acme/shop/` are both `github.com/acme/shop`.
    """
    url = url.strip().partition("#")[0].partition("?")[0]
    scheme, separator, rest = url.partition("://")
    if separator:
        authority, _, path = rest.partition("/")
        host = _without_port(authority.rpartition("@")[2])
        if scheme.lower().rpartition("+")[2] == "file":
            return ""
    else:
        host, path = _scp(url)
    path = path.replace("\\", "/").lower()
    parts = [part for part in path.split("/") if part and part != "."]
    while parts and parts[-1].endswith(".git"):
        parts[-1] = parts[-1][:-4]
        if not parts[-1]:
            parts.pop()
    if not host or not parts or any(blank in host + path for blank in (" ", "\t", "\n")):
        return ""
    return host.lower() + "/" + "/".join(parts)


def _scp(url: str) -> tuple[str, str]:
    """Take `user@host:path` apart; ("", "") for anything that is a path."""
    head = url.partition("/")[0]
    if ":" not in head or os.path.isabs(url):
        return "", ""
    # A colon before the first "@" is a password's.
    at = head.rfind("@") if ":" in head.partition("@")[0] and "@" in head else head.find("@")
    rest = url[at + 1 :]
    if rest.startswith("["):
        host, _, path = rest[1:].partition("]")
        return host, path.lstrip(":")
    host, _, path = rest.partition(":")
    # One letter is a Windows drive.
    return (host, path) if len(host) > 1 else ("", "")


def _without_port(authority: str) -> str:
    if authority.startswith("["):
        return authority[1:].partition("]")[0]
    return authority.partition(":")[0]
