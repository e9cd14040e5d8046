/* ClientInfo: what a client's login says in JSON (derp.md 3.3). */

#ifndef WORKER_RELAY_INFO_H
#define WORKER_RELAY_INFO_H

#include <stdbool.h>
#include <stddef.h>

#define INFO_APP_MAX	32
#define INFO_DEPTH	4	/* objects and arrays within each other */

/*
 * True if n octets are a ClientInfo: names in any case, unknown ones are
 * skipped.  What it says gives no right: a meshKey is checked for its form
 * and forgotten.  Else *why says what is wrong (no text of the client's).
 */
bool	info_ok(const void *, size_t n, const char **why);

#endif
