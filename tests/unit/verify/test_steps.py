from __future__ import annotations

import json
from pathlib import Path

import pytest

from buildtool.process import Completed
from buildtool.verify.backends import backend_of_module, is_device_of, is_driver_library
from buildtool.verify.findings import last_lines
from buildtool.verify.model import ListedDevice, Module, Operations, Options
from buildtool.verify.models import Model
from buildtool.verify.parse_bench import BenchRecord
from buildtool.verify.steps import bench, devices, modules, ops
from buildtool.verify.variants import plainest

H100 = ListedDevice(name="CUDA0", description="NVIDIA H100", total_mib=81079, free_mib=80000)


def answer(output: str, returncode: int = 0) -> Completed:
    return Completed(argv=("python",), returncode=returncode, output=output)


@pytest.mark.parametrize(
    ("file", "backend"),
    [
        ("libggml-cpu-haswell.so", "cpu"),
        ("libggml-cpu.so", "cpu"),
        ("libggml-cuda.so", "cuda"),
        ("libggml-hip.so", "rocm"),
        ("ggml-vulkan.dll", "vulkan"),
        ("libggml-base.so.0", None),
        ("libggml.so", None),
        ("libllama.so", None),
    ],
)
def test_a_module_is_known_by_its_file_name(file: str, backend: str | None) -> None:
    assert backend_of_module(file) == backend


def test_devices_belong_to_backends() -> None:
    assert is_device_of("CUDA11", "cuda")
    assert is_device_of("ROCm0", "rocm")
    assert not is_device_of("CUDA0", "rocm")
    assert not is_device_of("CUDAX", "cuda")
    assert is_driver_library("libcuda.so.1")
    assert not is_driver_library("libcublas.so.13")


def test_a_missing_driver_is_unproved_and_a_missing_library_is_a_failure() -> None:
    base = Module(name="libggml-base.so", loaded=True)

    def cuda(missing: str) -> Module:
        text = f"{missing}: cannot open shared object file: No such file or directory"
        return modules.reading("libggml-cuda.so", answer('{"loaded": false, "score": null, "error": "' + text + '"}'))

    assert modules.judge((base, cuda("libcuda.so.1"))).verdict == "not-proved"
    broken = modules.judge((base, cuda("libcublas.so.13")))
    assert broken.verdict == "failed"
    assert "libcublas.so.13" in broken.evidence[0]


def test_an_undefined_symbol_or_a_crash_is_a_failure() -> None:
    text = '{"loaded": false, "score": null, "error": "/x/libllama.so: undefined symbol: ggml_foo"}'
    undefined = modules.reading("libllama.so", answer(text))
    crashed = modules.reading("libllama.so", answer("", returncode=-4))
    assert undefined.missing is None
    assert "signal 4" in crashed.error
    assert modules.judge((undefined,)).verdict == "failed"
    assert modules.judge((crashed,)).verdict == "failed"


def test_the_cpu_modules_must_hold_one_for_this_processor() -> None:
    def variant(name: str, score: int) -> Module:
        return modules.reading(name, answer(f'noise\n{{"loaded": true, "error": "", "score": {score}}}'))

    found = (
        variant("libggml-cpu-x64.so", 1),
        variant("libggml-cpu-zen4.so", 0),
        variant("libggml-cpu-haswell.so", 64),
    )
    judged = modules.judge(found)
    assert judged.verdict == "passed"
    assert "libggml-cpu-haswell.so suits this CPU best (score 64)" in judged.evidence
    assert modules.judge(found[1:2]).verdict == "failed"
    plain = plainest(found)
    assert plain is not None
    assert plain.name == "libggml-cpu-x64.so"
    assert plainest(found[:2]) is None


def test_no_library_and_a_refused_backend_are_failures() -> None:
    assert modules.judge(()).verdict == "failed"
    base = Module(name="libggml-base.so", loaded=True)
    assert modules.judge((base,), ("cuda13: built for another runtime",)).verdict == "failed"


def test_evidence_has_no_colours() -> None:
    assert last_lines("a\n\n  ADD(x): \x1b[1;32mOK\x1b[0m \n") == ("a", "  ADD(x): OK")


def test_every_backend_must_show_a_device() -> None:
    assert devices.judge((H100,), ("cuda",), ()).verdict == "passed"
    assert devices.judge((), (), ()).verdict == "passed"
    absent = devices.judge((H100,), ("cuda", "vulkan"), ())
    assert absent.verdict == "not-proved"
    assert "vulkan" in absent.summary
    assert any("VK_LOADER_DEBUG" in line for line in absent.evidence)
    assert devices.judge((), ("cuda",), ("said",)).evidence == ("said",)


