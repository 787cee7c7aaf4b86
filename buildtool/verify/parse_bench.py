"""Reads the records of ``llama-bench -o json`` and ``-o jsonl`` (``tools/llama-bench/llama-bench.cpp``)."""

from __future__ import annotations

import json

import msgspec


class BenchRecord(msgspec.Struct, frozen=True, kw_only=True):
    """The fields of one record that verify uses; llama-bench writes many more, and new ones every month.

    `avg_ts` and `stddev_ts` are tokens per second over the repetitions.
    """

    model_type: str = ""
    backends: str = ""
    cpu_info: str = ""
    gpu_info: str = ""
    devices: str = ""
    build_commit: str = ""
    n_prompt: int
    n_gen: int
    n_gpu_layers: int = 0
    avg_ts: float
    stddev_ts: float = 0.0

    @property
    def test(self) -> str:
        """Return llama-bench's own name of the test: ``pp512``, ``tg128`` or ``pp512+tg128``."""
        parts = [f"pp{self.n_prompt}"] * bool(self.n_prompt) + [f"tg{self.n_gen}"] * bool(self.n_gen)
        return "+".join(parts)


def parse_bench(text: str) -> tuple[BenchRecord, ...]:
    """Return all records in `text`, passing over everything around them (notes of drivers, warnings).

    Args:
        text: standard output and standard error, merged, of either form.
    """
    decoder = json.JSONDecoder()
    records: list[BenchRecord] = []
    position = 0
    while (position := _next_object(text, position)) >= 0:
        try:
            value, position = decoder.raw_decode(text, position)
            records.append(msgspec.convert(value, BenchRecord))
        except (ValueError, RecursionError):  # json's error, and msgspec's, are ValueErrors
            position += 1
    return tuple(records)


def _next_object(text: str, start: int) -> int:
    """Return where the next brace stands that opens its line, or -1."""
    position = text.find("{", start)
    while position >= 0:
        line_start = text.rfind("\n", 0, position) + 1
        if not text[line_start:position].strip():
            return position
        position = text.find("{", position + 1)
    return -1
