/* The planted values: one table, read from text, and the faults among them. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "simulated.h"

enum { SETTINGS_SIZE = 8192 };

struct number {
    const char *name;
    size_t offset;
    double value, least, greatest;
};

struct text {
    const char *name;
    size_t offset;
    const char *value;
};

static const struct number numbers[] = {
#define ROW(name, value, least, greatest) {#name, offsetof(struct settings, name), value, least, greatest},
    NUMBERS(ROW)
#undef ROW
};

static const struct text texts[] = {
#define ROW(name, value) {#name, offsetof(struct settings, name), value},
    TEXTS(ROW)
#undef ROW
};

enum { NUMBER_COUNT = sizeof numbers / sizeof *numbers, TEXT_COUNT = sizeof texts / sizeof *texts };

struct planted_fault {
    char function[TEXT_SIZE];
    enum fault kind;
    int number;
    long after; /* calls that still succeed */
};

struct settings planted;
static struct planted_fault faults[FAULTS_MAX];
static int fault_count;
static bool loaded;

static double *number_in(struct settings *settings, const struct number *row)
{
    return (double *)((char *)settings + row->offset);
}

static char *text_in(struct settings *settings, const struct text *row)
{
    return (char *)settings + row->offset;
}

static bool refuse(const char *what, const char *entry)
{
    fprintf(stderr, "simulated driver: %s: %s\n", what, entry);
    return false;
}

static bool set_number(struct settings *settings, const struct number *row, const char *value)
{
    char *end;
    double parsed = strtod(value, &end);
    if (end == value || *end != '\0' || !(parsed >= row->least && parsed <= row->greatest)) {
        fprintf(stderr, "simulated driver: %s takes a number from %g to %g, not '%s'\n", row->name, row->least,
                row->greatest, value);
        return false;
    }
    *number_in(settings, row) = parsed;
    return true;
}

static bool set(struct settings *settings, char *entry)
{
    char *value = strchr(entry, '=');
    if (value == NULL)
        return refuse("not of the form key=value", entry);
    *value++ = '\0';
    for (int i = 0; i < NUMBER_COUNT; i++)
        if (strcmp(numbers[i].name, entry) == 0)
            return set_number(settings, &numbers[i], value);
    for (int i = 0; i < TEXT_COUNT; i++)
        if (strcmp(texts[i].name, entry) == 0) {
            if (strlen(value) >= TEXT_SIZE)
                return refuse("too long", value);
            strcpy(text_in(settings, &texts[i]), value);
            return true;
        }
    return refuse("no such setting", entry);
}

/* ---- faults ---- */

/* A fault of the other library is none of ours; a function that neither can have is a mistake. */
static bool is_ours(const char *function, bool *ours)
{
    bool cuda = library_exports("cuInit");
    bool meant = strncmp(function, "cu", 2) == 0 ? cuda : !cuda;
    if (strncmp(function, "cu", 2) != 0 && strncmp(function, "nvml", 4) != 0)
        return refuse("no function of the driver", function);
    *ours = meant && library_exports(function);
    return *ours || !meant || refuse("no such function in the simulated library", function);
}

static bool add_fault(enum fault kind, char *entry)
{
    struct planted_fault fault = {.kind = kind};
    char *number = strchr(entry, ':');
    bool ours = false;
    if ((number != NULL) != (kind == FAULT_FAIL))
        return refuse("fail takes <function>:<error number>, the others <function>", entry);
    if (kind == FAULT_FAIL) {
        char *end;
        *number++ = '\0';
        fault.number = (int)strtol(number, &end, 10);
        if (*end == ':')
            fault.after = strtol(end + 1, &end, 10);
        if (fault.number <= 0 || fault.after < 0 || *end != '\0')
            return refuse("no error number, or no number of calls", number);
    }
    if (kind == FAULT_NOT_SUPPORTED && strncmp(entry, "nvml", 4) != 0)
        return refuse("no function of NVML", entry);
    if (!is_ours(entry, &ours))
        return false;
    strcpy(fault.function, entry);
    if (ours && fault_count == FAULTS_MAX)
        return refuse("too many faults", entry);
    if (ours)
        faults[fault_count++] = fault;
    return true;
}

static bool add_faults(enum fault kind, const char *list)
{
    char copy[TEXT_SIZE];
    strcpy(copy, list);
    for (char *entry = strtok(copy, "|"); entry != NULL; entry = strtok(NULL, "|"))
        if (!add_fault(kind, entry))
            return false;
    return true;
}

