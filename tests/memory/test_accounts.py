import re
from datetime import timedelta

import pytest

from ai_memory.errors import BadRequestError, BusyError, ConflictError, NotFoundError
from ai_memory.memory import accounts as module
from ai_memory.memory.accounts import OWNER, Device, Polled, TokenNotFoundError, digest


@pytest.fixture
def accounts(world):
    return world.memory.accounts


def begun(accounts):
    return accounts.begin_device("ltm-cli", "read write")


# Tokens


def test_a_token_is_48_letters_and_digits_and_says_whose_it_is(accounts):
    issued = [accounts.issue("laptop") for _ in range(20)]
    assert all(re.fullmatch("[0-9a-zA-Z]{48}", token) for token, _ in issued)
    assert len({token for token, _ in issued}) == 20
    assert [accounts.user_of(token) for token, _ in issued] == [user for _, user in issued]
    assert len({user for _, user in issued}) == 20


@pytest.mark.parametrize("token", ["", "x", "0" * 48, "é\udce9\ud800"], ids=["none", "short", "unknown", "no UTF-8"])
def test_a_token_that_was_not_issued_is_nobodys(accounts, token):
    accounts.issue("laptop")
    assert accounts.user_of(token) is None


def test_one_address_is_one_user_and_one_id_is_too(accounts):
    _, ana = accounts.issue("Ana", "ana@example.org")
    token, again = accounts.issue("Ana's laptop", " ana@example.org ")
    desktop, named = accounts.issue("Ana's desktop", user=ana)
    assert ana == again == named == accounts.user_of(token) == accounts.user_of(desktop)
    assert accounts.display(ana) == "Ana"
    _, bea = accounts.issue("Bea")
    assert bea != ana


def test_the_owner_gets_tokens_and_somebody_unknown_does_not(accounts):
    token, user = accounts.issue("laptop", user=OWNER)
    assert (user, accounts.user_of(token), accounts.display(OWNER)) == (OWNER, OWNER, "owner")
    with pytest.raises(NotFoundError, match="there is no user nobody"):
        accounts.issue("laptop", user="nobody")
    assert len(accounts.tokens()) == 1


@pytest.mark.parametrize(
    ("display", "email", "why"),
    [
        ("", "", "the name is empty"),
        ("x" * 201, "", "the name is longer than 200 characters"),
        ("x", "y" * 201, "the address is longer than 200 characters"),
        ("ghp_" + "a1B2c3D4e5" * 4, "", "the name holds what looks like a secret"),
    ],
    ids=["empty", "long", "long address", "secret"],
)
def test_what_cannot_be_kept_of_a_user_makes_none(world, accounts, display, email, why):
    with pytest.raises(BadRequestError, match=why):
        accounts.issue(display, email)
    assert accounts.tokens() == []


def test_a_token_is_listed_by_its_digest_and_taken_away_by_its_beginning(world, accounts):
    token, user = accounts.issue("laptop")
    kept, _ = accounts.issue("desktop", user=user)
    assert {(each.hash, each.user, each.label, each.created_at) for each in accounts.tokens()} == {
        (digest(token), user, "laptop", world.now),
        (digest(kept), user, "desktop", world.now),
    }
    assert accounts.revoke(digest(token)[:8]).label == "laptop"
    assert (accounts.user_of(token), accounts.user_of(kept)) == (None, user)
    with pytest.raises(TokenNotFoundError):
        accounts.revoke(digest(token)[:8])
    for wrong in ("", digest(kept)[:7], "%" * 8, token):
        with pytest.raises(BadRequestError):
            accounts.revoke(wrong)


def test_a_beginning_of_two_tokens_takes_neither_away(world, accounts):
    rows = world.memory.stores.state.accounts
    for last in "ab":
        rows.add_token(module.Token("0" * 63 + last, OWNER, last, world.now))
    with pytest.raises(ConflictError, match="2 tokens begin with 00000000"):
        accounts.revoke("0" * 8)
    assert accounts.revoke("0" * 63 + "b").label == "b"


def test_no_token_and_no_code_is_on_the_disk(world, accounts):
    token, _ = accounts.issue("laptop")
    grant = begun(accounts)
    world.memory.teams.create(OWNER, "red")
    invite = world.memory.teams.invite(OWNER, "red")
    world.close()
    secrets = [token, grant.device_code, grant.user_code, grant.user_code.replace("-", ""), invite.code]
    held = [
        (each, file.name)
        for file in world.data.rglob("*")
        if file.is_file()
        for each in secrets
        if each.encode() in file.read_bytes()
    ]
    assert held == []


