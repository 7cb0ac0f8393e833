"""Tokens that do not last: that of a ChatGPT subscription, renewed in time, and that of Copilot, got with GitHub's."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from threading import Lock
from typing import Any

from ai_memory.errors import AiMemoryError
from ai_memory.llm import web
from ai_memory.llm.asking import ModelError
from ai_memory.llm.logins import Login, Logins

#: A token that lasts no longer is renewed first.
_LEFT = 60.0
_USUAL = 3600.0
#: The client that OpenAI lets sign in by itself: that of its own program.
OPENAI_CLIENT = "app_EMoamEEZ73f0CkXaXp7hrann"
_CLAIM = "https://api.openai.com/auth"


@dataclass(frozen=True, slots=True)
class Bearer:
    """A token that holds now, and whose account it is ("" where that goes without saying)."""

    token: str = field(repr=False)
    account: str = ""


def openai_login(answer: Mapping[str, Any], now: float, former: Login | None = None) -> dict[str, Any]:
    """Read what OpenAI gives for a code or a token that renews, as it is kept.

    Args:
        answer: its JSON.
        now: seconds since 1970.
        former: what was kept before; what the answer leaves out goes on.

    Raises:
        ModelError: there is no token in it.
    """
    former = former or {}
    access = answer.get("access_token")
    renews = answer.get("refresh_token") or former.get("refresh_token")
    if not (access and isinstance(access, str) and renews and isinstance(renews, str)):
        raise ModelError("OpenAI gave no token", "unconfigured")
    claims = [_claims(token) for token in (answer.get("id_token"), access)]
    accounts = [found for each in claims if (found := (each.get(_CLAIM) or {}).get("chatgpt_account_id"))]
    lasts = answer.get("expires_in")
    until = now + lasts if isinstance(lasts, (int, float)) else claims[1].get("exp") or now + _USUAL
    return {
        "access_token": access,
        "refresh_token": renews,
        "account_id": accounts[0] if accounts else former.get("account_id", ""),
        "expires_at": until,
    }


def _claims(token: Any) -> dict[str, Any]:
    """Read what a JWT says, without a check: it is only told back to who has made it."""
    try:
        middle = str(token).split(".")[1]
        value = json.loads(base64.urlsafe_b64decode(middle + "=" * (-len(middle) % 4)))
    except (IndexError, ValueError, binascii.Error):
        return {}
    return value if isinstance(value, dict) else {}


class ChatGPTBearer:
    """The token of a ChatGPT subscription, renewed when it is about to end."""

    def __init__(self, logins: Logins, issuer: str, now: Callable[[], float]) -> None:
        self._logins, self._issuer, self._now = logins, issuer, now

    def give(self) -> Bearer:
        """Give a token that holds.

        Raises:
            ModelError: nobody is signed in, or not any more ("unconfigured"), or OpenAI is away ("transient").
        """
        try:
            login = self._logins.of("openai-oauth")
            if login is None:
                raise _signed_out("nobody is signed in at openai-oauth")
            if not self._holds(login):
                login = self._renewed()
        except ModelError:
            raise
        except AiMemoryError as error:
            raise ModelError(str(error), "unconfigured") from error
        return Bearer(str(login.get("access_token", "")), str(login.get("account_id", "")))

    def _holds(self, login: Login) -> bool:
        until = login.get("expires_at")
        return isinstance(until, (int, float)) and self._now() + _LEFT < until

    def _renewed(self) -> Login:
        with self._logins.changing("openai-oauth") as (login, keep):
            if login is None:
                raise _signed_out("nobody is signed in at openai-oauth")
            if self._holds(login):
                # Another program was faster.
                return login
            form = {
                "grant_type": "refresh_token",
                "refresh_token": str(login.get("refresh_token", "")),
                "client_id": OPENAI_CLIENT,
            }
            status, answer = web.ask(f"{self._issuer}/oauth/token", form=form)
            if status >= 500 or status == 429:
                raise ModelError(f"the token of openai-oauth could not be renewed (HTTP {status})", "transient")
            if status != 200:
                raise _signed_out(f"OpenAI renews the token of openai-oauth no more (HTTP {status})")
            new = openai_login(answer, self._now(), login)
            keep(new)
            return new


def _signed_out(why: str) -> ModelError:
    return ModelError(f"{why}: `ai-memory auth login openai-oauth`", "unconfigured")


class CopilotBearer:
    """The token of Copilot, got with a token of GitHub and kept in memory while it holds."""

    def __init__(self, github: Callable[[], str], api: str, now: Callable[[], float]) -> None:
        """Take the way to the token of GitHub ("" for none), and to GitHub's API."""
        self._github, self._api, self._now = github, api, now
        self._lock = Lock()
        self._kept = Bearer("")
        self._until = 0.0

    def give(self) -> Bearer:
        """Give a token that holds.

        Raises:
            ModelError: there is no token of GitHub, or not one that may use Copilot ("unconfigured"), or GitHub is away
                ("transient").
        """
        with self._lock:
            if self._now() + _LEFT >= self._until:
                self._kept, self._until = self._got()
            return self._kept

    def _got(self) -> tuple[Bearer, float]:
        github = self._github()
        if not github:
            raise ModelError(
                "there is no token for copilot: `ai-memory auth login copilot`, or set COPILOT_GITHUB_TOKEN",
                "unconfigured",
            )
        status, answer = web.ask(f"{self._api}/copilot_internal/v2/token", headers={"Authorization": f"token {github}"})
        if status >= 500 or status == 429:
            raise ModelError(f"GitHub gave no token for copilot (HTTP {status})", "transient")
        token, until = answer.get("token"), answer.get("expires_at")
        if status != 200 or not token or not isinstance(token, str):
            raise ModelError(
                f"GitHub gave no token for copilot (HTTP {status}): sign in again with `ai-memory auth login copilot`, "
                "with an account that may use it",
                "unconfigured",
            )
        return Bearer(token), float(until) if isinstance(until, (int, float)) else self._now() + _USUAL
