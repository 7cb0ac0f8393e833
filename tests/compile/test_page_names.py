import pytest
from hypothesis import given
from hypothesis import strategies as st

from ai_memory.compile.names import digest, free_path, slug
from ai_memory.model.page import collision_key, writable_page_path

TITLES = {
    "Decisão: arredondar por fatura": "decisão-arredondar-por-fatura",
    "Округлять НДС": "округлять-ндс",
    "按发票四舍五入": "按发票四舍五入",
    "請求書ごとに丸める": "請求書ごとに丸める",
    "वैट का राउंड": "वैट-का-राउंड",
    "تقريب الضريبة": "تقريب-الضريبة",
    "a/b\\c:d*e?": "a-b-c-d-e",
    "  -- x --  ": "x",
    "con": f"con-{digest('con')}",
    "LPT1": f"lpt1-{digest('LPT1')}",
    "🎉🎉": f"page-{digest('🎉🎉')}",
    "": f"page-{digest('')}",
    "\ud800": f"page-{digest(chr(0xD800))}",
    "x" * 300: f"{'x' * 87}-{digest('x' * 300)}",
    "票" * 300: f"{'票' * 29}-{digest('票' * 300)}",
}


@pytest.mark.parametrize(("title", "name"), TITLES.items(), ids=[f"{n}" for n in range(len(TITLES))])
def test_a_title_of_any_script_is_a_file_name(title, name):
    assert slug(title) == name


@given(st.text(max_size=400))
def test_any_title_is_a_portable_name_and_the_same_each_time(title):
    path = f"procedures/{slug(title)}.md"
    assert writable_page_path(path) == path
    assert slug(slug(title)) == slug(title)


def test_a_taken_path_gives_way_and_stays_the_same():
    taken = {collision_key("decisions/X.md")}
    path = free_path("decisions", "x", "some title", taken)
    assert path == f"decisions/x-{digest('some title')}.md"
    assert free_path("decisions", "x", "some title", taken) == path
    other = free_path("decisions", "x", "some title", {*taken, path})
    assert other not in {path, "decisions/x.md"}
    assert free_path("decisions", "y", "some title", taken) == "decisions/y.md"
