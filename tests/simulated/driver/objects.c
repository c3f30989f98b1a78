/* The objects behind the handles. */
#include <stdlib.h>
#include <string.h>

#include "cuda_driver.h"

static const size_t sizes[KINDS] = {
    [CONTEXT] = sizeof(struct context), [MODULE] = sizeof(struct module), [FUNCTION] = sizeof(struct function),
    [STREAM] = sizeof(struct stream),   [EVENT] = sizeof(struct event),   [GRAPH] = sizeof(struct graph),
    [GRAPH_EXEC] = sizeof(struct graph),
};

/* All that were ever made, dead and alive, by kind; and the dead among them that can be used again. */
static struct object **all[KINDS], **dead[KINDS];
static size_t made[KINDS], free_count[KINDS];

static struct object *make(enum kind kind)
{
    size_t count = made[kind] + 1;
    struct object **more = realloc(all[kind], count * sizeof *more);
    if (more != NULL)
        all[kind] = more;
    struct object **room = realloc(dead[kind], count * sizeof *room); /* as many may die */
    if (room != NULL)
        dead[kind] = room;
    struct object *object = calloc(1, sizes[kind]);
    if (more == NULL || room == NULL || object == NULL) {
        free(object);
        return NULL;
    }
    all[kind][made[kind]++] = object;
    return object;
}

void *object_new(enum kind kind, struct context *context)
{
    struct object *object = free_count[kind] > 0 ? dead[kind][--free_count[kind]] : make(kind);
    if (object == NULL)
        return NULL;
    *object = (struct object){.kind = kind, .born = kind, .context = context};
    return object;
}

bool is_live(const void *handle, enum kind kind)
{
    enum { LOWEST_ADDRESS = 4096 }; /* below lie NULL and the interface's special streams */
    return (uintptr_t)handle >= LOWEST_ADDRESS && ((const struct object *)handle)->kind == kind;
}

static void clear(struct object *object)
{
    char *content = (char *)object + sizeof *object;
    size_t size = sizes[object->born] - sizeof *object;
    struct event *event = (struct event *)object;
    if (object->born == EVENT) { /* a record that is still under way must not count for the next owner */
        event->recorded = event->blocking = event->untimed = false;
        return;
    }
    memset(content, 0, size);
}

void object_end(void *handle)
{
    struct object *object = handle;
    if (object->kind == MODULE)
        free(((struct module *)handle)->image);
    if (object->kind == GRAPH || object->kind == GRAPH_EXEC)
        graph_clear(handle);
    clear(object);
    object->kind = DEAD;
    dead[object->born][free_count[object->born]++] = object;
}

void objects_end_of(const struct context *context)
{
    for (enum kind kind = MODULE; kind < KINDS; kind++)
        for (size_t i = 0; i < made[kind]; i++)
            if (all[kind][i]->kind != DEAD && (context == NULL || all[kind][i]->context == context))
                object_end(all[kind][i]);
    for (size_t i = 0; context == NULL && i < made[CONTEXT]; i++)
        if (all[CONTEXT][i]->kind != DEAD)
            object_end(all[CONTEXT][i]);
}
