/* Graphs: what a stream captured, launched again as a whole. One stream captures at a time; no forks, no edits. */
#include <stdlib.h>

#include "cuda_driver.h"

CUresult capture_item(struct graph *graph, struct item values)
{
    struct item *item = malloc(sizeof *item);
    if (item == NULL)
        return CUDA_ERROR_OUT_OF_MEMORY;
    *item = values;
    item->next = NULL;
    if (graph->first == NULL)
        graph->first = item;
    else
        graph->last->next = item;
    graph->last = item;
    return CUDA_SUCCESS;
}

void graph_clear(struct graph *graph)
{
    while (graph->first != NULL) {
        struct item *item = graph->first;
        graph->first = item->next;
        free(item);
    }
}

EXPORT CUresult cuStreamBeginCapture_v2(struct stream *stream, int mode)
{
    ENTER(NEED_CONTEXT)
    if (mode < 0 || mode > 2)
        return leave(&call, CUDA_ERROR_INVALID_VALUE);
    if (!is_live(stream, STREAM) || stream->capture != NULL) /* the default stream cannot capture */
        return leave(&call, stream == NULL ? CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED : CUDA_ERROR_ILLEGAL_STATE);
    stream->capture = object_new(GRAPH, stream->object.context);
    return leave(&call, stream->capture != NULL ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY);
}

EXPORT CUresult cuStreamEndCapture(struct stream *stream, struct graph **graph)
{
    ENTER(NEED_CONTEXT)
    if (!is_live(stream, STREAM) || stream->capture == NULL)
        return leave(&call, CUDA_ERROR_ILLEGAL_STATE);
    *graph = stream->capture;
    stream->capture = NULL;
    return leave(&call, CUDA_SUCCESS);
}

EXPORT CUresult cuGraphInstantiateWithFlags(struct graph **executable, struct graph *graph, unsigned long long flags)
{
    ENTER(NEED_CONTEXT)
    if (!is_live(graph, GRAPH))
        return leave(&call, CUDA_ERROR_INVALID_VALUE);
    if (flags != 0)
        return leave(&call, CUDA_ERROR_NOT_SUPPORTED);
    struct graph *fresh = object_new(GRAPH_EXEC, graph->object.context);
    CUresult result = fresh != NULL ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
    for (const struct item *item = graph->first; item != NULL && result == CUDA_SUCCESS; item = item->next)
        result = capture_item(fresh, *item);
    charge(&call, planted.graph_instantiate_ns);
    *executable = fresh;
    return leave(&call, result);
}

EXPORT CUresult cuGraphUpload(struct graph *executable, struct stream *stream)
{
    ENTER(NEED_CONTEXT)
    bool valid = is_live(executable, GRAPH_EXEC) && stream_of(stream) != NULL;
    return leave(&call, valid ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE);
}

EXPORT CUresult cuGraphLaunch(struct graph *executable, struct stream *handle)
{
    ENTER(NEED_CONTEXT)
    struct stream *stream = stream_of(handle);
    CUresult result = CUDA_SUCCESS;
    if (stream == NULL || !is_live(executable, GRAPH_EXEC))
        return leave(&call, CUDA_ERROR_INVALID_VALUE);
    if (stream->capture != NULL)
        return leave(&call, CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
    charge(&call, planted.graph_launch_ns);
    for (const struct item *node = executable->first; node != NULL && result == CUDA_SUCCESS; node = node->next) {
        struct item item = *node;
        item.setup += planted.graph_node_ns;
        result = enqueue(&call, stream, item);
    }
    batch_launch(&call, stream->object.context);
    return leave(&call, result);
}

static CUresult end(void *handle, enum kind kind)
{
    if (!is_live(handle, kind))
        return CUDA_ERROR_INVALID_VALUE;
    object_end(handle);
    return CUDA_SUCCESS;
}

EXPORT CUresult cuGraphExecDestroy(struct graph *executable)
{
    ENTER(NEED_INIT)
    return leave(&call, end(executable, GRAPH_EXEC));
}

EXPORT CUresult cuGraphDestroy(struct graph *graph)
{
    ENTER(NEED_INIT)
    return leave(&call, end(graph, GRAPH));
}
