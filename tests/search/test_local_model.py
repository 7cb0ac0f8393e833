"""The model of this machine, calibrated: known pairs are close, others are not, and padding changes nothing.

The weights are not part of the project: a folder with them is named by AI_MEMORY_TEST_MODEL, or lies in
`../shared/models` beside the checkout; without one these tests are skipped.
"""

import os
import sys
import threading
from array import array
from pathlib import Path

import pytest

from ai_memory.config import load_settings
from ai_memory.search.embed import local
from ai_memory.search.embed.choice import embedder_of
from ai_memory.search.embed.embedder import EmbeddingError
from ai_memory.store.models import MODELS, files_in, install

(MODEL,) = MODELS
SOURCE = Path(
    os.environ.get("AI_MEMORY_TEST_MODEL") or Path(__file__).resolve().parents[3] / "shared" / "models" / MODEL.name
)
needs_model = pytest.mark.skipif(
    not (SOURCE / "model.onnx").is_file(),
    reason=f"there is no model in {SOURCE}: name its folder in AI_MEMORY_TEST_MODEL",
)

#: What somebody asks, and what was written down in other words.
PAIRS = (
    ("How do I roll back the last deployment?", "Reverting a release: run deploy.sh with the former tag."),
    ("The server runs out of memory at night", "OOM kill of the API process after midnight"),
    ("Tests fail because the clock differs between machines", "Time zone drift makes the test suite flaky"),
    ("Where is the password of the database kept?", "Credentials for Postgres are stored in the vault"),
    ("Users are logged out too early", "Session tokens expire before they should"),
)
#: A question is so much closer to its own answer than to any other, as a cosine. Measured: 0.17.
MARGIN = 0.13
LONG = "The migration of the billing service was put off again because nobody had tested it. " * 12


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("with-model")
    install(folder, MODEL, files_in(SOURCE))
    return folder


@pytest.fixture(scope="module")
def embedder(data_dir):
    return embedder_of(load_settings(data_dir, flags={"embedding_provider": "local"}))()


def cosine(one, other):
    one, other = array("f", one), array("f", other)
    return sum(a * b for a, b in zip(one, other, strict=True))


def check_calibrated(embedder, say=lambda question: question):
    """Fail unless an embedder does what the model was trained for."""
    questions = [embedder.query(say(question)) for question, _ in PAIRS]
    answers = embedder.documents([answer for _, answer in PAIRS])
    for n, question in enumerate(questions):
        own, *others = [cosine(question, answers[n])] + [
            cosine(question, answer) for m, answer in enumerate(answers) if m != n
        ]
        assert own >= max(others) + MARGIN, PAIRS[n]
    padded = embedder.documents([LONG, *(answer for _, answer in PAIRS)])[1:]
    for n, (_, answer) in enumerate(PAIRS):
        # With 8 bits a neighbour in the same pass moves the scale of all numbers a little.
        assert cosine(padded[n], embedder.documents([answer])[0]) >= 0.98, answer


@needs_model
def test_a_question_is_closest_to_its_answer_and_padding_changes_nothing(embedder):
    check_calibrated(embedder)


@needs_model
@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param(lambda hidden, mask: hidden.mean(axis=1), id="pooled over the padding"),
        pytest.param(lambda hidden, mask: hidden[:, 0], id="the first token alone"),
        pytest.param(lambda hidden, mask: hidden.max(axis=1), id="the largest"),
    ],
)
def test_the_calibration_sees_a_wrong_pooling(embedder, monkeypatch, wrong):
    monkeypatch.setattr(local, "pooled", wrong)
    with pytest.raises(AssertionError):
        check_calibrated(embedder)


@needs_model
def test_the_calibration_sees_the_prefix_of_another_model(embedder):
    with pytest.raises(AssertionError):
        check_calibrated(embedder, lambda question: f"Represent this sentence for searching passages: {question}")


@needs_model
def test_vectors_are_of_length_1_and_those_of_a_query_are_those_of_a_document(embedder):
    texts = [answer for _, answer in PAIRS] + [LONG, "x", "日本語のテキスト", "\x00 \ud7ff", "   "]
    vectors = embedder.documents(texts)
    assert {len(vector) for vector in vectors} == {4 * 384}
    assert [cosine(vector, vector) for vector in vectors] == pytest.approx([1.0] * len(texts), abs=1e-5)
    assert embedder.query("x") == embedder.documents(["x"])[0]
    assert embedder.documents([]) == []
    assert (embedder.provider, embedder.model, embedder.dim) == ("local", "all-MiniLM-L6-v2-int8", 384)
    assert embedder.used_tokens() == 0


@needs_model
def test_of_a_long_text_the_first_256_tokens_count(embedder):
    word = "word "
    assert embedder.query(word * 254) == embedder.query(word * 5000 + "something else")
    assert embedder.query(word * 253) != embedder.query(word * 254)


@needs_model
def test_many_texts_keep_their_places_and_are_shared_out_into_small_passes(embedder, monkeypatch):
    texts = [f"{'word ' * (n * 37 % 200)}number {n}" for n in range(50)]
    passes = []
    passed = embedder._passed
    monkeypatch.setattr(embedder, "_passed", lambda tokens: passes.append(tokens) or passed(tokens))
    together = embedder.documents(texts)
    assert all(len(tokens) <= 16 and len(tokens) * max(map(len, tokens)) <= 1024 for tokens in passes)
    assert sum(map(len, passes)) == 50
    assert len(passes) < 12
    alone = [embedder.documents([text])[0] for text in texts]
    assert min(map(cosine, together, alone)) >= 0.97
    assert cosine(together[0], alone[1]) < 0.97


@needs_model
def test_several_threads_may_ask_at_once(embedder):
    wanted = [embedder.query(question) for question, _ in PAIRS]
    found = {}

    def ask(n):
        found[n] = [embedder.query(question) for question, _ in PAIRS]

    threads = [threading.Thread(target=ask, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert found == dict.fromkeys(range(4), wanted)


@needs_model
def test_a_damaged_model_is_named_and_not_loaded(data_dir, tmp_path):
    install(tmp_path, MODEL, files_in(SOURCE))
    file = tmp_path / "models" / MODEL.name / "model.onnx"
    content = bytearray(file.read_bytes())
    content[1000] ^= 1
    file.write_bytes(content)
    with pytest.raises(EmbeddingError, match=r"model\.onnx is not the file that this program knows") as caught:
        embedder_of(load_settings(tmp_path, flags={"embedding_provider": "local"}))()
    assert caught.value.retry == "never"


@pytest.mark.parametrize("package", ["onnxruntime", "tokenizers"])
def test_without_the_extra_the_command_is_named_that_installs_it(tmp_path, monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, None)
    make = embedder_of(load_settings(tmp_path, flags={"embedding_provider": "local"}))
    with pytest.raises(EmbeddingError, match=r"-m pip install onnxruntime tokenizers numpy$") as caught:
        make()
    assert caught.value.retry == "never"


def test_without_the_model_the_command_is_named_that_installs_it(tmp_path):
    with pytest.raises(EmbeddingError) as caught:
        embedder_of(load_settings(tmp_path, flags={"embedding_provider": "local"}))()
    file = tmp_path / "models" / MODEL.name / "model.onnx"
    assert str(caught.value) == (
        f"the model {MODEL.name} cannot be used ({file} is missing): ai-memory models install --from DIR, or "
        "ai-memory models pull"
    )
    assert caught.value.retry == "never"
