/* clock: the two clocks. Monotonic microseconds for durations and deadlines, wall time for people.
 * Any thread. The query path uses loop_now_us() (net/loop.h), which reads the clock once a turn. */
#ifndef SLUICE_BASE_CLOCK_H
#define SLUICE_BASE_CLOCK_H

#include <stdint.h>
#include <time.h>

#define US_PER_MS 1000ULL
#define US_PER_S 1000000ULL

/* Microseconds of CLOCK_MONOTONIC. */
static inline uint64_t clock_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * US_PER_S + (uint64_t)now.tv_nsec / 1000;
}

/* Microseconds since 1970. */
static inline uint64_t clock_wall_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * US_PER_S + (uint64_t)now.tv_nsec / 1000;
}

#endif
