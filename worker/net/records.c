#include <stdlib.h>
#include <string.h>

#include "common/secret.h"
#include "common/str.h"
#include "worker/net/records.h"

#define OVERHEAD	(NOISE_HEAD + NOISE_TAG)

/* The length of the begun record, 0 while its header is not whole. */
static size_t
begun_len(const struct record_in *in)
{
	return in->have < NOISE_HEAD ? 0 : noise_record_len(in->part);
}

size_t
record_need(const struct record_in *in)
{
	if (in->have < NOISE_HEAD)
		return NOISE_HEAD - in->have;
	return begun_len(in) - in->have;
}

static size_t
keep(struct record_in *in, const uint8_t *p, size_t n)
{
	size_t need = record_need(in);

	if (n > need)
		n = need;
	if (in->part == NULL)
		in->part = xmalloc(NOISE_RECORD);
	memcpy(in->part + in->have, p, n);
	in->have += n;
	return n;
}

int
record_put(struct record_in *in, const uint8_t *p, size_t n, size_t *used,
    const uint8_t **rec, size_t *len)
{
	*used = 0;
	if (in->have == 0 && n >= NOISE_HEAD) {
		if ((*len = noise_record_len(p)) == 0)
			return -1;
		if (n >= *len) {
			*rec = p;
			*used = *len;
			return 1;
		}
	}
	while (*used < n) {
		*used += keep(in, p + *used, n - *used);
		if (in->have < NOISE_HEAD)
			return 0;
		if ((*len = begun_len(in)) == 0)
			return -1;
		if (in->have == *len) {
			*rec = in->part;
			return 1;
		}
	}
	return 0;
}

void
record_next(struct record_in *in)
{
	free(in->part);		/* ciphertext: nothing to wipe */
	in->part = NULL;
	in->have = 0;
}

void
record_in_clear(struct record_in *in)
{
	record_next(in);
	noise_key_wipe(&in->key);
}

size_t
record_room(size_t max, size_t extra)
{
	size_t unit = RECORD_BURST + OVERHEAD + extra;
	size_t n = max / unit * RECORD_BURST;
	size_t rest = max % unit;

	if (rest > OVERHEAD + extra)
		n += rest - OVERHEAD - extra;
	return n;
}

size_t
record_cut(size_t n)
{
	return n <= NOISE_PLAIN ? n : RECORD_BURST;
}
