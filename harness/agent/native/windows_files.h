/* What the loops over files share on Windows: paths, error numbers, whole writes. */
#ifndef OVERHEAD_WINDOWS_FILES_H
#define OVERHEAD_WINDOWS_FILES_H

#include <errno.h>
#include <stdint.h>
#include <windows.h>

enum { PATH_UNITS = 32768 }; /* the longest path of the system, in units of UTF-16 */

/* The errno that means the same as GetLastError(), negative. */
static inline int32_t last_error(void)
{
    switch (GetLastError()) {
    case ERROR_FILE_NOT_FOUND:
    case ERROR_PATH_NOT_FOUND:
        return -ENOENT;
    case ERROR_ACCESS_DENIED:
    case ERROR_SHARING_VIOLATION:
        return -EACCES;
    case ERROR_FILE_EXISTS:
    case ERROR_ALREADY_EXISTS:
        return -EEXIST;
    case ERROR_DISK_FULL:
    case ERROR_HANDLE_DISK_FULL:
        return -ENOSPC;
    case ERROR_NOT_ENOUGH_MEMORY:
    case ERROR_OUTOFMEMORY:
        return -ENOMEM;
    case ERROR_DIRECTORY:
        return -ENOTDIR;
    case ERROR_WRITE_PROTECT:
        return -EROFS;
    case ERROR_INVALID_PARAMETER:
        return -EINVAL;
    case ERROR_NOT_SUPPORTED:
    case ERROR_INVALID_FUNCTION:
        return -ENOTSUP;
    default:
        return -EIO;
    }
}

/* UTF-8 to UTF-16; 0 or a negative errno. */
static inline int32_t wide_path(const char *path, wchar_t *wide)
{
    return MultiByteToWideChar(CP_UTF8, MB_ERR_INVALID_CHARS, path, -1, wide, PATH_UNITS) ? 0 : -EINVAL;
}

static inline int32_t write_all(HANDLE file, const char *buffer, int64_t size)
{
    while (size > 0) {
        DWORD piece = size > 1 << 30 ? 1 << 30 : (DWORD)size, written;
        if (!WriteFile(file, buffer, piece, &written, NULL))
            return last_error();
        buffer += written;
        size -= written;
    }
    return 0;
}

#endif
