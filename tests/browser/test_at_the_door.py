"""A server with a token: nobody sees anything before signing in, and then gets what was asked for."""

import pytest

from tests.browser.story import tell
from tests.browser.test_screens import SCREENS
from tests.own_server import served

TOKEN = "the-token-of-who-runs-the-server"


@pytest.fixture(scope="module")
def guarded(tmp_path_factory):
    with served(tmp_path_factory, auth__bearer_token=TOKEN) as own:
        own.story = tell(own, TOKEN)
        yield own


def test_every_screen_asks_who_one_is_and_leads_back_to_it(guarded, desk_at):
    desk = desk_at(guarded.url)
    for name, (path, words) in SCREENS.items():
        desk.context.clear_cookies()
        wanted = path(guarded.story)
        page = desk.opens(wanted)
        assert page.url.startswith(f"{desk.url}/web/sign-in?next="), name
        assert [each for each in words if each in page.locator("body").inner_text()] == [], name
        page.get_by_label("Your token").fill(TOKEN)
        page.keyboard.press("Enter")
        page.get_by_role("button", name="Sign out").wait_for()
        seen = page.locator("body").inner_text()
        assert [each for each in words if each not in seen] == [], name
        assert page.evaluate("decodeURI(location.pathname + location.search)") == wanted, name


def test_a_wrong_token_is_told_and_signing_out_ends_it(guarded, desk_at):
    desk = desk_at(guarded.url)
    page = desk.opens("/web/status")
    assert (desk.faults(), desk.overflow()) == ([], 0)
    desk.photographs("sign-in-1440-light")
    page.get_by_label("Your token").fill("a wrong one")
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("alert").wait_for()
    desk.said.clear()
    desk.looks(375, "dark")
    assert (desk.faults(), desk.overflow()) == ([], 0)
    desk.photographs("sign-in-375-dark")
    page.get_by_label("Your token").fill(TOKEN)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("button", name="Sign out").click()
    page.get_by_label("Your token").wait_for()
    assert desk.opens("/web/status").url.startswith(f"{desk.url}/web/sign-in?next=")
