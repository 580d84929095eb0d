/* The main() of a fuzz target that no fuzzer drives: gives the target every file of its corpus, and
 * then variants of them, the same ones in each run.
 *
 *   fuzz_NAME CORPUS-DIRECTORY [VARIANTS]
 *
 * To search for new inputs, compile the target without this file, with clang -fsanitize=fuzzer. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FILES_MAX 1000
#define INPUT_BYTES_MAX 65536u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct input {
    uint8_t *bytes;
    size_t size;
} inputs[FILES_MAX];
static size_t input_count;

static uint64_t random_state = 0x9e3779b97f4a7c15ull;

static uint32_t random_below(uint32_t limit)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (uint32_t)((random_state >> 32) % limit);
}

static void fail(const char *what, const char *name)
{
    fprintf(stderr, "%s: ", name);
    perror(what);
    exit(2);
}

static void input_load(const char *directory, const char *name)
{
    struct input *input = &inputs[input_count++];
    char path[4096];
    FILE *file;

    snprintf(path, sizeof(path), "%s/%s", directory, name);
    file = fopen(path, "rb");
    if (!file)
        fail("open", path);
    input->bytes = malloc(INPUT_BYTES_MAX);
    if (!input->bytes)
        fail("memory", path);
    input->size = fread(input->bytes, 1, INPUT_BYTES_MAX, file);
    fclose(file);
}

/* The order of names, so that every machine tries the same variants. */
static void inputs_load(const char *directory)
{
    struct dirent **names;
    int count = scandir(directory, &names, NULL, alphasort);

    if (count < 0)
        fail("read", directory);
    for (int i = 0; i < count; i++) {
        if (names[i]->d_name[0] != '.' && input_count < FILES_MAX)
            input_load(directory, names[i]->d_name);
        free(names[i]);
    }
    free(names);
}

/* In an array of its own size, so that a sanitizer sees a read behind it. */
static void input_try(const uint8_t *bytes, size_t size)
{
    uint8_t *copy = malloc(size ? size : 1);

    if (!copy)
        fail("memory", "input");
    memcpy(copy, bytes, size);
    LLVMFuzzerTestOneInput(copy, size);
    free(copy);
}

/* Changes, drops, doubles or inserts a few bytes. */
static size_t input_vary(uint8_t *bytes, size_t size, size_t room)
{
    static const char special[] = "*$:%~>|+-_,(#=!0123456789\r\n\r\n \"'\\";
    size_t at = random_below((uint32_t)size), span = 1 + random_below(16);
    uint8_t byte = random_below(4) ? (uint8_t)special[random_below(sizeof(special))]
                                   : (uint8_t)random_below(256);

    if (span > size - at)
        span = size - at;
    switch (random_below(4)) {
    case 0:
        bytes[at] = byte;
        return size;
    case 1:
        memmove(bytes + at, bytes + at + span, size - at - span);
        return size - span;
    case 2:
        if (size + span > room)
            return size;
        memmove(bytes + at + span, bytes + at, size - at);
        return size + span;
    default:
        if (size + 1 > room)
            return size;
        memmove(bytes + at + 1, bytes + at, size - at);
        bytes[at] = byte;
        return size + 1;
    }
}

static void variant_try(void)
{
    static uint8_t bytes[2 * INPUT_BYTES_MAX];
    const struct input *first = &inputs[random_below((uint32_t)input_count)];
    const struct input *second = &inputs[random_below((uint32_t)input_count)];
    size_t size = first->size;

    memcpy(bytes, first->bytes, size);
    if (random_below(4) == 0) {
        size = size ? random_below((uint32_t)size) : 0;
        memcpy(bytes + size, second->bytes, second->size);
        size += second->size;
    }
    for (uint32_t changes = 1 + random_below(6); changes > 0 && size > 0; changes--)
        size = input_vary(bytes, size, sizeof(bytes));
    input_try(bytes, size);
}

int main(int argc, char **argv)
{
    long variants = argc > 2 ? atol(argv[2]) : 20000;

    if (argc < 2) {
        fprintf(stderr, "usage: %s CORPUS-DIRECTORY [VARIANTS]\n", argv[0]);
        return 2;
    }
    inputs_load(argv[1]);
    if (input_count == 0) {
        fprintf(stderr, "%s: no inputs in %s\n", argv[0], argv[1]);
        return 2;
    }
    for (size_t i = 0; i < input_count; i++)
        input_try(inputs[i].bytes, inputs[i].size);
    for (long i = 0; i < variants; i++)
        variant_try();
    printf("%zu inputs, %ld variants\n", input_count, variants);
    for (size_t i = 0; i < input_count; i++)
        free(inputs[i].bytes);
    return 0;
}
