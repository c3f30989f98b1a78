"""The kernels of the CUDA probes as PTX text, which the driver compiles for whatever GPU there is, from sm_50 on.

- `empty` does nothing.
- `spin` takes a u64: nanoseconds by %globaltimer, the GPU's real-time clock. It never lasts as long as a second:
  Windows resets a GPU whose kernel runs for two (TDR).
- `fma` takes the address of a float and a u64: so many dependent multiply-adds in registers (rounded up to a multiple
  of 64), x → x/2 + 1 from 0. In single precision that reaches 2 exactly after some 25 of them and stays there, so the
  result is known whatever the length.
"""

from __future__ import annotations

LONGEST_SPIN_NS = 900_000_000
FMA_UNROLLED = 64  # a branch costs more than one multiply-add: it must be rare
FMA_RESULT = 2.0

HEADER = """\
.version 4.3
.target sm_50
.address_size 64
"""

EMPTY = """\
.visible .entry empty()
{
    ret;
}
"""

SPIN = f"""\
.visible .entry spin(.param .u64 nanoseconds)
{{
    .reg .pred %p<2>;
    .reg .u64 %rd<5>;
    ld.param.u64 %rd1, [nanoseconds];
    min.u64 %rd1, %rd1, {LONGEST_SPIN_NS};
    mov.u64 %rd2, %globaltimer;
again:
    mov.u64 %rd3, %globaltimer;
    sub.u64 %rd4, %rd3, %rd2;
    setp.lt.u64 %p1, %rd4, %rd1;
    @%p1 bra again;
    ret;
}}
"""

_STEP = "    fma.rn.f32 %f1, %f1, 0f3F000000, 0f3F800000;\n"  # x · 0.5 + 1

FMA = f"""\
.visible .entry fma(.param .u64 result, .param .u64 iterations)
{{
    .reg .pred %p<2>;
    .reg .f32 %f<2>;
    .reg .u64 %rd<4>;
    ld.param.u64 %rd1, [result];
    ld.param.u64 %rd2, [iterations];
    cvta.to.global.u64 %rd1, %rd1;
    mov.f32 %f1, 0f00000000;
    mov.u64 %rd3, 0;
more:
{_STEP * FMA_UNROLLED}\
    add.u64 %rd3, %rd3, {FMA_UNROLLED};
    setp.lt.u64 %p1, %rd3, %rd2;
    @%p1 bra more;
    st.global.f32 [%rd1], %f1;
    ret;
}}
"""

MODULE = "\n".join((HEADER, EMPTY, SPIN, FMA))


def unseen(number: int) -> str:
    """Return the module with one more kernel, of code that depends on `number`: no cache of the driver holds it."""
    return f"""{MODULE}
.visible .entry unseen(.param .u64 result)
{{
    .reg .u64 %rd<3>;
    ld.param.u64 %rd1, [result];
    cvta.to.global.u64 %rd1, %rd1;
    mov.u64 %rd2, {number};
    st.global.u64 [%rd1], %rd2;
    ret;
}}
"""
