/* Small things that the answers of servers are made of. */

#ifndef WORKER_FETCH_TEXT_H
#define WORKER_FETCH_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/str.h"

/*
 * A peer's text that is good for messages and logs: octets that are no UTF-8
 * and control characters become '?' and spaces; cut to n - 1 octets at a
 * character's end.
 */
void	text_clean(char *dst, size_t n, struct slice);
/* An https URL of printable ASCII with a host, at most ASK_URL_MAX octets. */
bool	text_url_ok(struct slice);
/* One or more of the base64url alphabet (RFC 4648 5), no padding. */
bool	text_b64url_ok(struct slice);
/* A host's name or an address: what a certificate may be for. */
bool	text_name_ok(struct slice);
/* Both are the same such name, an address however it is written. */
bool	text_name_eq(struct slice, struct slice);
/*
 * Seconds that a Retry-After (RFC 9110 10.2.3) tells to wait: a number or a
 * date, which is compared with now (Unix seconds).  At most 30 days; 0 if it
 * is empty, malformed or past.
 */
uint32_t text_retry_after(const char *, int64_t now);

#endif
