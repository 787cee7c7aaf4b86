"""Products through cuBLASLt, with every one of the first algorithms that it proposes, and with epilogues."""

from __future__ import annotations

import ctypes
import sys
from ctypes import byref, c_int, c_int32, c_longlong, c_size_t, c_uint64, c_void_p

from device import TYPES, Device, Report, numbers, scalar
from kinds import FORMS, FP8, KINDS, SIZES, Kind, shapes

WORKSPACE = 64 << 20
ALGORITHMS = 8  # of those that cuBLASLt proposes for one product
RESULT_WORDS = 12  # cublasLtMatmulHeuristicResult_t has 96 bytes
EPILOGUES = {"": 1, " relu+bias": 6, " gelu+bias": 36}
HALF = 64  # CUBLAS_COMPUTE_16F, which has no epilogues
FIRST_FP8 = 89


class Lt:
    """A handle of cuBLASLt."""

    def __init__(self, device: Device, library: ctypes.CDLL) -> None:
        self.device, self.library, self.handle = device, library, c_void_p()
        if library.cublasLtCreate(byref(self.handle)):
            sys.exit("cublasLtCreate failed")
        self.workspace = device.empty(WORKSPACE)


def run(lt: Lt, report: Report) -> None:
    """Run all of them."""
    kinds = {**KINDS, **(FP8 if lt.device.capability >= FIRST_FP8 else {})}
    for name, kind in kinds.items():
        narrow = TYPES[kind.a].size == 1
        epilogues = list(EPILOGUES) if kind.out in ("f16", "bf16") and kind.compute != HALF else [""]
        for form_name, form in FORMS.items():
            if narrow and form_name != "TN":
                continue
            for size in SIZES:
                for epilogue in epilogues:
                    what = f"{name} {form_name} {'x'.join(map(str, size))}{epilogue}"
                    _Product(lt, kind, form, size).run(report, what, EPILOGUES[epilogue])


class _Product:
    """One product of cuBLASLt."""

    def __init__(self, lt: Lt, kind: Kind, form: tuple[int, int], size: tuple[int, int, int]) -> None:
        self._device, self._lt, self._handle, self._workspace = lt.device, lt.library, lt.handle, lt.workspace
        self._kind, self._form, self._size = kind, form, size

    def run(self, report: Report, what: str, epilogue: int) -> None:
        """Run it with every algorithm."""
        m, n, k = self._size
        kind, device = self._kind, self._device
        a = device.filled(numbers(kind.a, m * k, 5))
        b = device.filled(numbers(kind.b, n * k, 6))
        bias = device.filled(numbers(kind.out, m, 7))
        out_bytes = m * n * TYPES[kind.out].size
        out = device.empty(out_bytes)
        description, layouts = self._described(epilogue, bias)
        results = (c_uint64 * (RESULT_WORDS * ALGORITHMS))()
        count = self._ask(description, layouts, results)
        alpha, beta = scalar(kind.scale, 1), scalar(kind.scale, 0)
        for number in range(count):
            algorithm = c_void_p(ctypes.addressof(results) + 8 * RESULT_WORDS * number)
            device.call("cuMemsetD8_v2", out, 0, c_size_t(out_bytes))
            status = self._lt.cublasLtMatmul(
                self._handle, description, byref(alpha), a, layouts[0], b, layouts[1], byref(beta), out, layouts[2],
                out, layouts[2], algorithm, self._workspace, c_size_t(WORKSPACE), None,
            )  # fmt: skip
            identifier, written = c_int32(), c_size_t()
            self._lt.cublasLtMatmulAlgoConfigGetAttribute(algorithm, 0, byref(identifier), c_size_t(4), byref(written))
            label = f"{what} algorithm {number} (id {identifier.value})"
            report.result("cublasLt", label, status, out, out_bytes)
        if not count:
            print(f"cublasLt: {what}: no algorithm")
        device.free(a, b, bias, out)

    def _described(self, epilogue: int, bias: c_void_p) -> tuple[c_void_p, list[c_void_p]]:
        """Describe the operation and the layouts of A, B and the result."""
        kind, lt = self._kind, self._lt
        description = c_void_p()
        lt.cublasLtMatmulDescCreate(byref(description), kind.compute, TYPES[kind.scale].code)
        values: list[tuple[int, ctypes._SimpleCData[int | None]]] = [
            (3, c_int32(self._form[0])),
            (4, c_int32(self._form[1])),
            (7, ctypes.c_uint32(epilogue)),
        ]
        if epilogue & 4:
            values.append((8, bias))
        for attribute, value in values:
            lt.cublasLtMatmulDescSetAttribute(description, attribute, byref(value), c_size_t(ctypes.sizeof(value)))
        m, n, k = self._size
        places = [*shapes(self._form, m, n, k), (m, n)]
        layouts = []
        for name, (rows, columns) in zip((kind.a, kind.b, kind.out), places, strict=True):
            layout = c_void_p()
            lt.cublasLtMatrixLayoutCreate(
                byref(layout), TYPES[name].code, c_uint64(rows), c_uint64(columns), c_longlong(rows)
            )
            layouts.append(layout)
        return description, layouts

    def _ask(self, description: c_void_p, layouts: list[c_void_p], results: ctypes.Array[c_uint64]) -> int:
        preference, count, room = c_void_p(), c_int(), c_uint64(WORKSPACE)
        self._lt.cublasLtMatmulPreferenceCreate(byref(preference))
        self._lt.cublasLtMatmulPreferenceSetAttribute(preference, 1, byref(room), c_size_t(8))
        a, b, out = layouts
        self._lt.cublasLtMatmulAlgoGetHeuristic(
            self._handle, description, a, b, out, out, preference, ALGORITHMS, byref(results), byref(count)
        )
        self._lt.cublasLtMatmulPreferenceDestroy(preference)
        return count.value
