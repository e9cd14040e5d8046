#include <string.h>

#include "dbd/policy/arena.h"
#include "dbd/policy/world_int.h"

int
policy_compile(struct slice text, const struct tailnet_info *info,
    const struct topology *topo, struct buf *blob, struct pol_error *err,
    bool *tests_failed)
{
	struct buf own = { 0 };
	struct compiled c;
	int rc = -1;

	*tests_failed = false;
	if (compiled_make(&c, text, info, blob != NULL ? blob : &own, err)) {
		if (topo == NULL || policy_test(c.policy, c.pol, info, topo,
		    err))
			rc = 0;
		else
			*tests_failed = true;
	}
	compiled_free(&c);
	buf_free(&own);
	return rc;
}

bool
compiled_make(struct compiled *c, struct slice text,
    const struct tailnet_info *info, struct buf *blob, struct pol_error *err)
{
	struct pol *raw;
	const char *why;
	size_t from = blob->n;

	memset(c, 0, sizeof(*c));
	c->arena = arena_new(POLICY_ARENA);
	c->policy = policy_read(c->arena, text, info, err);
	if (c->policy == NULL)
		return false;
	if ((raw = policy_emit(c->arena, c->policy, info)) == NULL) {
		buf_str(err->text, "the policy is too big: it has more rules, "
		    "ports or users than can be compiled");
		return false;
	}
	pol_save(blob, raw);
	/* What the others will do with it, by the same checks. */
	c->pol = pol_load(blob->p + from, blob->n - from, &why);
	if (c->pol != NULL)
		return true;
	blob->n = from;
	buf_str(err->text, "the policy cannot be compiled: ");
	buf_str(err->text, why);
	return false;
}

void
compiled_free(struct compiled *c)
{
	pol_free(c->pol);
	arena_free(c->arena);
}
