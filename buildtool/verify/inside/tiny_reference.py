"""Compute what the tiny model must answer, in 64-bit numpy, independent of ggml.

Usage: ``python tiny_reference.py PROMPTS.json TOKENS CANDIDATES``; needs the packages ``gguf`` and ``numpy``.
``PROMPTS.json`` holds a list of lists of token ids. The answers go to standard output in the form of llama-server's
``completion_probabilities``, a list of them.

The arithmetic is that of the llama architecture: root-mean-square norms, rotary positions on neighbouring pairs
(Su et al., RoFormer, 2021), grouped-query attention (Ainslie et al., 2023), and SwiGLU (Shazeer, 2020).
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from buildtool.verify.inside import tiny_model as tiny
else:
    import tiny_model as tiny

Tensors = dict[str, np.ndarray]


def norm(rows: np.ndarray) -> np.ndarray:
    """Scale every row to a root mean square of 1; the tiny model's own norm weights are all 1."""
    scaled: np.ndarray = rows / np.sqrt(np.mean(rows * rows, axis=-1, keepdims=True) + tiny.NORM_EPSILON)
    return scaled


def rotate(heads: np.ndarray) -> np.ndarray:
    """Turn neighbouring pairs of values (token, head, value) by angles that grow with the position."""
    frequencies = tiny.ROPE_BASE ** (-np.arange(0, tiny.HEAD_SIZE, 2) / tiny.HEAD_SIZE)
    angles = np.arange(len(heads))[:, None, None] * frequencies
    even, odd = heads[..., 0::2], heads[..., 1::2]
    turned = np.empty_like(heads)
    turned[..., 0::2] = even * np.cos(angles) - odd * np.sin(angles)
    turned[..., 1::2] = even * np.sin(angles) + odd * np.cos(angles)
    return turned


def attention(rows: np.ndarray, weights: Tensors) -> np.ndarray:
    """Return what causal grouped-query attention adds to the residual stream."""
    count = len(rows)
    query = rotate((rows @ weights["attn_q"].T).reshape(count, tiny.HEADS, tiny.HEAD_SIZE))
    key = rotate((rows @ weights["attn_k"].T).reshape(count, tiny.KV_HEADS, tiny.HEAD_SIZE))
    value = (rows @ weights["attn_v"].T).reshape(count, tiny.KV_HEADS, tiny.HEAD_SIZE)
    group = tiny.HEADS // tiny.KV_HEADS
    key, value = np.repeat(key, group, axis=1), np.repeat(value, group, axis=1)
    scores = np.einsum("qhd,khd->hqk", query, key) / np.sqrt(tiny.HEAD_SIZE)
    scores = np.where(np.tril(np.ones((count, count), dtype=bool)), scores, -np.inf)
    scores = np.exp(scores - scores.max(axis=-1, keepdims=True))
    scores /= scores.sum(axis=-1, keepdims=True)
    mixed: np.ndarray = np.einsum("hqk,khd->qhd", scores, value).reshape(count, tiny.WIDTH)
    added: np.ndarray = mixed @ weights["attn_output"].T
    return added


def feed_forward(rows: np.ndarray, weights: Tensors) -> np.ndarray:
    """Return what SwiGLU adds to the residual stream."""
    gate = rows @ weights["ffn_gate"].T
    added: np.ndarray = (gate / (1.0 + np.exp(-gate)) * (rows @ weights["ffn_up"].T)) @ weights["ffn_down"].T
    return added


def log_probabilities(tokens: list[int], tensors: Tensors) -> np.ndarray:
    """Return the log-probabilities of the token that follows `tokens`."""
    rows = tensors["token_embd.weight"][tokens]
    for layer in range(tiny.LAYERS):
        prefix = f"blk.{layer}."
        weights = {
            name.removeprefix(prefix).removesuffix(".weight"): tensor
            for name, tensor in tensors.items()
            if name.startswith(prefix)
        }
        rows = rows + attention(norm(rows), weights)
        rows = rows + feed_forward(norm(rows), weights)
    logits = tensors["output.weight"] @ norm(rows[-1])
    shifted: np.ndarray = logits - logits.max()
    normalised: np.ndarray = shifted - np.log(np.exp(shifted).sum())
    return normalised


def generate(prompt: list[int], count: int, candidates: int, tensors: Tensors) -> list[dict[str, object]]:
    """Choose `count` tokens greedily and return them with the best `candidates` of every position."""
    tokens = list(prompt)
    answer: list[dict[str, object]] = []
    for _ in range(count):
        values = log_probabilities(tokens, tensors)
        best = np.argsort(-values)[:candidates]
        top = [{"id": int(token), "logprob": float(values[token])} for token in best]
        answer.append({**top[0], "top_logprobs": top})
        tokens.append(int(best[0]))
    return answer


def main(prompts: list[list[int]], count: int, candidates: int) -> None:
    """Print the answers to all prompts."""
    tensors = {name: tensor.astype(np.float64) for name, tensor in tiny.tensors()}
    answers = [{"completion_probabilities": generate(prompt, count, candidates, tensors)} for prompt in prompts]
    json.dump(answers, sys.stdout)


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text("utf-8")), int(sys.argv[2]), int(sys.argv[3]))
