"""Write a tiny language model with fixed random weights, for proofs.

Usage: ``python tiny_model.py OUTPUT.gguf``; needs the packages ``gguf`` and ``numpy``.

The model is a two-layer llama with 32-bit weights, grouped-query attention (4 heads on 2) and 64 values a head,
the smallest size for which GPU backends take their own flash-attention and matrix kernels; rows are multiples
of 256 values so that every quantisation fits. The weights come from the raw stream of PCG64, which numpy keeps
the same for ever, so that the file is the same on every machine. Weights are scaled so that the residual
stream keeps its size; the output matrix spreads the logits with a standard deviation of about `LOGIT_SPREAD`:
wide enough that rounding does not turn greedy choices, narrow enough that relative errors stay small.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import gguf
import numpy as np

SEED = 52  # of the first hundred the one whose greedy choices (of the proof's prompts) are surest
VOCABULARY = 512
CONTEXT = 512
WIDTH = 256
FEED_FORWARD = 512
HEADS = 4
KV_HEADS = 2
HEAD_SIZE = WIDTH // HEADS
LAYERS = 2
LOGIT_SPREAD = 2.5
NORM_EPSILON = 1e-5
ROPE_BASE = 10000.0
BYTES = 256
SPECIAL = ("<unk>", "<s>", "</s>")


def tokens() -> tuple[list[str], list[float], list[int]]:
    """Return texts, scores and types: three special tokens, all bytes, then short words."""
    kinds = gguf.TokenType
    texts = [*SPECIAL, *(f"<0x{byte:02X}>" for byte in range(BYTES))]
    types = [kinds.UNKNOWN, kinds.CONTROL, kinds.CONTROL, *[kinds.BYTE] * BYTES]
    letters = "abcdefghijklmnopqrstuvwxyz"
    words = [f"\u2581{first}{second}" for first in letters for second in letters][: VOCABULARY - len(texts)]
    types += [kinds.NORMAL] * len(words)
    scores = [0.0] * len(texts) + [-float(rank) for rank in range(len(words))]
    return texts + words, scores, [int(kind) for kind in types]


class Weights:
    """A stream of uniform random numbers that is the same everywhere."""

    def __init__(self, seed: int) -> None:
        self._stream = np.random.PCG64(seed)

    def matrix(self, rows: int, columns: int, deviation: float) -> np.ndarray:
        """Return a 32-bit matrix with mean 0 and the given standard deviation."""
        raw = self._stream.random_raw(rows * columns) >> np.uint64(11)
        uniform = raw.astype(np.float64) * 2.0**-52 - 1.0
        matrix: np.ndarray = (uniform * (deviation * 3.0**0.5)).astype(np.float32).reshape(rows, columns)
        return matrix


def write_header(writer: gguf.GGUFWriter) -> None:
    """Write the architecture's numbers and the vocabulary."""
    writer.add_name("gpubuild tiny")
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(FEED_FORWARD)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_rope_dimension_count(HEAD_SIZE)
    writer.add_layer_norm_rms_eps(NORM_EPSILON)
    writer.add_rope_freq_base(ROPE_BASE)
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    writer.add_vocab_size(VOCABULARY)
    texts, scores, types = tokens()
    writer.add_tokenizer_model("llama")
    writer.add_token_list(texts)
    writer.add_token_scores(scores)
    writer.add_token_types(types)
    writer.add_unk_token_id(0)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_add_space_prefix(value=True)


def tensors(seed: int = SEED) -> Iterator[tuple[str, np.ndarray]]:
    """Yield all tensors with their names, in the fixed order in which they take their numbers."""
    weights = Weights(seed)
    kv_width = HEAD_SIZE * KV_HEADS
    deviation = WIDTH**-0.5
    ones = np.ones(WIDTH, dtype=np.float32)
    yield "token_embd.weight", weights.matrix(VOCABULARY, WIDTH, 1.0)
    for layer in range(LAYERS):
        shapes = {
            "attn_q": (WIDTH, WIDTH, 2.0 * deviation),  # sharper attention, so that context decides
            "attn_k": (kv_width, WIDTH, deviation),
            "attn_v": (kv_width, WIDTH, deviation),
            "attn_output": (WIDTH, WIDTH, deviation),
            "ffn_gate": (FEED_FORWARD, WIDTH, deviation),
            "ffn_up": (FEED_FORWARD, WIDTH, deviation),
            "ffn_down": (WIDTH, FEED_FORWARD, 2.0 * FEED_FORWARD**-0.5),
        }
        for name, (rows, columns, size) in shapes.items():
            yield f"blk.{layer}.{name}.weight", weights.matrix(rows, columns, size)
        for name in ("attn_norm", "ffn_norm"):
            yield f"blk.{layer}.{name}.weight", ones
    yield "output_norm.weight", ones
    output = weights.matrix(VOCABULARY, WIDTH, LOGIT_SPREAD * deviation)
    output[: len(SPECIAL) + BYTES] = 0.0  # never chosen: their text is no word
    yield "output.weight", output


def main(path: Path) -> None:
    """Write the model to `path`."""
    writer = gguf.GGUFWriter(path, "llama")
    write_header(writer)
    for name, tensor in tensors():
        writer.add_tensor(name, tensor)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
