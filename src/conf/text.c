#include "conf/text.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/crypto.h>

#include "sluice/base/ensure.h"
#include "sluice/base/memory.h"

static void text_reserve(struct text *text, size_t more)
{
    size_t capacity = text->capacity ? text->capacity : 256;
    char *data;

    if (text->capacity - text->length > more)
        return;
    while (capacity - text->length <= more)
        capacity *= 2;
    data = memory_new(capacity); /* not memory_resize, which would leave a copy behind */
    if (text->data) {
        memcpy(data, text->data, text->length + 1);
        OPENSSL_cleanse(text->data, text->capacity);
        free(text->data);
    }
    text->data = data;
    text->capacity = capacity;
}

void text_add(struct text *text, const char *bytes, size_t length)
{
    text_reserve(text, length);
    memcpy(text->data + text->length, bytes, length);
    text->length += length;
    text->data[text->length] = '\0';
}

void text_add_byte(struct text *text, char byte)
{
    text_add(text, &byte, 1);
}

void text_addf(struct text *text, const char *format, ...)
{
    va_list list;
    int length;

    va_start(list, format);
    length = vsnprintf(NULL, 0, format, list);
    va_end(list);
    ensure(length >= 0);
    text_reserve(text, (size_t)length);
    va_start(list, format);
    vsnprintf(text->data + text->length, (size_t)length + 1, format, list);
    va_end(list);
    text->length += (size_t)length;
}

void text_clear(struct text *text)
{
    text->length = 0;
    if (text->data)
        text->data[0] = '\0';
}

void text_fini(struct text *text)
{
    if (text->data)
        OPENSSL_cleanse(text->data, text->capacity);
    free(text->data);
    *text = (struct text){0};
}

const char *text_get(const struct text *text)
{
    return text->data ? text->data : "";
}

int text_add_file(struct text *text, int fd, size_t limit)
{
    char block[16384];
    ssize_t got = 1;
    int problem = 0;

    while (got > 0 && problem == 0) {
        got = read(fd, block, sizeof(block));
        if (got < 0 && errno == EINTR)
            got = 1;
        else if (got < 0)
            problem = errno;
        else if ((size_t)got > limit)
            problem = EFBIG;
        else {
            text_add(text, block, (size_t)got);
            limit -= (size_t)got;
        }
    }
    OPENSSL_cleanse(block, sizeof(block));
    return problem;
}
