/* Loops that touch neither memory nor the kernel: the clock, an empty call, multiply-adds, a spin. */
#include "overhead_probe.h"

#include <errno.h>

#include "clock.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif

static volatile int64_t clock_sink;
static volatile double chain_start = 0.0;

int32_t probe_abi(void)
{
    return PROBE_ABI;
}

int32_t probe_clock(int64_t samples, int64_t calls, double *seconds)
{
    if (calls < 1)
        return -EINVAL;
    for (int64_t sample = 0; sample < samples; sample++) {
        int64_t start = clock_now();
        for (int64_t call = 0; call < calls; call++)
            clock_sink = clock_now();
        seconds[sample] = clock_seconds(clock_now() - start) / (double)calls;
    }
    return 0;
}

__attribute__((noinline)) static void nothing(void)
{
    __asm__ volatile("");
}

int32_t probe_empty_call(int64_t samples, int64_t calls, double *seconds)
{
    if (calls < 1)
        return -EINVAL;
    for (int64_t sample = 0; sample < samples; sample++) {
        int64_t start = clock_now();
        for (int64_t call = 0; call < calls; call++)
            nothing();
        seconds[sample] = clock_seconds(clock_now() - start) / (double)calls;
    }
    return 0;
}

/* x → x/2 + 1 has the fixed point 2, reached exactly after some 54 steps: the result is known whatever the length. */
#if defined(__x86_64__)

__attribute__((target("fma"))) static double chain_fused(double x, int64_t length)
{
    for (int64_t i = 0; i < length; i++)
        x = __builtin_fma(x, 0.5, 1.0);
    return x;
}

static double chain_separate(double x, int64_t length)
{
#pragma clang fp contract(off)
    for (int64_t i = 0; i < length; i++)
        x = x * 0.5 + 1.0;
    return x;
}

int32_t probe_fused(void)
{
    unsigned a, b, c, d, enabled, high;
    const unsigned needed = bit_FMA | bit_OSXSAVE | bit_AVX;
    if (!__get_cpuid(1, &a, &b, &c, &d) || (c & needed) != needed)
        return 0;
    __asm__("xgetbv" : "=a"(enabled), "=d"(high) : "c"(0));
    return (enabled & 6) == 6; /* the operating system saves the registers that FMA uses */
}

#else

/* Only 64-bit ARM is built beside x86-64, and every one of them has the instruction. */
static double chain_fused(double x, int64_t length)
{
    for (int64_t i = 0; i < length; i++)
        x = __builtin_fma(x, 0.5, 1.0);
    return x;
}

static double chain_separate(double x, int64_t length)
{
    return chain_fused(x, length);
}

int32_t probe_fused(void)
{
    return 1;
}

#endif

int32_t probe_fma(int64_t samples, int64_t calls, double *seconds)
{
    if (calls < 1)
        return -EINVAL;
    double (*chain)(double, int64_t) = probe_fused() ? chain_fused : chain_separate;
    for (int64_t sample = 0; sample < samples; sample++) {
        int64_t start = clock_now();
        double value = chain(chain_start, calls);
        seconds[sample] = clock_seconds(clock_now() - start);
        if (calls >= 64 && value != 2.0)
            return -EIO;
    }
    return 0;
}

int32_t probe_spin(int64_t samples, int64_t nanoseconds, double *seconds)
{
    double wanted = (double)nanoseconds * 1e-9;
    for (int64_t sample = 0; sample < samples; sample++) {
        int64_t start = clock_now();
        int64_t spin = clock_now();
        while (clock_seconds(clock_now() - spin) < wanted)
            continue;
        seconds[sample] = clock_seconds(clock_now() - start);
    }
    return 0;
}
