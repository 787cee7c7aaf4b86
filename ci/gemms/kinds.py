"""Which products are made: formats, sizes, forms."""

from __future__ import annotations

from typing import NamedTuple

NORMAL, TRANSPOSED = 0, 1


class Kind(NamedTuple):
    """Formats of a product: of A, of B, of the result, cuBLAS's code of how it computes, and of alpha and beta."""

    a: str
    b: str
    out: str
    compute: int
    scale: str


KINDS = {
    "f32": Kind("f32", "f32", "f32", 68, "f32"),
    "tf32": Kind("f32", "f32", "f32", 77, "f32"),
    "f64": Kind("f64", "f64", "f64", 70, "f64"),
    "f16": Kind("f16", "f16", "f16", 68, "f32"),
    "f16 to f32": Kind("f16", "f16", "f32", 68, "f32"),
    "f16 in f16": Kind("f16", "f16", "f16", 64, "f16"),
    "bf16": Kind("bf16", "bf16", "bf16", 68, "f32"),
    "bf16 to f32": Kind("bf16", "bf16", "f32", 68, "f32"),
    "i8": Kind("i8", "i8", "i32", 72, "i32"),
}
FP8 = {
    "e4m3 to bf16": Kind("e4m3", "e4m3", "bf16", 68, "f32"),
    "e4m3 e5m2 to f16": Kind("e4m3", "e5m2", "f16", 68, "f32"),
    "e4m3 to f32": Kind("e4m3", "e4m3", "f32", 68, "f32"),
}
SIZES = [(64, 64, 64), (256, 128, 4096), (1024, 1024, 1024), (4096, 32, 4096), (2048, 1024, 2048), (2048, 16, 8192)]
ODD = [(257, 129, 65), (1, 1000, 77)]
BATCHES = [(128, 128, 64, 1), (128, 128, 64, 96), (512, 64, 128, 16), (65, 33, 17, 8)]
FORMS = {"NN": (NORMAL, NORMAL), "TN": (TRANSPOSED, NORMAL), "NT": (NORMAL, TRANSPOSED)}


def shapes(form: tuple[int, int], m: int, n: int, k: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return rows and columns of A and of B as they are stored."""
    return ((k, m) if form[0] else (m, k)), ((n, k) if form[1] else (k, n))
