"""Delivery: what waits in the spool goes to the server at least once; the server knows a second time by its key."""

from __future__ import annotations

import json
import time
from datetime import datetime, timezone
from urllib.parse import urlencode

from . import notes, reach, spool
from .marker import MarkerError
from .place import Place, look, query
from .reach import UnreachableError
from .spool import DrainLock, LockBusyError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

MOST_ITEMS = 256
MOST_BYTES = 8 << 20
_LONG_TEXT = 128 * 1024
#: Answers that say "later": the events stay.
_LATER = (408, 425, 429)
_ANSWER_SECS = 10.0
_ITEM_SECS = 0.1


class DrainResult:
    """What a delivery did.

    Attributes:
        delivered: events that the server acknowledged.
        left: events that are still in the spool.
        dropped: events that were given up, each counted in the notes.
        outcome: "done" (nothing waits), "left" (`reasons` say why), "late" (the time was up) or "busy" (another
            process is delivering).
        reasons: why events stayed -> how many.
        answered: whether the server that is configured answered the last request in time.
    """

    __slots__ = ("answered", "delivered", "dropped", "left", "outcome", "reasons")

    def __init__(self) -> None:
        self.delivered = 0
        self.left = 0
        self.dropped = 0
        self.outcome = "done"
        self.reasons: dict[str, int] = {}
        self.answered = True


def drain(
    data_dir: str, deadline: float, *, lock_wait: float = 0.0, batch: int = MOST_ITEMS, reserve: float = 0.0
) -> DrainResult:
    """Deliver what waits.

    Args:
        data_dir: the data directory.
        deadline: when to stop, on `time.monotonic`'s clock; a request in flight is abandoned then.
        lock_wait: seconds to wait for another process that delivers.
        batch: most events in one request.
        reserve: seconds before the deadline in which no request begins any more.

    Raises:
        OSError: the spool cannot be read or changed.
    """
    result = DrainResult()
    tried: set[str] = set()
    if not spool.names(data_dir):
        notes.hold(data_dir, {})
        return result
    # A hook that finds the lock taken starts no drainer of its own. Whoever held it looks once more after giving it
    # back, so an event that came in between is not left lying.
    while set(spool.names(data_dir)) - tried:
        try:
            with DrainLock(data_dir, lock_wait):
                _Pass(data_dir, deadline - reserve, deadline, batch, result, tried).run()
        except LockBusyError:
            result.outcome = "busy"
            break
        if result.outcome == "late":
            break
    result.left = len(spool.names(data_dir))
    if result.outcome == "done" and result.left:
        result.outcome = "left"
    return result


class _Item:
    """An event on its way: the spool file, where it goes, its place in a batch's body."""

    __slots__ = ("name", "text")

    def __init__(self, name: str, text: bytes) -> None:
        self.name = name
        self.text = text


