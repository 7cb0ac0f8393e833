from urllib.parse import parse_qsl, urlencode, urlsplit

from hypothesis import given
from hypothesis import strategies as st

from ai_memory.memory.intake import query_of

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)


@given(st.dictionaries(texts.filter(bool), texts))
def test_what_was_encoded_is_read_as_the_standard_library_reads_it(pairs):
    url = "http://x/hook?" + urlencode(pairs)
    assert (
        query_of(url) == dict(parse_qsl(urlsplit(url).query)) == {name: value for name, value in pairs.items() if value}
    )
