/* DNSConfig (protocol.md 5.10) and the file of extra records. */

#ifndef WORKER_TAILNET_DNS_H
#define WORKER_TAILNET_DNS_H

#include <stddef.h>

#include "common/buf.h"

struct records;

/*
 * Parses the extra records file: a JSON array of {"name", "type", "value"},
 * type A or AAAA, as Headscale's.  Every name is checked.  NULL with
 * "name:line: ..." in why if anything is bad.
 */
struct records	*records_parse(const void *, size_t, const char *name,
		    char *why, size_t whylen);
void		 records_free(struct records *);
size_t		 records_count(const struct records *);
/* The elements of ExtraRecords as JSON, comma separated, without brackets. */
struct slice	 records_json(const struct records *);

#endif
