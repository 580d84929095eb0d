#include "wire/resp_number.h"

bool resp_number_parse(const uint8_t *text, size_t length, int64_t *number)
{
    bool negative = length > 0 && text[0] == '-';
    const uint8_t *at = text + negative, *end = text + length;
    uint64_t limit = (uint64_t)INT64_MAX + negative, value = 0;

    if (length == 1 && text[0] == '0') {
        *number = 0;
        return true;
    }
    if (at == end || *at == '0')
        return false;
    for (; at < end; at++) {
        unsigned digit = (unsigned)*at - '0';

        if (digit > 9 || value > (limit - digit) / 10)
            return false;
        value = value * 10 + digit;
    }
    *number = negative ? (int64_t)(0 - value) : (int64_t)value;
    return true;
}
