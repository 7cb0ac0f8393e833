import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ai_memory.client.remote import normalise_remote, remote_url

SPELLINGS = [
    "git@github.com:Acme/shop.git",
    "github.com:acme/shop",
    "https://github.com/Acme/shop",
    "https://user:tok@github.com/Acme/shop/",
    "https://tok@github.com/Acme/shop.git/",
    "ssh://git@github.com:22/Acme/shop",
    "ssh://git@GitHub.com/Acme//shop.git",
    "git+ssh://git@github.com/Acme/shop",
    "git://github.com/Acme/shop.git#main",
    "https://github.com/acme/shop?private_token=abc",
    "user:secret@github.com:Acme/shop.git",
    "  https://github.com/acme/shop  ",
]
OTHERS = [
    ("git@gitlab.example.org:Group/Sub/Repo.git", "gitlab.example.org/group/sub/repo"),
    ("https://example.org:8443/scm/shop.git", "example.org/scm/shop"),
    ("ssh://git@[::1]:2222/shop.git", "::1/shop"),
    ("[::1]:shop.git", "::1/shop"),
    ("git@host.org:~ann/shop", "host.org/~ann/shop"),
    ("git@host.org:acme/@scope/pkg", "host.org/acme/@scope/pkg"),
    ("/srv/git/shop.git", ""),
    ("../shop", ""),
    ("./a:b", ""),
    ("C:\\src\\shop", ""),
    ("c:/src/shop", ""),
    ("file:///srv/git/shop.git", ""),
    ("file://host/share/shop.git", ""),
    ("https://github.com/", ""),
    ("https://github.com/.git", ""),
    ("https://", ""),
    ("git@github.com:", ""),
    ("", ""),
    ("shop", ""),
    ("https://host.org/a b", ""),
]


@pytest.mark.parametrize("url", SPELLINGS)
def test_every_spelling_of_a_remote_is_one_identity(url):
    assert normalise_remote(url) == "github.com/acme/shop"


@pytest.mark.parametrize(("url", "expected"), OTHERS)
def test_a_remote_has_one_spelling_and_a_local_path_has_none(url, expected):
    assert normalise_remote(url) == expected


word = st.text(string.ascii_letters + string.digits + "-_", min_size=1, max_size=12)
secret = st.text(string.ascii_letters + string.digits + "!$&*+=%~_-:", min_size=8, max_size=30)


@given(user=word, password=secret, host=word, parts=st.lists(word, min_size=1, max_size=4), port=st.integers(1, 65535))
def test_credentials_and_ports_never_survive(user, password, host, parts, port):
    host = f"{host}.example.org"
    path = "/".join(parts)
    expected = f"{host}/{path}".lower()
    spellings = [
        f"https://{user}:{password}@{host}:{port}/{path}.git",
        f"ssh://{user}:{password}@{host}/{path}/",
        f"https://{password}@{host}/{path}",
        f"{user}:{password}@{host}:{path}.git",
        f"{user}@{host}:/{path}",
    ]
    assert {normalise_remote(url) for url in spellings} == {expected}


@given(st.text(max_size=80))
def test_any_text_has_an_answer_without_user_or_blank(url):
    found = normalise_remote(url)
    assert not any(blank in found for blank in " \t\n")
    assert found == found.lower()


CONFIGS = [
    ('[remote "origin"]\n\turl = git@h.org:a/b.git\n', "git@h.org:a/b.git"),
    ('[remote "fork"]\n url = x\n[remote "origin"]\n url = y\n', "y"),
    ('[remote "fork"]\n url = x\n', "x"),
    ('[remote "a"]\n url = x\n[remote "b"]\n url = y\n', ""),
    ('[REMOTE "origin"]\n\tURL="https://h.org/a b" ; note\n', "https://h.org/a b"),
    ('[remote "origin"]\n url = one # note\n url = two\n', "one"),
    ('[remote "origin"]\n fetch = +refs/*:refs/*\n pushurl = z\n[branch "main"]\n url = no\n', ""),
    ("[core]\n bare = false\n", ""),
    ("", ""),
    ("\x00\xff[remote", ""),
]


@pytest.mark.parametrize(("text", "expected"), CONFIGS)
def test_the_remote_is_origin_or_the_only_one(tmp_path, text, expected):
    (tmp_path / "config").write_text(text)
    assert remote_url(str(tmp_path / "config")) == expected


def test_a_configuration_that_is_not_there_has_no_remote(tmp_path):
    assert remote_url(str(tmp_path / "none")) == ""
