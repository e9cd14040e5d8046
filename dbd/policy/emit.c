#include <string.h>

#include "dbd/policy/emit_int.h"
#include "dbd/policy/policy.h"

struct pol *
policy_emit(struct arena *a, const struct policy *policy,
    const struct tailnet_info *info)
{
	struct emit e;
	struct pol *p;

	memset(&e, 0, sizeof(e));
	e.a = a;
	e.p = policy;
	e.info = info;
	p = arena_alloc(a, sizeof(*p));
	emit_sels_init(&e);
	emit_rows(&e);
	emit_sshs(&e, p);
	emit_attrs(&e, p);
	emit_approvers(&e, p);
	emit_owners(&e, p);
	if (e.too_big)
		return NULL;
	p->sel = e.sel;
	p->nsels = e.nsels;
	p->src = e.src;
	p->nsrcs = e.nsrcs;
	p->row = e.row;
	p->nrows = e.nrows;
	return p;
}
