"""Writes GGUF 3, the file that llama.cpp loads: facts about a model, and then its tensors.

Plain Python, as it is done once: numpy and its like would be a larger download than it saves time.
"""

import struct
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import BinaryIO, TypeAlias

VERSION = 3
ALIGNMENT = 32
UINT32, INT32, FLOAT32, BOOL, STRING, ARRAY = 4, 5, 6, 7, 8, 9
F32, F16 = 0, 1

Fact: TypeAlias = "bool | int | float | str | list[int] | list[str]"


@dataclass(frozen=True)
class Tensor:
    """Its numbers come as 32-bit floats, in pieces of whole ones, and are kept in 16 bits if it is
    `half`. The shape is the outermost first."""

    name: str
    shape: Sequence[int]
    half: bool
    pieces: Callable[[], Iterable[bytes]]

    @property
    def size(self) -> int:
        return prod(self.shape) * (2 if self.half else 4)


def write(file: BinaryIO, facts: Mapping[str, Fact], tensors: Sequence[Tensor]) -> None:
    head = [struct.pack("<4sIQQ", b"GGUF", VERSION, len(tensors), len(facts))]
    head += [_string(name) + _fact(fact) for name, fact in facts.items()]
    offset = 0
    for tensor in tensors:
        head.append(_described(tensor, offset))
        offset += tensor.size + _gap(tensor.size)
    written = b"".join(head)
    file.write(written + bytes(_gap(len(written))))
    for tensor in tensors:
        file.writelines(_halved(piece) if tensor.half else piece for piece in tensor.pieces())
        file.write(bytes(_gap(tensor.size)))


def _described(tensor: Tensor, offset: int) -> bytes:
    """`offset` from where the first tensor's numbers begin."""
    shape = tensor.shape[::-1]
    kind = F16 if tensor.half else F32
    end = struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, kind, offset)
    return _string(tensor.name) + end


def _fact(fact: Fact) -> bytes:
    """With its type before it."""
    match fact:
        case bool():
            return struct.pack("<I?", BOOL, fact)
        case int():
            return struct.pack("<II", UINT32, fact)
        case float():
            return struct.pack("<If", FLOAT32, fact)
        case str():
            return struct.pack("<I", STRING) + _string(fact)
        case list():
            return struct.pack("<I", ARRAY) + _array(fact)


def _array(items: list[int] | list[str]) -> bytes:
    packed = [(STRING, _string(one)) for one in items if isinstance(one, str)]
    packed += [(INT32, struct.pack("<i", one)) for one in items if isinstance(one, int)]
    return struct.pack("<IQ", packed[0][0], len(items)) + b"".join(one for _, one in packed)


def _string(text: str) -> bytes:
    written = text.encode()
    return struct.pack("<Q", len(written)) + written


def _halved(piece: bytes) -> bytes:
    count = len(piece) // 4
    return struct.pack(f"<{count}e", *struct.unpack(f"<{count}f", piece))


def _gap(size: int) -> int:
    return -size % ALIGNMENT
