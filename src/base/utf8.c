#include "sluice/base/utf8.h"

#include <stdio.h>
#include <string.h>

#define NUMBER_BYTES 4 /* of \xff */

size_t utf8_bytes(const unsigned char *text)
{
    size_t length = text[0] < 0xe0 ? 2 : text[0] < 0xf0 ? 3 : 4;

    if (text[0] < 0x80)
        return 1;
    if (text[0] < 0xc2 || text[0] > 0xf4)
        return 0;
    for (size_t i = 1; i < length; i++)
        if ((text[i] & 0xc0) != 0x80)
            return 0;
    if ((text[0] == 0xc2 && text[1] < 0xa0) || (text[0] == 0xe0 && text[1] < 0xa0) ||
        (text[0] == 0xed && text[1] > 0x9f) || (text[0] == 0xf0 && text[1] < 0x90) ||
        (text[0] == 0xf4 && text[1] > 0x8f))
        return 0;
    return length;
}

size_t utf8_show(const char *text, char *shown, size_t size)
{
    size_t length = 0, bytes;

    for (const unsigned char *at = (const unsigned char *)text; *at; at += bytes ? bytes : 1) {
        bytes = utf8_bytes(at);
        if (length + (bytes ? bytes : NUMBER_BYTES) >= size)
            break;
        if (bytes)
            memcpy(shown + length, at, bytes);
        else
            snprintf(shown + length, size - length, "\\x%02x", *at);
        length += bytes ? bytes : NUMBER_BYTES;
    }
    shown[length] = '\0';
    return length;
}

size_t utf8_cut(const char *text, size_t length)
{
    size_t tail = 0; /* bytes that continue a character */

    while (tail < 3 && tail < length && (text[length - 1 - tail] & 0xc0) == 0x80)
        tail++;
    if (tail < length) {
        unsigned char first = (unsigned char)text[length - 1 - tail];

        if (first >= 0xc2 && first <= 0xf4 &&
            tail + 1 < (first < 0xe0   ? 2u
                        : first < 0xf0 ? 3u
                                       : 4u))
            return length - 1 - tail;
    }
    return length;
}
