#include <string.h>

#include "dbd/policy/arena.h"
#include "dbd/policy/world_int.h"

int
policy_compile(struct slice text, const struct tailnet_info *info,
    const struct topology *topo, struct buf *blob, struct pol_error *err,
    bool *tests_failed)
{
	struct buf own = { 0 };
	size_t from = blob != NULL ? blob->n : 0;
	struct compiled c;
	int rc = -1;

	*tests_failed = false;
	if (compiled_make(&c, text, info, blob != NULL ? blob : &own, err)) {
		if (topo != NULL && topo->unknown && (c.policy->ntests != 0 ||
		    c.policy->nssh_tests != 0)) {
			rc = POLICY_WANTS_NODES;
			if (blob != NULL)
				blob->n = from;
		} else if (topo == NULL || policy_test(c.policy, c.pol, info,
		    topo, err))
			rc = 0;
		else
			*tests_failed = true;
	}
	compiled_free(&c);
	buf_free(&own);
	return rc;
}

struct making {
	struct compiled	*c;
	struct slice	 text;
	const struct tailnet_info *info;
	struct buf	*blob;
	struct pol_error *err;
};

static void
make(void *arg)
{
	struct making *m = arg;
	struct compiled *c = m->c;
	struct pol *raw;
	const char *why;
	size_t from = m->blob->n;

	c->policy = policy_read(c->arena, m->text, m->info, m->err);
	if (c->policy == NULL)
		return;
	if ((raw = policy_emit(c->arena, c->policy, m->info)) == NULL) {
		buf_str(m->err->text, "the policy is too big: its rules have "
		    "more sources, ports or users in all than can be "
		    "compiled");
		return;
	}
	pol_save(m->blob, raw);
	/* What the others will do with it, by the same checks. */
	c->pol = pol_load(m->blob->p + from, m->blob->n - from, &why);
	if (c->pol != NULL)
		return;
	m->blob->n = from;
	buf_str(m->err->text, "the policy cannot be compiled: ");
	buf_str(m->err->text, why);
}

bool
compiled_make(struct compiled *c, struct slice text,
    const struct tailnet_info *info, struct buf *blob, struct pol_error *err)
{
	struct making m = { c, text, info, blob, err };

	memset(c, 0, sizeof(*c));
	c->arena = arena_new(POLICY_ARENA);
	if (!arena_run(c->arena, make, &m))
		compiled_no_room(err);
	return c->pol != NULL;
}

void
compiled_no_room(struct pol_error *err)
{
	buf_clear(err->text);
	buf_clear(err->detail);
	memset(&err->pos, 0, sizeof(err->pos));
	buf_printf(err->text, "the policy is too big: it needs more than %zu "
	    "octets of memory to be compiled", POLICY_ARENA);
}

void
compiled_free(struct compiled *c)
{
	pol_free(c->pol);
	arena_free(c->arena);
}
