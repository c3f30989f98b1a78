/* Content for files. */
#ifndef OVERHEAD_FILL_H
#define OVERHEAD_FILL_H

#include <stdint.h>

/* Bytes without a pattern: file systems that compress or skip zeros must store them. xorshift64, Marsaglia 2003. */
static inline void fill(char *buffer, int64_t size)
{
    uint64_t state = 88172645463325252ull;
    for (int64_t i = 0; i < size; i++) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        buffer[i] = (char)state;
    }
}

#endif
