/* What every call begins and ends with, and the names of errors. */
#include "cuda_driver.h"

bool initialized;
CUresult sticky;

static CUresult present_error(enum need need)
{
    if (need >= NEED_INIT && !initialized)
        return CUDA_ERROR_NOT_INITIALIZED;
    if (need >= NEED_CONTEXT && sticky)
        return sticky;
    return need >= NEED_CONTEXT && current_context() == NULL ? CUDA_ERROR_INVALID_CONTEXT : CUDA_SUCCESS;
}

/* Errors after which the documentation demands a new process. */
static bool is_sticky(int number)
{
    return number == CUDA_ERROR_ECC_UNCORRECTABLE || (number >= 700 && number <= 719 && number != 701 && number != 704
                                                      && number != 708 && number != 712 && number != 713);
}

bool call_enter(struct call *call, const char *function, enum need need)
{
    int number = 0;
    lock();
    settings_load();
    call->until = now();
    enum fault fault = fault_of(function, &number);
    if (fault == FAULT_CRASH || fault == FAULT_HANG) {
        unlock();
        fault_strike(fault);
    }
    call->result = present_error(need);
    if (call->result == CUDA_SUCCESS && fault == FAULT_FAIL) {
        call->result = (CUresult)number;
        if (is_sticky(number))
            sticky = (CUresult)number;
    }
    if (call->result != CUDA_SUCCESS)
        unlock();
    return call->result == CUDA_SUCCESS;
}

CUresult leave(const struct call *call, CUresult result)
{
    unlock();
    while (now() < call->until)
        continue;
    return result;
}

void library_reset(void)
{
    initialized = false;
    sticky = CUDA_SUCCESS;
    timeline_reset();
    objects_end_of(NULL);
    memory_reset(NULL);
    device_reset();
    modules_reset();
}

static const struct {
    CUresult number;
    const char *name, *description;
} errors[] = {
#define ROW(name, number, description) {name, #name, description},
    ERRORS(ROW)
#undef ROW
};

static int error_row(int number)
{
    for (int i = 0; i < (int)(sizeof errors / sizeof *errors); i++)
        if ((int)errors[i].number == number)
            return i;
    return -1;
}

EXPORT CUresult cuGetErrorName(int error, const char **name)
{
    int row = error_row(error);
    *name = row < 0 ? NULL : errors[row].name;
    return row < 0 ? CUDA_ERROR_INVALID_VALUE : CUDA_SUCCESS;
}

EXPORT CUresult cuGetErrorString(int error, const char **description)
{
    int row = error_row(error);
    *description = row < 0 ? NULL : errors[row].description;
    return row < 0 ? CUDA_ERROR_INVALID_VALUE : CUDA_SUCCESS;
}