class _Pass:
    """One look through the spool under the lock."""

    def __init__(
        self, data_dir: str, last_start: float, deadline: float, batch: int, result: DrainResult, tried: set[str]
    ) -> None:
        self._data_dir = data_dir
        self._last_start = last_start
        self._deadline = deadline
        self._most = batch
        self._result = result
        self._tried = tried
        self._configured = reach.server_url(data_dir)
        self._strategy = str(reach.client_settings(data_dir).get("project_strategy") or "")
        self._waiting: dict[str, list[_Item]] = {}
        #: Addresses that are not asked again in this pass, with the reason.
        self._closed: dict[str, str] = {}
        self._open: set[str] = set()

    def run(self) -> None:
        """Take every event that was not tried yet, oldest first."""
        notes.rotate(self._data_dir)
        for name in spool.names(self._data_dir):
            if name in self._tried:
                continue
            if self._is_late():
                break
            self._tried.add(name)
            self._take(name)
        for url in list(self._waiting):
            self._flush(url)
        # After the attempt: a clock that was wrong when an event happened must not be its end.
        for reason, count in spool.prune(self._data_dir, time.time()).items():
            self._note_loss(reason, "the spool's bounds", count)
        notes.hold(self._data_dir, self._result.reasons if spool.names(self._data_dir) else {})

    def _take(self, name: str) -> None:
        try:
            header = spool.header(self._data_dir, name)
            url = self._address(header)
            if url in self._closed:
                self._keep(self._closed[url])
                return
            header, payload = spool.read(self._data_dir, name)
            item = _Item(name, item_text(header, payload, self._strategy))
        except FileNotFoundError:
            return
        except MarkerError as error:
            self._keep(str(error))
            return
        except spool.SpoolEntryError as error:
            self._give_up(name, "dropped-unreadable", f"{name}: {error}")
            return
        if len(item.text) > MOST_BYTES:
            self._give_up(name, "too-large", f"{header['agent']} {header['event']}: {len(item.text)} bytes")
            return
        waiting = self._waiting.setdefault(url, [])
        if sum(len(other.text) for other in waiting) + len(item.text) > MOST_BYTES:
            self._flush(url)
        waiting = self._waiting.setdefault(url, [])
        waiting.append(item)
        # The first request is small: to find out that nobody answers, one event is enough.
        if len(waiting) >= (self._most if url in self._open else 1):
            self._flush(url)

    def _address(self, header: dict[str, Any]) -> str:
        url = str(header.get("url") or self._configured)
        # A local server that an event was captured for is often gone for good; the one that runs now is its heir.
        return self._configured if url in self._closed and reach.is_loopback(url) else url

    def _flush(self, url: str) -> None:
        items = self._waiting.pop(url, [])
        if not items:
            return
        if url not in self._closed:
            items = self._send(url, items)
        if items and url in self._closed and url != self._configured and reach.is_loopback(url):
            url = self._configured
            if url not in self._closed:
                items = self._send(url, items)
        self._keep(self._closed.get(url, "the server could not store it"), len(items))

    def _send(self, url: str, items: list[_Item]) -> list[_Item]:
        """Send items until they are acknowledged, refused or the address is closed; give back those that stay."""
        stay: list[_Item] = []
        while items and url not in self._closed:
            answer = self._ask(url, items)
            if answer is None:
                break
            found = answer.json() if answer.status == 200 else None
            if isinstance(found, dict) and isinstance(found.get("accepted"), int):
                items = self._acknowledged(url, items, found, stay)
            elif 400 <= answer.status < 500 and answer.status not in (*_LATER, 401) and self._takes_batches(url):
                items = self._refused(url, items, answer, stay)
            else:
                self._close(url, *_reason(url, answer))
        return stay + items

    def _acknowledged(self, url: str, items: list[_Item], found: dict[str, Any], stay: list[_Item]) -> list[_Item]:
        indices = found.get("accepted_indices")
        done = set(indices if isinstance(indices, list) else range(found["accepted"]))
        outcomes = {
            entry.get("index"): str(entry.get("outcome", ""))
            for entry in found.get("results") or []
            if isinstance(entry, dict)
        }
        lost: dict[str, int] = {}
        for index, item in enumerate(items):
            if index in done:
                spool.remove(self._data_dir, item.name)
                outcome = outcomes.get(index, "")
                if outcome.startswith("dropped"):
                    lost[outcome] = lost.get(outcome, 0) + 1
        accepted = sum(1 for index in range(len(items)) if index in done)
        if accepted:
            self._result.delivered += accepted
            notes.add(self._data_dir, notes.DELIVERED, url, accepted)
        for outcome, count in lost.items():
            notes.add(self._data_dir, _dropped_kind(outcome), outcome, count)
        failed = found.get("failed_index")
        if isinstance(failed, int) and 0 <= failed < len(items) and failed not in done:
            stay.append(items[failed])
            # Processing stopped at the failed one; what stands behind it has not been looked at.
            return [item for index, item in enumerate(items) if index not in done and index != failed]
        left = [item for index, item in enumerate(items) if index not in done]
        if left:
            self._close(url, f"{url} took only a part and asks for patience", "")
        return left

    def _refused(self, url: str, items: list[_Item], answer: reach.Answer, stay: list[_Item]) -> list[_Item]:
        """A batch was refused by a server that takes batches: find the events that it does not want."""
        if len(items) == 1:
            detail = answer.body[:200].decode("utf-8", "replace")
            self._give_up(items[0].name, "dropped-refused", f"{answer.status} {detail}")
            return []
        half = len(items) // 2
        stay += self._send(url, items[:half])
        return items[half:]

    def _takes_batches(self, url: str) -> bool:
        """Tell a refused event from a refused sender: an empty batch is fine with every server of ours."""
        answer = self._ask(url, [])
        found = answer.json() if answer and answer.status == 200 else None
        return isinstance(found, dict) and "accepted" in found

    def _ask(self, url: str, items: list[_Item]) -> reach.Answer | None:
        """Post a batch; a refused token is tried again as it is now. None when the address is closed thereby."""
        body = b"[" + b",".join([item.text for item in items]) + b"]"
        answer = None
        used: set[str] = set()
        while not self._is_late():
            fresh = [token for token in reach.tokens(self._data_dir) if token not in used]
            if answer and not fresh:
                return answer
            used.add(fresh[0])
            seconds = min(_ANSWER_SECS + _ITEM_SECS * len(items), self._deadline - time.monotonic())
            try:
                answer = reach.ask(url, "/hook/batch", token=fresh[0], seconds=seconds, body=body)
            except UnreachableError as error:
                self._result.answered = self._result.answered and url != self._configured
                # That our own time was up says nothing about the server.
                self._close(url, f"{url}: {error}", "" if self._is_late() else "unreachable")
                return None
            if answer.status != 401:
                self._open.add(url)
                if url == self._configured:
                    notes.resume(self._data_dir)
                return answer
        self._close(url, "the time was up", "")
        return None

    def _is_late(self) -> bool:
        if time.monotonic() < self._last_start:
            return False
        self._result.outcome = "late"
        return True

    def _close(self, url: str, reason: str, kind: str) -> None:
        self._closed[url] = reason
        if kind:
            notes.add(self._data_dir, kind, reason)
            if url == self._configured:
                notes.pause(self._data_dir)

    def _keep(self, reason: str, count: int = 1) -> None:
        if count:
            self._result.reasons[reason] = self._result.reasons.get(reason, 0) + count

    def _give_up(self, name: str, kind: str, detail: str) -> None:
        spool.remove(self._data_dir, name)
        self._note_loss(kind, detail, 1)

    def _note_loss(self, kind: str, detail: str, count: int) -> None:
        self._result.dropped += count
        notes.add(self._data_dir, kind, detail, count)