def test_one_device_of_every_kind_or_all_of_them() -> None:
    twin = ListedDevice(name="CUDA1", description="NVIDIA H100", total_mib=81079, free_mib=80000)
    other = ListedDevice(name="CUDA2", description="NVIDIA L4", total_mib=23000, free_mib=22000)
    assert devices.to_prove((H100, twin, other), every=False) == ("CUDA0", "CUDA2")
    assert devices.to_prove((H100, twin, other), every=True) == ("CUDA0", "CUDA1", "CUDA2")
    vulkan = ListedDevice(name="Vulkan0", description="NVIDIA H100", total_mib=81079, free_mib=80000)
    assert devices.to_prove((H100, twin, vulkan), every=False) == ("CUDA0", "Vulkan0")


def operations(
    passed: int, total: int, failing: tuple[str, ...] = (), upstream: tuple[str, ...] | None = None
) -> Operations:
    return Operations(
        device="CUDA0", passed=passed, total=total, unsupported=0, failing=failing, upstream_failing=upstream
    )


def test_only_failures_of_our_own_fail_the_operations() -> None:
    assert ops.judge((operations(3, 3),), ()).verdict == "passed"
    assert ops.judge((operations(2, 3, ("ADD(x)",)),), ()).verdict == "failed"
    assert ops.judge((operations(2, 3, ("ADD(x)",), ()),), ()).verdict == "failed"
    shared = ops.judge((operations(2, 3, ("ADD(x)",), ("ADD(x)",)),), ())
    assert shared.verdict == "passed"
    assert "baseline" in shared.summary


def test_failures_without_a_name_count_and_no_case_proves_nothing() -> None:
    assert ops.judge((operations(2, 3),), ()).verdict == "failed"
    assert ops.judge((operations(0, 0),), ()).verdict == "not-proved"
    assert ops.judge((), ()).verdict == "not-proved"


def record(speed: float, *, prompt: int = 512, generated: int = 0) -> BenchRecord:
    return BenchRecord(model_type="llama", n_prompt=prompt, n_gen=generated, avg_ts=speed, stddev_ts=1.5)


def test_rounds_become_medians_and_a_ratio() -> None:
    ours = [(record(101.0), record(11.0, prompt=0, generated=128)), (record(99.0),), (record(120.0),)]
    theirs = [(record(50.0), record(10.0, prompt=0, generated=128)), (record(52.0),), (record(51.0),)]
    prompt, generated = bench.summarise({"ours": ours, "baseline": theirs}, "CUDA0")
    assert (prompt.test, prompt.tokens_per_second, prompt.rounds) == ("pp512", 101.0, 3)
    assert prompt.ratio == pytest.approx(101.0 / 51.0)
    assert prompt.ratio_range == (pytest.approx(99.0 / 52.0), pytest.approx(120.0 / 51.0))
    assert (generated.test, generated.ratio) == ("tg128", pytest.approx(1.1))


def test_a_slow_first_repetition_does_not_decide_a_round() -> None:
    slow_start = BenchRecord(n_prompt=512, n_gen=0, avg_ts=70.0, samples_ts=(10.0, 100.0, 101.0))
    assert slow_start.speed == 100.0
    assert record(70.0).speed == 70.0


def test_the_first_round_beside_a_baseline_does_not_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[str] = []

    def run(argv: list[str], **_: object) -> Completed:
        ran.append(Path(argv[0]).name)
        speed = 1.0 if len(ran) <= 2 else 100.0
        return answer(json.dumps({"n_prompt": 512, "n_gen": 0, "avg_ts": speed}))

    monkeypatch.setattr(bench.process, "run", run)
    sides = {name: bench._Side(program=Path(name), env={}) for name in ("ours", "baseline")}
    model = Model(path=tmp_path / "m.gguf", prompts={}, bound=1.0)
    rounds = bench._measure(sides, tmp_path, model, "CUDA0", Options(mode="quick"))
    assert ran == ["ours", "baseline", "ours", "baseline", "baseline", "ours"]
    assert [record.speed for records in rounds["ours"] + rounds["baseline"] for record in records] == [100.0] * 4


def test_without_a_baseline_there_is_no_ratio() -> None:
    (figure,) = bench.summarise({"ours": [(record(100.0),)]}, "CPU")
    assert figure.ratio is None
    assert figure.spread == 1.5
