/* resp_number: the one spelling of a number that Redis accepts in headers. Private to wire; pure.
 */
#ifndef SLUICE_WIRE_RESP_NUMBER_H
#define SLUICE_WIRE_RESP_NUMBER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* All of text must be the number: "0", or an optional '-' and digits of which the first is not 0
 * (so neither "-0", "+1", "01" nor ""), within 64 bits; otherwise false. */
bool resp_number_parse(const uint8_t *text, size_t length, int64_t *number);

/* The usual header line, behind its type: 1 to 9 digits in that spelling, CR, and any one byte.
 * Returns what is behind them; NULL: it is unusual or not all there, look closer. */
static inline const uint8_t *resp_digits_read(const uint8_t *at, const uint8_t *end,
                                              uint32_t *number)
{
    uint32_t value, digit;

    if (end - at < 3 || (value = (uint32_t)at[0] - '0') > 9)
        return NULL;
    if (at[1] == '\r') {
        *number = value;
        return at + 3;
    }
    if (value == 0)
        return NULL;
    for (int i = 1; i < 9 && end - at > i + 2; i++) {
        digit = (uint32_t)at[i] - '0';
        if (digit > 9)
            return NULL;
        value = value * 10 + digit;
        if (at[i + 1] == '\r') {
            *number = value;
            return at + i + 3;
        }
    }
    return NULL;
}

#endif
