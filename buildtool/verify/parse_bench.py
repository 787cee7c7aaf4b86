"""Reads the records of ``llama-bench -o json`` and ``-o jsonl`` (``tools/llama-bench/llama-bench.cpp``)."""

from __future__ import annotations

import json
import statistics

import msgspec


class BenchRecord(msgspec.Struct, frozen=True, kw_only=True):
    """The fields of one record that verify uses; llama-bench writes many more, and new ones every month.

    `avg_ts`, `stddev_ts` and `samples_ts` are tokens per second: of all repetitions, and of each.
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
    samples_ts: tuple[float, ...] = ()

    @property
    def speed(self) -> float:
        """Return the median repetition: the first one of a short test is often half as fast, and a mean follows it."""
        return statistics.median(self.samples_ts) if self.samples_ts else self.avg_ts

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