# Devices


def test_a_device_that_is_approved_gets_a_token_of_who_approved_it_once(world, accounts):
    grant = begun(accounts)
    assert (grant.expires_in, grant.interval) == (600, 5)
    assert re.fullmatch("[B-DF-HJ-NP-TV-XZ]{4}-[B-DF-HJ-NP-TV-XZ]{4}", grant.user_code)
    assert accounts.poll_device(grant.device_code, "ltm-cli") == Polled(error="authorization_pending")
    assert accounts.settle_device(grant.user_code, "ana", approved=True)
    world.passes(seconds=5)
    polled = accounts.poll_device(grant.device_code, "ltm-cli")
    assert (accounts.user_of(polled.token), polled.scope, polled.error) == ("ana", "read write", "")
    assert accounts.poll_device(grant.device_code, "ltm-cli") == Polled(error="invalid_grant")
    assert [each.label for each in accounts.tokens()] == ["ltm-cli"]


@pytest.mark.parametrize(
    "written", [str.lower, lambda code: code.replace("-", ""), lambda code: f" {code[:3]} {code[3:]}\n"]
)
def test_a_code_is_known_however_it_is_typed(accounts, written):
    grant = begun(accounts)
    assert accounts.device(written(grant.user_code)) == Device(grant.user_code, "ltm-cli", "read write")
    assert accounts.settle_device(written(grant.user_code), "ana", approved=True)


def test_a_device_that_is_denied_hears_it_once_and_gets_nothing(world, accounts):
    grant = begun(accounts)
    assert accounts.settle_device(grant.user_code, "ana", approved=False)
    assert not accounts.settle_device(grant.user_code, "ana", approved=True)
    assert accounts.device(grant.user_code) is None
    assert accounts.poll_device(grant.device_code, "ltm-cli") == Polled(error="access_denied")
    assert accounts.poll_device(grant.device_code, "ltm-cli") == Polled(error="invalid_grant")
    assert accounts.tokens() == []


def test_a_device_that_asks_too_often_has_to_wait_longer_each_time(world, accounts):
    grant = begun(accounts)
    heard = []
    for seconds in (0, 4, 9, 15, 14, 20):
        world.passes(seconds=seconds)
        heard.append(accounts.poll_device(grant.device_code, "ltm-cli").error)
    pending, slow = "authorization_pending", "slow_down"
    assert heard == [pending, slow, slow, pending, slow, pending]


def test_a_code_that_has_expired_gets_nothing_whoever_approves_it(world, accounts):
    grant, approved = begun(accounts), begun(accounts)
    accounts.settle_device(approved.user_code, "ana", approved=True)
    world.passes(seconds=600)
    assert accounts.device(grant.user_code) is None
    assert not accounts.settle_device(grant.user_code, "ana", approved=True)
    for each in (grant, approved):
        assert accounts.poll_device(each.device_code, "ltm-cli") == Polled(error="expired_token")
    assert accounts.tokens() == []


def test_a_device_code_is_of_no_use_to_another_client(accounts):
    grant = begun(accounts)
    accounts.settle_device(grant.user_code, "ana", approved=True)
    for code, client in ((grant.device_code, "other"), ("no code", "ltm-cli"), (grant.user_code, "ltm-cli")):
        assert accounts.poll_device(code, client) == Polled(error="invalid_grant")
    assert accounts.poll_device(grant.device_code, "ltm-cli").token


def test_no_more_devices_wait_than_may_and_old_ones_make_room(world, accounts, monkeypatch):
    monkeypatch.setattr(module, "_MOST_DEVICES", 2)
    first = begun(accounts)
    begun(accounts)
    with pytest.raises(BusyError):
        begun(accounts)
    world.passes(seconds=600)
    begun(accounts)
    assert accounts.poll_device(first.device_code, "ltm-cli") == Polled(error="expired_token")
    world.now += timedelta(hours=1, seconds=1)
    begun(accounts)
    assert accounts.poll_device(first.device_code, "ltm-cli") == Polled(error="invalid_grant")
