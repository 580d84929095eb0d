/* ensure: assertions about our own mistakes. They stay on in release builds: a pooler that has lost
 * track of whose bytes it holds must stop rather than go on. What a peer sends is never checked
 * with it. Any thread. */
#ifndef SLUICE_BASE_ENSURE_H
#define SLUICE_BASE_ENSURE_H

/* Logs the condition and its place, then aborts. */
_Noreturn void ensure_failed(const char *condition, const char *file, int line);

#define ensure(condition) \
    (__builtin_expect(!(condition), 0) ? ensure_failed(#condition, __FILE__, __LINE__) : (void)0)

#endif
