from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from buildtool.verify.parse_bench import parse_bench

RECORD = {
    "build_commit": "abc1234",
    "cpu_info": "Some CPU",
    "gpu_info": "NVIDIA H100 {80GB}",
    "backends": "CUDA",
    "model_type": "llama 135M Q4_1",
    "n_gpu_layers": 999,
    "n_prompt": 512,
    "n_gen": 0,
    "devices": "CUDA0",
    "avg_ts": 30211.5,
    "stddev_ts": 41.25,
    "samples_ts": [30200.0, 30223.0],
}


def test_both_forms_are_read_through_the_noise_of_a_driver() -> None:
    generated = RECORD | {"n_prompt": 0, "n_gen": 128}
    noise = "ggml_cuda_init: found 1 CUDA devices {x}\n"
    array = noise + json.dumps([RECORD, generated], indent=2) + "\n"
    lines = noise + json.dumps(RECORD) + "\n" + noise + json.dumps(generated) + "\n"
    for text in (array, lines):
        assert [(record.test, record.avg_ts) for record in parse_bench(text)] == [
            ("pp512", 30211.5),
            ("tg128", 30211.5),
        ]


def test_a_record_cut_short_is_no_record() -> None:
    whole = json.dumps(RECORD)
    assert parse_bench(whole[: len(whole) // 2]) == ()
    assert parse_bench("{}\n" + whole)[0].gpu_info == "NVIDIA H100 {80GB}"


@given(st.lists(st.tuples(st.integers(0, 4096), st.integers(0, 512), st.floats(0.01, 1e6)), min_size=1, max_size=4))
def test_every_record_comes_back(rows: list[tuple[int, int, float]]) -> None:
    records = [RECORD | {"n_prompt": p, "n_gen": g, "avg_ts": speed} for p, g, speed in rows]
    text = "\n".join(json.dumps(record) for record in records)
    assert [(r.n_prompt, r.n_gen, r.avg_ts) for r in parse_bench(text)] == rows


@given(st.text(st.sampled_from('{}[]":,\n a1')))
def test_no_text_breaks_the_parser(text: str) -> None:
    assert parse_bench(text) == ()
