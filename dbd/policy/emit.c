#include <string.h>

#include "dbd/policy/emit_int.h"
#include "dbd/policy/policy.h"

/* As pol_load() counts them. */
static bool
too_many_sources(const struct pol *p)
{
	uint64_t n = 0;
	uint32_t i;

	for (i = 0; i < p->nrows; i++)
		n += p->src[p->row[i].src].n;
	for (i = 0; i < p->nsshs; i++)
		n += p->src[p->ssh[i].src].n;
	for (i = 0; i < p->nattrs; i++)
		n += p->src[p->attr[i].src].n;
	for (i = 0; i < p->napprovers; i++)
		n += p->src[p->approver[i].src].n;
	return n > POL_MAX_SOURCES;
}

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
	return too_many_sources(p) ? NULL : p;
}