def item_text(header: dict[str, Any], payload: bytes, strategy: str = "") -> bytes:
    """Write one event as an item of a batch.

    Args:
        header: what was known when it happened.
        payload: the agent's JSON.
        strategy: the installation's default project strategy.

    Raises:
        MarkerError: the marker of its place is bad, also now.
        SpoolEntryError: the payload is not a JSON object.
    """
    parameters = {"event": header["event"], "agent": header["agent"], "ingest_key": header["key"]}
    parameters.update(_routing(header, strategy))
    try:
        body = json.loads(payload.decode("utf-8", "replace").strip("\0\ufeff \t\r\n"), strict=False)
    except (ValueError, RecursionError) as error:
        raise spool.SpoolEntryError(f"the payload is not JSON: {error}") from None
    if not isinstance(body, dict):
        raise spool.SpoolEntryError("the payload is not a JSON object")
    happened = datetime.fromtimestamp(header["created_ms"] / 1000, timezone.utc)  # noqa: UP017 - Python 3.10 has no UTC
    body.setdefault("occurred_at", happened.isoformat(timespec="milliseconds").replace("+00:00", "Z"))
    url = "/hook?" + urlencode(parameters, errors="replace")
    text = _encoded({"url": url, "body": body})
    if len(text) > MOST_BYTES:
        text = _encoded({"url": url, "body": _without_long_text(body)})
    return text


def _routing(header: dict[str, Any], strategy: str) -> dict[str, str]:
    try:
        place = Place.of(header["place"])
    except (KeyError, TypeError, ValueError) as error:
        raise spool.SpoolEntryError(f"what it says of its place is not readable: {error}") from None
    strategy = str(header.get("strategy") or strategy)
    try:
        return query(place, strategy)
    except MarkerError:
        # The marker may have been repaired since; what it says now is what its owner meant.
        from .datadir import home_dir

        return query(look(place.cwd, home_dir()), strategy)


def _without_long_text(value: Any) -> Any:
    """Replace long texts whole: half of one could end in half a secret, which no scrubber knows any more."""
    if isinstance(value, str) and len(value) > _LONG_TEXT:
        return f"[{len(value):,} characters left out: the event was too large]"
    if isinstance(value, dict):
        return {key: _without_long_text(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_without_long_text(item) for item in value]
    return value


def _encoded(value: Any) -> bytes:
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError:  # half a character: legal in JSON, not in UTF-8
        return json.dumps(value, separators=(",", ":")).encode()


def _reason(url: str, answer: reach.Answer) -> tuple[str, str]:
    if answer.status == 401:
        return f"{url} refused the token (401); write the current one with `ai-memory install-hooks --apply`", "refused"
    if answer.status in _LATER or answer.status >= 500:
        return f"{url} asks to come back later ({answer.status})", "busy"
    return f"{url} does not answer like an ai-memory server ({answer.status})", "refused"


def _dropped_kind(outcome: str) -> str:
    wanted = ("dropped_policy", "dropped_subagent")
    return "left-out-by-server" if outcome in wanted else "dropped-by-server"
