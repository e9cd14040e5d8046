#include <stdio.h>
#include <string.h>

#include "dbd/name_int.h"

#define SUFFIX_MAX	(1UL << 40)

static bool
is_free(struct tailnet *tn, const char *name, const struct node *self)
{
	const struct node *n;

	n = node_find_name(tn, slice_str(name));
	return n == NULL || n == self;
}

/* base and "-k", base cut so that both fit; 0 is the base alone. */
static void
suffixed(char dst[LABEL_LEN], const char *base, uint64_t k)
{
	char tail[24];
	size_t n, room;

	if (k == 0) {
		(void)strlcpy(dst, base, LABEL_LEN);
		return;
	}
	(void)snprintf(tail, sizeof(tail), "-%llu", (unsigned long long)k);
	room = LABEL_LEN - 1 - strlen(tail);
	n = strlen(base);
	if (n > room)
		n = room;
	while (n > 1 && base[n - 1] == '-')
		n--;
	memcpy(dst, base, n);
	(void)strlcpy(dst + n, tail, LABEL_LEN - n);
}

void
name_make(struct tailnet *tn, struct slice hostname, const struct node *self,
    char dst[LABEL_LEN])
{
	char base[LABEL_LEN];
	uint64_t lo = 0, hi, mid;

	dns_label(base, hostname);
	suffixed(dst, base, 0);
	if (is_free(tn, dst, self))
		return;
	/* Thousands may be called alike: not one after the other. */
	for (hi = 1; hi < SUFFIX_MAX; hi *= 2) {
		suffixed(dst, base, hi);
		if (is_free(tn, dst, self))
			break;
		lo = hi;
	}
	/* lo is taken, hi is free: close in on a pair of neighbours. */
	while (hi - lo > 1) {
		mid = lo + (hi - lo) / 2;
		suffixed(dst, base, mid);
		if (is_free(tn, dst, self))
			hi = mid;
		else
			lo = mid;
	}
	suffixed(dst, base, hi);
}

bool
name_ok(struct slice name)
{
	char label[LABEL_LEN];

	dns_label(label, name);
	return slice_eqs(name, label);
}
