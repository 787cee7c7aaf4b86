"""Products through cuBLAS: single ones, batches of them, and routines with kernels of their own."""

from __future__ import annotations

import ctypes
import sys
from ctypes import byref, c_float, c_longlong, c_void_p

from device import TYPES, Device, Report, numbers, scalar
from kinds import BATCHES, FORMS, KINDS, NORMAL, ODD, SIZES, Kind, shapes

LOWER, LEFT = 0, 0
DEFAULT_ALGORITHM = -1


class Blas:
    """A handle of cuBLAS."""

    def __init__(self, device: Device, library: ctypes.CDLL) -> None:
        self._device, self._library, self._handle = device, library, c_void_p()
        if library.cublasCreate_v2(byref(self._handle)):
            sys.exit("cublasCreate failed")

    def run(self, report: Report) -> None:
        """Run all of them."""
        for name, kind in KINDS.items():
            whole = kind.a == "i8"  # takes sizes in fours only
            sizes = [(*size, 0) for size in (SIZES if whole else SIZES + ODD)]
            for form_name, form in FORMS.items():
                for m, n, k, batch in [*sizes, *(BATCHES[:3] if whole else BATCHES)]:
                    what = f"{name} {form_name} {m}x{n}x{k}" + (f" batch {batch}" if batch else "")
                    self._product(report, what, kind, form, (m, n, k, batch))
        self._others(report)

    def _product(
        self, report: Report, what: str, kind: Kind, form: tuple[int, int], size: tuple[int, int, int, int]
    ) -> None:
        m, n, k, batch = size
        times, device, blas = max(1, batch), self._device, self._library
        (a_rows, a_columns), (b_rows, b_columns) = shapes(form, m, n, k)
        a = device.filled(numbers(kind.a, m * k * times, 1))
        b = device.filled(numbers(kind.b, n * k * times, 2))
        out_bytes = m * n * times * TYPES[kind.out].size
        c = device.empty(out_bytes)
        alpha, beta = scalar(kind.scale, 1), scalar(kind.scale, 0)
        codes = [TYPES[name].code for name in (kind.a, kind.b, kind.out)]
        if batch:
            status = blas.cublasGemmStridedBatchedEx(
                self._handle, *form, m, n, k, byref(alpha), a, codes[0], a_rows, c_longlong(a_rows * a_columns), b,
                codes[1], b_rows, c_longlong(b_rows * b_columns), byref(beta), c, codes[2], m, c_longlong(m * n),
                batch, kind.compute, DEFAULT_ALGORITHM,
            )  # fmt: skip
        else:
            status = blas.cublasGemmEx(
                self._handle, *form, m, n, k, byref(alpha), a, codes[0], a_rows, b, codes[1], b_rows, byref(beta), c,
                codes[2], m, kind.compute, DEFAULT_ALGORITHM,
            )  # fmt: skip
        report.result("cublas", what, status, c, out_bytes)
        device.free(a, b, c)

    def _others(self, report: Report) -> None:
        blas, handle = self._library, self._handle
        for n in (96, 1000):
            size, alpha, beta = n * n * 4, c_float(1), c_float(0)
            matrix = self._device.filled(numbers("f32", n * n, 3))
            out = self._device.filled(numbers("f32", n * n, 4))
            status = blas.cublasStrsm_v2(handle, LEFT, LOWER, NORMAL, 0, n, n, byref(alpha), matrix, n, out, n)
            report.result("cublas", f"strsm {n}", status, out, size)
            status = blas.cublasSsyrk_v2(handle, LOWER, NORMAL, n, n, byref(alpha), matrix, n, byref(beta), out, n)
            report.result("cublas", f"ssyrk {n}", status, out, size)
            status = blas.cublasSgemv_v2(handle, NORMAL, n, n, byref(alpha), matrix, n, matrix, 1, byref(beta), out, 1)
            report.result("cublas", f"sgemv {n}", status, out, size)
            self._device.free(matrix, out)
