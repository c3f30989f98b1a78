/* Modules, their kernels, and launches. A kernel is known by its name: what the PTX says is not computed. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cuda_driver.h"

static bool compiled; /* something, since the library was configured */
static char cache[TEXT_SIZE];

/* As the real driver does, the variables are read when it starts. Without a folder that is named there is no cache. */
void modules_start(void)
{
    const char *folder = getenv("CUDA_CACHE_PATH"), *disabled = getenv("CUDA_CACHE_DISABLE");
    bool on = folder != NULL && (disabled == NULL || strcmp(disabled, "1") != 0);
    snprintf(cache, sizeof cache, "%s", on ? folder : "");
}

void modules_reset(void)
{
    compiled = false;
    cache[0] = '\0';
}

/* Whether the cache holds what this text compiles to; from now on it does. */
static bool cached(const char *image)
{
    char path[TEXT_SIZE + 32];
    uint64_t digest = 14695981039346656037u; /* FNV-1a */
    if (cache[0] == '\0')
        return false;
    for (const char *at = image; *at != '\0'; at++)
        digest = (digest ^ (unsigned char)*at) * 1099511628211u;
    snprintf(path, sizeof path, "%s/%016llx", cache, (unsigned long long)digest);
    FILE *file = fopen(path, "r");
    bool found = file != NULL;
    if (!found)
        file = fopen(path, "w");
    if (file != NULL)
        fclose(file);
    return found;
}

static double compilation(const char *image)
{
    if (cached(image))
        return 0;
    double first = compiled ? 0 : planted.first_jit_us;
    compiled = true;
    return planted.jit_us + first;
}

/* Only PTX: this device has no machine code. */
static CUresult load(struct call *call, struct module **module, const char *image)
{
    static const char version[] = ".version";
    if (image == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    if (!isprint((unsigned char)image[0]) && !isspace((unsigned char)image[0]))
        return CUDA_ERROR_NO_BINARY_FOR_GPU;
    charge(call, (planted.module_load_us + compilation(image)) * 1e3);
    if (strstr(image, version) == NULL)
        return CUDA_ERROR_INVALID_PTX;
    struct module *fresh = object_new(MODULE, current_context());
    if (fresh == NULL)
        return CUDA_ERROR_OUT_OF_MEMORY;
    fresh->image = malloc(strlen(image) + 1);
    if (fresh->image == NULL)
        return CUDA_ERROR_OUT_OF_MEMORY;
    strcpy(fresh->image, image);
    *module = fresh;
    return CUDA_SUCCESS;
}

EXPORT CUresult cuModuleLoadData(struct module **module, const void *image)
{
    ENTER(NEED_CONTEXT)
    return leave(&call, load(&call, module, image));
}

/* Options are accepted and have no effect: logs stay as they are. */
EXPORT CUresult cuModuleLoadDataEx(struct module **module, const void *image, unsigned count, int *options,
                                   void **values)
{
    ENTER(NEED_CONTEXT)
    if (count > 0 && (options == NULL || values == NULL))
        return leave(&call, CUDA_ERROR_INVALID_VALUE);
    return leave(&call, load(&call, module, image));
}

EXPORT CUresult cuModuleUnload(struct module *module)
{
    ENTER(NEED_CONTEXT)
    if (!is_live(module, MODULE))
        return leave(&call, CUDA_ERROR_INVALID_HANDLE);
    wait_for_context(&call, module->object.context);
    object_end(module);
    return leave(&call, CUDA_SUCCESS);
}

static bool has_entry(const char *image, const char *name)
{
    static const char entry[] = ".entry";
    size_t length = strlen(name);
    while ((image = strstr(image, entry)) != NULL) {
        image += sizeof entry - 1;
        image += strspn(image, " \t\r\n");
        if (strncmp(image, name, length) == 0 && !isalnum((unsigned char)image[length]) && image[length] != '_')
            return true;
    }
    return false;
}

EXPORT CUresult cuModuleGetFunction(struct function **function, struct module *module, const char *name)
{
    ENTER(NEED_CONTEXT)
    if (!is_live(module, MODULE))
        return leave(&call, CUDA_ERROR_INVALID_HANDLE);
    if (!has_entry(module->image, name))
        return leave(&call, CUDA_ERROR_NOT_FOUND);
    struct function *fresh = object_new(FUNCTION, module->object.context);
    if (fresh == NULL)
        return leave(&call, CUDA_ERROR_OUT_OF_MEMORY);
    fresh->module = module;
    fresh->kernel = strcmp(name, "spin") == 0 ? KERNEL_SPIN : strcmp(name, "fma") == 0 ? KERNEL_FMA : KERNEL_OTHER;
    *function = fresh;
    return leave(&call, CUDA_SUCCESS);
}

/* Nanoseconds. spin(u64 nanoseconds), fma(pointer, u64 iterations). */
static double duration_of(enum kernel kernel, void **parameters)
{
    if (kernel == KERNEL_SPIN)
        return (double)*(const uint64_t *)parameters[0];
    if (kernel == KERNEL_FMA)
        return (double)*(const uint64_t *)parameters[1] * planted.fma_ps * 1e-3;
    return planted.kernel_ns;
}

/* What the kernel leaves behind: fma's chain x → x/2 + 1 is at its fixed point. */
static struct item kernel_item(enum kernel kernel, void **parameters)
{
    static const float fixed_point = 2.0f;
    struct item item = {.kind = WORK, .engine = COMPUTE, .work = duration_of(kernel, parameters)};
    if (kernel == KERNEL_FMA && is_device_range(*(const CUdeviceptr *)parameters[0], sizeof fixed_point)) {
        item.to = (void *)(uintptr_t)*(const CUdeviceptr *)parameters[0];
        item.from = &fixed_point;
        item.bytes = sizeof fixed_point;
    }
    return item;
}

EXPORT CUresult cuLaunchKernel(struct function *function, unsigned grid_x, unsigned grid_y, unsigned grid_z,
                               unsigned block_x, unsigned block_y, unsigned block_z, unsigned shared_bytes,
                               struct stream *handle, void **parameters, void **extra)
{
    ENTER(NEED_CONTEXT)
    enum { THREADS_MAX = 1024, SHARED_MAX = 49152 };
    uint64_t blocks = (uint64_t)grid_x * grid_y * grid_z, threads = (uint64_t)block_x * block_y * block_z;
    struct stream *stream = stream_of(handle);
    if (stream == NULL || !is_live(function, FUNCTION) || !is_live(function->module, MODULE))
        return leave(&call, CUDA_ERROR_INVALID_HANDLE);
    if (blocks == 0 || threads == 0 || threads > THREADS_MAX || shared_bytes > SHARED_MAX || extra != NULL
        || (parameters == NULL && function->kernel != KERNEL_OTHER))
        return leave(&call, CUDA_ERROR_INVALID_VALUE);
    charge(&call, planted.launch_ns);
    CUresult result = enqueue(&call, stream, kernel_item(function->kernel, parameters));
    if (stream->capture == NULL)
        batch_launch(&call, stream->object.context);
    return leave(&call, result);
}
