#include "dbd/dbd_int.h"
#include "regress/lib/dbdworld_int.h"

/* The policy compiler of a dbdworld. */

static void
policyc_msg(struct link *l, const struct msg *m, void *tag, void *arg)
{
	struct dbdworld *w = arg;

	(void)tag;
	if (!fakepolicyc_msg(w->policyc, l, m))
		link_eof(l);
}

static void
policyc_down(struct link *l, enum link_why why, void *arg)
{
	(void)why;
	(void)arg;
	link_free(l);
}

static void
pol_msg(struct link *l, const struct msg *m, void *tag, void *arg)
{
	struct dbdworld *w = arg;

	(void)tag;
	dbd_pol_msg(w->d, l, m);
}

static void
pol_down(struct link *l, enum link_why why, void *arg)
{
	struct dbdworld *w = arg;

	(void)why;
	dbd_pol_down(w->d, l);
	link_free(l);
}

void
dw_policyc_start(struct dbdworld *w)
{
	struct link_conf a, b;

	w->wants_policyc = false;
	if (w->no_policyc) {
		dbd_pol_failed(w->d, slice_str("no such program"));
		return;
	}
	dw_policyc_drop(w);	/* its job is over */
	w->policyc = fakepolicyc_new();
	w->policycs++;
	pair_confs(&a, &b, LINK_POL, ROLE_POLICYC, ROLE_DBD, w);
	a.on_msg = policyc_msg;
	a.on_down = policyc_down;
	b.on_msg = pol_msg;
	b.on_down = pol_down;
	w->pol = pair_new(fakeenv_env(w->fe), &a, &b);
	dbd_pol_up(w->d, pair_link(w->pol, PAIR_B));
}

void
dw_policyc_drop(struct dbdworld *w)
{
	pair_free(w->pol);
	w->pol = NULL;
	fakepolicyc_free(w->policyc);
	w->policyc = NULL;
}

unsigned int
dw_policycs(const struct dbdworld *w)
{
	return w->policycs;
}

struct fakepolicyc *
dw_policyc(struct dbdworld *w)
{
	return w->policyc;
}

void
dw_policyc_allowed(struct dbdworld *w, bool allowed)
{
	w->no_policyc = !allowed;
}

void
dw_policyc_late(struct dbdworld *w, bool late)
{
	w->policyc_waits = late;
}

void
dw_policyc_kill(struct dbdworld *w)
{
	if (w->pol == NULL)
		return;
	if (pair_link(w->pol, PAIR_A) != NULL)
		pair_kill(w->pol, PAIR_A);
	while (pair_step(w->pol, PAIR_B))
		;
	dw_policyc_drop(w);
}