static bool plant_faults(const struct settings *settings)
{
    fault_count = 0;
    return add_faults(FAULT_FAIL, settings->fail) && add_faults(FAULT_CRASH, settings->crash)
           && add_faults(FAULT_HANG, settings->hang) && add_faults(FAULT_NOT_SUPPORTED, settings->not_supported);
}

enum fault fault_of(const char *function, int *number)
{
    for (int i = 0; i < fault_count; i++) {
        if (strcmp(faults[i].function, function) != 0)
            continue;
        if (faults[i].after > 0) {
            faults[i].after--;
            continue;
        }
        *number = faults[i].number;
        return faults[i].kind;
    }
    return FAULT_NONE;
}

void fault_strike(enum fault fault)
{
    if (fault == FAULT_CRASH)
        *(volatile int *)0 = 0; /* as a library with a wild pointer does */
    for (;;)
        sleep_ns(1e9);
}

/* ---- the whole ---- */

static bool parse(struct settings *settings, const char *text)
{
    char copy[SETTINGS_SIZE];
    if (strlen(text) >= sizeof copy)
        return refuse("settings too long", text);
    strcpy(copy, text);
    for (int i = 0; i < NUMBER_COUNT; i++)
        *number_in(settings, &numbers[i]) = numbers[i].value;
    for (int i = 0; i < TEXT_COUNT; i++)
        strcpy(text_in(settings, &texts[i]), texts[i].value);
    for (char *entry = copy, *next; entry != NULL && *entry != '\0'; entry = next) {
        next = strchr(entry, ',');
        if (next != NULL)
            *next++ = '\0';
        if (!set(settings, entry))
            return false;
    }
    return true;
}

static bool configure(const char *text)
{
    struct settings fresh;
    if (!parse(&fresh, text))
        return false;
    if (!plant_faults(&fresh)) {
        plant_faults(&planted);
        return false;
    }
    planted = fresh;
    loaded = true;
    clock_restart();
    library_reset();
    return true;
}

EXPORT int simulated_configure(const char *settings)
{
    lock();
    bool understood = configure(settings);
    unlock();
    return understood ? 0 : 1;
}

/* Containers have no such variable: there the settings lie beside the library. */
static const char *settings_from_file(char *text, size_t size)
{
    char path[TEXT_SIZE];
    text[0] = '\0';
    if (!library_folder(path, sizeof path - sizeof "/simulated-gpu"))
        return text;
    FILE *file = fopen(strcat(path, "/simulated-gpu"), "r");
    if (file == NULL)
        return text;
    text[fread(text, 1, size - 1, file)] = '\0';
    fclose(file);
    text[strcspn(text, "\r\n")] = '\0';
    return text;
}

void settings_load(void)
{
    char text[SETTINGS_SIZE];
    if (loaded)
        return;
    const char *variable = getenv("SIMULATED_GPU");
    if (!configure(variable != NULL ? variable : settings_from_file(text, sizeof text)))
        abort();
}

EXPORT size_t simulated_settings(char *text, size_t size)
{
    size_t length = 0;
    lock();
    settings_load();
    for (int i = 0; i < NUMBER_COUNT && length < size; i++)
        length += (size_t)snprintf(text + length, size - length, "%s=%.17g,", numbers[i].name,
                                   *number_in(&planted, &numbers[i]));
    for (int i = 0; i < TEXT_COUNT && length < size; i++)
        length += (size_t)snprintf(text + length, size - length, "%s=%s%s", texts[i].name,
                                   text_in(&planted, &texts[i]), i + 1 < TEXT_COUNT ? "," : "");
    unlock();
    return length;
}

/* ---- identity ---- */

void uuid_of(int device, unsigned char *uuid)
{
    memcpy(uuid, "SIMULATED-GPU-", 14);
    uuid[14] = (unsigned char)planted.uuid;
    uuid[15] = (unsigned char)device;
}

void instance_uuid_of(int device, unsigned char *uuid)
{
    uuid_of(device, uuid);
    memcpy(uuid, "SIMULATED-MIG-", 14);
}

void name_of(char *name, size_t size)
{
    const char *mark = strstr(planted.name, "Simulated") != NULL ? "" : "Simulated ";
    snprintf(name, size, "%s%s", mark, planted.name);
}
