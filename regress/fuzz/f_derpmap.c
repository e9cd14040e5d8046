/*
 * The DERP map's file, and one from a URL: what passes is its own canonical
 * form, and of a URL nothing passes that is root's alone to say.
 */

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "worker/tailnet/derpmap.h"

int	LLVMFuzzerTestOneInput(const uint8_t *, size_t);

typedef struct derpmap *parser(const void *, size_t, const char *, char *,
		    size_t);

static void
on_line(int level, const char *text, void *arg)
{
	(void)level;
	(void)text;
	(void)arg;
}

/* As a key: in a string the quote before the colon would be escaped. */
static void
lacks(const struct derpmap *d, const char *key)
{
	struct slice s = derpmap_json(d);

	if (memmem(s.p, s.n, key, strlen(key)) != NULL)
		abort();
}

static void
check(parser *parse, const uint8_t *p, size_t n)
{
	struct derpmap *d, *again;
	struct r_derp_node node;
	struct msg_list it;
	char why[64];

	if ((d = parse(p, n, "fuzz", why, sizeof(why))) == NULL)
		return;
	if (parse == derpmap_parse_remote) {
		lacks(d, "\"InsecureForTests\":");
		lacks(d, "\"STUNTestIP\":");
		lacks(d, "\"CertName\":");
		lacks(d, "\"omitDefaultRegions\":");
		it = derpmap_nodes(d);
		while (msg_list_next(&it, MR_DERP_NODE, &node))
			if (node.insecure)
				abort();
	}
	if (derpmap_regions(d) == 0) {
		/* Only nulls: it takes away, and is no map by itself. */
		derpmap_free(d);
		return;
	}
	again = parse(derpmap_json(d).p, derpmap_json(d).n, "again", why,
	    sizeof(why));
	if (again == NULL || derpmap_regions(d) != derpmap_regions(again) ||
	    !slice_eq(derpmap_json(d), derpmap_json(again)))
		abort();
	derpmap_free(d);
	derpmap_free(again);
}

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	log_capture(on_line, NULL);
	check(derpmap_parse, p, n);
	check(derpmap_parse_remote, p, n);
	return 0;
}
