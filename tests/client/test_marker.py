import pytest

from ai_memory.client.marker import MarkerError, read_marker, routing

PATH = "/src/shop/.ai-memory.toml"
BAD = [
    ("project = ", "is not valid TOML", "line 1"),
    ('# note\nprojekt = "p"', "line 2: projekt is not a key of a marker", "known are workspace, project"),
    ("[briefing]\nbudget = 3", "line 2: [briefing] budget is not a key", "[briefing] max_chars"),
    ("[capture]\nignore = []", "line 2: [capture] ignore is not a key", "[capture] ignore_paths"),
    ("[routing]\nx = 1", "line 2: [routing] x is not a key", ""),
    ('project = "My Shop"', "line 1: project = 'My Shop' is not a usable name", "lower-case"),
    ('project = "_global"', "is not a usable name", ""),
    ("workspace = 3", "line 1: workspace = 3 is not a usable name", ""),
    ('project_strategy = "folder"', 'must be "repo-root" or "basename"', ""),
    ('drop_subagent_captures = "perhaps"', "must be true or false", ""),
    ("[recall]\ndefault_global = [1]", "line 2: [recall] default_global must be true or false", ""),
    ("[briefing]\nmax_chars = 0", "must be a whole number above zero", ""),
    ('[briefing]\nmax_chars = "9"', "must be a whole number above zero", ""),
    ('identity = ""', "must be one line", ""),
    ('identity = "a\\nb"', "must be one line", ""),
    ('identity_style = "x"', 'must be "path" or "host_path"', ""),
    ('aliases = "old"', "must be a list of names", ""),
    ("[capture]\nignore_paths = [1]", "must be a list of at most 128 patterns", ""),
    ("[capture]\nignore_paths = [" + '"a",' * 129 + "]", "must be a list of at most 128 patterns", ""),
    ('[capture]\nignore_paths = ["' + "a" * 1025 + '"]', "of at most 1024 characters", ""),
    ('[capture]\ncapture_prompts = "perhaps"', "must be true or false", ""),
]


@pytest.mark.parametrize(("text", "says", "also"), BAD)
def test_a_bad_marker_names_file_line_and_remedy(text, says, also):
    with pytest.raises(MarkerError) as caught:
        read_marker(PATH, text)
    message = str(caught.value)
    assert message.startswith(PATH)
    assert says in message
    assert also in message


def test_everything_of_a_good_marker_is_read():
    text = (
        'workspace = "acme"  # team\r\nproject = "shop"\r\n[capture]\nignore_paths = [\n  "secrets/**", # keep out\n'
        '  "a=b",\n]\ncapture_prompts = false\ncapture_assistant = "off"\n'
    )
    marker = read_marker(PATH, text)
    assert (marker.routing, marker.ignore_paths, marker.prompts, marker.answers, marker.has_capture) == (
        {"workspace": "acme", "project": "shop"},
        ("secrets/**", "a=b"),
        False,
        False,
        True,
    )


@pytest.mark.parametrize(
    ("word", "sent"),
    [("1", "1"), ("TRUE", "1"), ("Yes", "1"), ("on", "1"), ("0", ""), ("no", ""), ("off", ""), ("", "")],
)
def test_flags_take_every_usual_word(word, sent):
    assert read_marker(PATH, f'drop_subagent_captures = "{word}"').routing == {"drop_subagent": sent}


def test_a_bad_marker_behind_one_that_decides_does_not_matter():
    assert routing([(PATH, 'project = "p"'), ("/src/.ai-memory.toml", "nonsense")]) == {"project": "p"}


def test_a_bad_marker_in_front_of_one_that_decides_does():
    with pytest.raises(MarkerError):
        routing([(PATH, "nonsense"), ("/src/.ai-memory.toml", 'project = "p"')])
