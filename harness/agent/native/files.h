/* What the loops over files share (POSIX). */
#ifndef OVERHEAD_FILES_H
#define OVERHEAD_FILES_H

#include <errno.h>
#include <stdint.h>
#include <unistd.h>

static inline int32_t last_error(void)
{
    return errno ? -errno : -EIO;
}

static inline int32_t write_all(int file, const char *buffer, int64_t size)
{
    while (size > 0) {
        ssize_t written = write(file, buffer, (size_t)size);
        if (written < 0)
            return last_error();
        buffer += written;
        size -= written;
    }
    return 0;
}

#endif
