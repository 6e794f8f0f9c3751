"""The weights of a package as a file that llama.cpp reads: read here by the format's description."""

import struct
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from cli.embedded.minilm import FILE, converted
from tests.local_models import POSITIONS, WIDTH, WORDS, a_bert

SCALARS = {4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q"}


class Reader:
    """A file of GGUF."""

    def __init__(self, path: Path) -> None:
        self.rest = BytesIO(path.read_bytes())
        magic, version, tensors, facts = self.unpack("<4sIQQ")
        assert (magic, version) == (b"GGUF", 3)
        self.facts = {self.text(): self.fact(self.unpack("<I")[0]) for _ in range(facts)}
        told = [self.told() for _ in range(tensors)]
        start = -(-self.rest.tell() // 32) * 32
        self.tensors = {
            name: (shape, kind, self.numbers(start + offset, shape, kind))
            for name, shape, kind, offset in told
        }
        assert all(offset % 32 == 0 for *_, offset in told)

    def unpack(self, pattern: str) -> Any:
        return struct.unpack(pattern, self.rest.read(struct.calcsize(pattern)))

    def text(self) -> str:
        return self.rest.read(*self.unpack("<Q")).decode()

    def fact(self, kind: int) -> Any:
        if kind == 9:
            of, count = self.unpack("<IQ")
            return [self.fact(of) for _ in range(count)]
        return self.text() if kind == 8 else self.unpack(SCALARS[kind])[0]

    def told(self) -> tuple[str, tuple[int, ...], int, int]:
        name, (dimensions,) = self.text(), self.unpack("<I")
        return name, self.unpack(f"<{dimensions}Q"), *self.unpack("<IQ")

    def numbers(self, at: int, shape: tuple[int, ...], kind: int) -> list[float]:
        self.rest.seek(at)
        count = 1
        for length in shape:
            count *= length
        return list(self.unpack(f"<{count}{'fe'[kind]}"))


@pytest.fixture
def numbers(tmp_path: Path) -> dict[str, list[float]]:
    return a_bert(tmp_path / "package")


@pytest.fixture
def convert(numbers: dict[str, list[float]], tmp_path: Path) -> Callable[[], Path]:
    return lambda: converted(tmp_path / "models", tmp_path / "package")


def test_every_weight_is_there_under_its_other_name_in_its_shape(
    numbers: dict[str, list[float]], convert: Callable[[], Path]
) -> None:
    found = Reader(convert()).tensors
    for theirs, ours, shape, kind in (
        ("embeddings.word_embeddings.weight", "token_embd.weight", (WIDTH, len(WORDS)), 1),
        ("embeddings.position_embeddings.weight", "position_embd.weight", (WIDTH, POSITIONS), 0),
        ("embeddings.token_type_embeddings.weight", "token_types.weight", (WIDTH, 2), 0),
        ("embeddings.LayerNorm.bias", "token_embd_norm.bias", (WIDTH,), 0),
        ("encoder.layer.0.attention.self.key.weight", "blk.0.attn_k.weight", (WIDTH, WIDTH), 1),
        ("encoder.layer.0.intermediate.dense.weight", "blk.0.ffn_up.weight", (WIDTH, 3), 1),
        ("encoder.layer.0.output.dense.weight", "blk.0.ffn_down.weight", (3, WIDTH), 1),
        ("encoder.layer.0.output.LayerNorm.bias", "blk.0.layer_output_norm.bias", (WIDTH,), 0),
    ):
        assert found[ours] == (shape, kind, numbers[theirs]), ours
    assert len(found) == len([name for name in numbers if "pooler" not in name])


def test_the_facts_say_how_texts_become_tokens_and_these_a_vector(
    convert: Callable[[], Path],
) -> None:
    facts = Reader(convert()).facts
    assert facts["tokenizer.ggml.tokens"] == [*WORDS[:5], "\u2581cat", "s"]
    assert facts["tokenizer.ggml.token_type"] == [3] * 5 + [1] * 2
    assert (facts["tokenizer.ggml.bos_token_id"], facts["tokenizer.ggml.eos_token_id"]) == (2, 3)
    assert (facts["general.architecture"], facts["bert.context_length"]) == ("bert", POSITIONS)
    assert (facts["bert.pooling_type"], facts["bert.attention.causal"]) == (1, False)


def test_it_is_made_once(convert: Callable[[], Path]) -> None:
    before = convert().stat()
    after = convert().stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_one_that_was_cut_off_is_begun_anew(convert: Callable[[], Path], tmp_path: Path) -> None:
    draft = tmp_path / "models" / f"{FILE}.new"
    draft.parent.mkdir()
    draft.write_bytes(b"GGUF" + b"half of it" * 1000)
    assert Reader(convert()).facts["general.architecture"] == "bert"
    assert not draft.exists()


def test_weights_that_end_too_early_make_nothing(
    convert: Callable[[], Path], tmp_path: Path
) -> None:
    weights = tmp_path / "package" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-4])
    with pytest.raises(EOFError, match="ends too early"):
        convert()
    assert not (tmp_path / "models" / FILE).exists()
