/*
 * Policies from text to tests: what is refused has a text, what is taken makes
 * a blob that loads, and both can be explained and compared.
 */

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "regress/lib/polkit.h"

int	LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static struct polkit *
world(void)
{
	struct polkit *k = polkit_new();

	(void)polkit_user(k, "a@example.com", 2);
	(void)polkit_user(k, "b@example.com", 0);
	(void)polkit_node(k, "a1", 1, "", "");
	(void)polkit_node(k, "a2", 1, "", "192.168.0.0/16");
	(void)polkit_node(k, "b1", 2, "", "");
	(void)polkit_node(k, "srv", 0, "tag:a tag:server", "");
	(void)polkit_node(k, "router", 0, "tag:router", "10.33.0.0/16 ::/0");
	(void)polkit_node(k, "wide", 0, "tag:a", "100.64.0.0/24");
	return k;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static const char other[] = "{\"acls\":[{\"action\":\"accept\",\"src\":"
	    "[\"autogroup:member\"],\"dst\":[\"autogroup:self:*\","
	    "\"10.0.0.0/8:1-100\"]}]}";
	struct slice text = slice_mem(data, n);
	struct polkit *k = world();
	struct pol *p;
	const char *why;
	int rc;

	rc = policy_compile(text, &k->info, &k->topo, &k->blob, &k->err,
	    &k->tests_failed);
	if (rc != 0 && k->text.n == 0)
		abort();
	if (rc == 0 || k->tests_failed) {
		if ((p = pol_load(k->blob.p, k->blob.n, &why)) == NULL)
			abort();
		pol_free(p);
		if (policy_why(text, &k->info, &k->topo, slice_str("a1"),
		    slice_str("10.33.0.1"), 22, &k->out, &k->err) != 0)
			abort();
		if (policy_diff(text, slice_str(other), &k->info, &k->topo,
		    50, &k->out, &k->err) != 0)
			abort();
		buf_clear(&k->out);
		if (policy_diff(text, text, &k->info, &k->topo, 50, &k->out,
		    &k->err) != 0 || !slice_eqs(buf_slice_of(&k->out),
		    "no difference\n"))
			abort();
	}
	polkit_free(k);
	return 0;
}
