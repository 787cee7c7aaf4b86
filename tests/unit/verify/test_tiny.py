"""The tiny model: the same bytes everywhere, sure choices, and right answers that do not come from ggml."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType

import pytest

from buildtool.verify.agreement import BOUND_F32, margin
from buildtool.verify.models import TINY_PROMPTS
from buildtool.verify.parse_completion import Candidate, Position
from buildtool.verify.subject import INSIDE

gguf = pytest.importorskip("gguf")
np = pytest.importorskip("numpy")

#: The first weights of the seed 52; another number here would be another model.
FIRST = [0.40101462602615356, 0.25712743401527405, 0.06770094484090805]


@pytest.fixture(scope="module")
def reference() -> ModuleType:
    sys.path.insert(0, str(INSIDE))
    try:
        return importlib.import_module("tiny_reference")
    finally:
        sys.path.remove(str(INSIDE))


def answers(reference: ModuleType, prompt: object) -> list[Position]:
    tensors = {name: tensor.astype(np.float64) for name, tensor in reference.tiny.tensors()}
    rows = reference.generate(prompt, 4, 3, tensors)
    return [
        Position(
            id=row["id"],
            logprob=row["logprob"],
            top_logprobs=tuple(Candidate(id=entry["id"], logprob=entry["logprob"]) for entry in row["top_logprobs"]),
        )
        for row in rows
    ]


def test_the_numbers_are_the_same_on_every_machine(reference: ModuleType) -> None:
    first = reference.tiny.Weights(52).matrix(1, 3, 1.0)[0].tolist()
    assert first == pytest.approx(FIRST, abs=0.0)


def test_every_choice_is_surer_than_the_bound(reference: ModuleType) -> None:
    for prompt in TINY_PROMPTS.values():
        positions = answers(reference, prompt)
        assert len({position.id for position in positions}) > 1
        assert min(margin(position) for position in positions) > 2 * BOUND_F32


def test_the_context_decides(reference: ModuleType) -> None:
    one = answers(reference, [1, 300, 417, 266])[0]
    other = answers(reference, [1, 301, 417, 266])[0]
    assert one != other


def test_the_file_is_a_complete_llama(reference: ModuleType, tmp_path: Path) -> None:
    path = tmp_path / "tiny.gguf"
    reference.tiny.main(path)
    reader = gguf.GGUFReader(path)
    assert {tensor.name for tensor in reader.tensors} == {name for name, _ in reference.tiny.tensors()}
    assert path.stat().st_size < 8 << 20
    assert len(reference.tiny.tokens()[0]) == reference.tiny.VOCABULARY
