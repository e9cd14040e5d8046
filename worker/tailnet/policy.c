/*
 * Which policy is in force.  It is switched between the owners and the nodes
 * of a batch, and every node goes from its old group to its new one.
 */

#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "worker/tailnet/filter_int.h"
#include "worker/tailnet/replica_int.h"

/* FNV-1a: only a superior's own policies are compared. */
static uint64_t
hash(const struct buf *b)
{
	uint64_t h = UINT64_C(0xcbf29ce484222325);
	size_t i;

	for (i = 0; i < b->n; i++)
		h = (h ^ b->p[i]) * UINT64_C(0x100000001b3);
	return h ^ b->n;
}

void
policy_clear(struct replica *r)
{
	buf_free(&r->blob);
	r->blob_size = 0;
}

int
replica_put_policy(struct replica *r, struct slice s)
{
	policy_clear(r);
	buf_slice(&r->blob, s);
	r->blob_size = s.n;
	return 0;
}

int
replica_put_part(struct replica *r, const struct m_db_policy_part *m)
{
	if (m->at == 0) {
		policy_clear(r);
		r->blob_size = m->size;
	}
	if (m->size == 0 || m->size > POL_MAX || m->size != r->blob_size ||
	    m->at != r->blob.n || m->octets.n == 0 ||
	    m->octets.n > m->size - m->at) {
		log_warnx("tailnet=%llu: part of a policy out of place: "
		    "%zu octets at %llu of %llu", (unsigned long long)r->id,
		    m->octets.n, (unsigned long long)m->at,
		    (unsigned long long)m->size);
		return -1;
	}
	buf_slice(&r->blob, m->octets);
	return 0;
}

/* Every node of the table, in fn. */
static void
each(struct replica *r, void (*fn)(struct replica *, struct node *))
{
	struct node *n;
	size_t i;

	for (i = 0; r->nodes.key != NULL && i <= r->nodes.mask; i++)
		if ((n = r->nodes.val[i]) != NULL)
			fn(r, n);
}

static void
carry(struct replica *r, struct node *n)
{
	struct group *from = n->group;
	bool no_ip4;

	(void)class_place(r, n);
	no_ip4 = class_no_ip4(n->class);
	if (n->no_ip4 != no_ip4) {
		n->no_ip4 = no_ip4;
		replica_note(r, n, NC_WHOLE | NC_SELF);
	}
	if (from == NULL)
		return;
	group_leave(n);
	group_join(group_of(r, n), n);
	trail_switch(r, n, from);
}

/* Takes over the ruleset. */
static void
change_over(struct replica *r, struct ruleset *rs)
{
	transits_clear(r);
	/* Before nodes leave: nobody need be told of that. */
	filters_clear(r);
	each(r, class_leave);
	ruleset_unref(r->old_rules);
	r->old_rules = r->rules;
	r->rules = rs;
	r->switch_ver = r->vary_ver = r->ver + 1;
	each(r, carry);
	r->ranged = false;
	r->changed = true;
}

/* Takes over the policy. */
static void
put_into_force(struct replica *r, struct pol *p, uint8_t kind)
{
	r->in_force = kind;
	r->blob_hash = 0;
	change_over(r, ruleset_new(p));
}

void
policy_renew(struct replica *r)
{
	/* Who was not told of the last change must not miss one. */
	if (!ruleset_is_stale(r->rules, r->old_rules != NULL))
		return;
	replica_begin(r);
	change_over(r, ruleset_again(r->rules));
	replica_finish(r);
}

static void
deny(struct replica *r, const char *why)
{
	log_warnx("tailnet=%llu: %s: all access is denied",
	    (unsigned long long)r->id, why);
	put_into_force(r, pol_builtin(false), r->policy);
}

static int
load(struct replica *r)
{
	uint64_t h = hash(&r->blob);
	const char *err = NULL;
	struct pol *p;

	if (r->in_force == POLICY_COMPILED && r->blob_hash == h)
		return 0;
	if ((p = pol_load(r->blob.p, r->blob.n, &err)) == NULL) {
		log_warnx("tailnet=%llu: bad policy: %s",
		    (unsigned long long)r->id, err);
		deny(r, "no policy that can be used");
		return -1;
	}
	put_into_force(r, p, POLICY_COMPILED);
	r->blob_hash = h;
	return 0;
}

static void
place(struct replica *r, struct node *n)
{
	replica_place(r, n, n->user, true);
}

int
replica_policy(struct replica *r)
{
	int rc = 0;

	if (r->blob.n != r->blob_size) {
		log_warnx("tailnet=%llu: a policy is not whole",
		    (unsigned long long)r->id);
		rc = -1;
	} else if (r->policy == POLICY_COMPILED) {
		if (r->blob_size != 0)
			rc = load(r);
		else if (r->in_force != POLICY_COMPILED)
			deny(r, "no policy came");
	} else if (r->policy != r->in_force)
		put_into_force(r, pol_builtin(r->policy == POLICY_ALLOW_ALL),
		    r->policy);
	policy_clear(r);
	if (r->ranged)
		each(r, place);
	r->ranged = false;
	return rc;
}

void
policy_free(struct replica *r)
{
	policy_clear(r);
	transits_clear(r);
	filters_clear(r);
	ruleset_unref(r->old_rules);
	ruleset_unref(r->rules);
}
