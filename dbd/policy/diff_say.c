#include <string.h>

#include "dbd/policy/diff_int.h"

#define NAMES_MAX	16	/* of a list */
#define WORD_MAX	80	/* octets of one of its names */
#define JSON_MAX	200	/* octets of an app's values */

/* As much of it as fits in max octets, whole characters. */
static void
say_cut(struct buf *b, struct slice s, size_t max)
{
	size_t n = s.n;

	if (n > max) {
		for (n = max; n > 0 && ((uint8_t)s.p[n] & 0xc0) == 0x80; n--)
			continue;
	}
	buf_slice(b, slice_mem(s.p, n));
	if (n < s.n)
		buf_str(b, "...");
}

/* The i-th of n names; false after the last that is written. */
static bool
say_name(struct buf *b, size_t i, size_t n, struct slice name)
{
	if (i > 0)
		buf_str(b, ", ");
	if (i < NAMES_MAX) {
		say_cut(b, name, WORD_MAX);
		return true;
	}
	buf_printf(b, "%zu more", n - i);
	return false;
}

static void
say_aliases(struct buf *b, const struct aliases *v)
{
	size_t i;

	for (i = 0; i < v->n && say_name(b, i, v->n, v->v[i].text); i++)
		continue;
	if (v->n == 0)
		buf_str(b, "nobody");
}

static void
say_strs(struct buf *b, const struct strs *v)
{
	size_t i;

	for (i = 0; i < v->n && say_name(b, i, v->n, v->v[i]); i++)
		continue;
}

void
say_app(struct buf *b, const struct policy *p, uint32_t i)
{
	const struct grant *g = &p->grant[i];
	size_t k;

	buf_str(b, "app ");
	say_aliases(b, &g->src);
	buf_str(b, " -> ");
	say_aliases(b, &g->dst);
	if (g->via.n != 0) {
		buf_str(b, " via ");
		say_aliases(b, &g->via);
	}
	buf_str(b, ": ");
	for (k = 0; k < g->napp && say_name(b, k, g->napp, g->app[k].name);
	    k++) {
		buf_u8(b, ' ');
		say_cut(b, g->app[k].json, k == 0 ? JSON_MAX : WORD_MAX / 4);
	}
}

void
say_ssh(struct buf *b, const struct policy *p, uint32_t i)
{
	const struct ssh *s = &p->ssh[i];

	buf_str(b, s->check ? "ssh check " : "ssh accept ");
	say_aliases(b, &s->src);
	buf_str(b, " -> ");
	say_aliases(b, &s->dst);
	buf_str(b, " as ");
	say_strs(b, &s->users);
	if (s->check && s->period == 0)
		buf_str(b, ", each time");
	else if (s->check)
		buf_printf(b, ", every %lld s", (long long)s->period);
	if (s->env.n != 0) {
		buf_str(b, ", with ");
		say_strs(b, &s->env);
	}
}

void
say_attr(struct buf *b, const struct policy *p, uint32_t i)
{
	buf_str(b, "nodeAttrs ");
	say_aliases(b, &p->attr[i].target);
	buf_str(b, ": ");
	say_strs(b, &p->attr[i].attr);
}

void
say_approver(struct buf *b, const struct policy *p, uint32_t i)
{
	const struct approver *a = &p->approver[i];
	char text[PREFIX_TEXT] = "exitNode";

	if (!a->exit)
		(void)prefix_print(text, &a->route);
	buf_printf(b, "autoApprovers %s: ", text);
	say_aliases(b, &a->who);
}

void
say_owner(struct buf *b, const struct policy *p, uint32_t i)
{
	buf_str(b, "tagOwners ");
	say_cut(b, p->owner[i].name, WORD_MAX);
	buf_str(b, ": ");
	say_aliases(b, &p->owner[i].member);
}
