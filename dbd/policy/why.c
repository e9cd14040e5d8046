#include <stdlib.h>
#include <string.h>

#include "dbd/policy/arena.h"
#include "dbd/policy/lex.h"
#include "dbd/policy/world_int.h"

#define MORE	"... and more\n"

/* One end of the question. */
struct end {
	struct items	 items;
	uint64_t	*sels;		/* selectors that overlap any of it */
	bool		*node;		/* nodes of it */
};

struct why {
	struct compiled	 c;
	struct world	 w;
	const struct tailnet_info *info;
	const struct topology *topo;
	struct slice	 from, to;
	struct end	 src, dst;
	struct pol_error *err;
	int		 rc;
	uint16_t	 port;
	struct buf	*out;
	size_t		 n;		/* rows that were told */
};

/* A node's name is no alias; a host of the policy comes before it. */
static bool
is_node(struct why *y, struct slice name, struct items *v)
{
	const struct topology *t = y->w.topo;
	size_t i;

	for (i = 0; i < t->nnodes; i++)
		if (slice_eq(t->node[i].name, name)) {
			world_node(&y->w, v, (uint32_t)i);
			return true;
		}
	return false;
}

/* A user's name alone is that of a host, where people mean the user. */
static bool
no_name(struct why *y, struct slice name, struct pol_error *err)
{
	const char *s = world_quote(&y->w, name);

	buf_printf(err->text, "no node or host has the name %s: a user is "
	    "written with @ at the end, %.*s@\"", s, (int)strlen(s) - 1, s);
	return false;
}

static bool
find_end(struct why *y, struct slice text, struct items *v,
    struct pol_error *err)
{
	const struct policy *p = y->w.e.p;
	struct alias al;
	const char *why = "no alias, address or node";
	size_t i;

	memset(&al, 0, sizeof(al));
	if (lex_alias(&al, lex_trim(text))) {
		for (i = 0; al.kind == AL_HOST && i < p->nhosts; i++)
			if (slice_eq(p->host[i].name, al.text))
				al.prefix = p->host[i].prefix;
		if (al.kind == AL_HOST && al.prefix.addr.family == 0)
			return is_node(y, al.text, v) || no_name(y, al.text,
			    err);
		if (al.kind == AL_AUTO && al.ag == AG_SELF)
			world_own(&y->w, &y->src.items, v);
		else if (!world_items(&y->w, &al, v, &why))
			goto unknown;
		if (v->n != 0)
			return true;
		why = "nobody has an address by";
	}
 unknown:
	buf_printf(err->text, "%s: %s", why, world_quote(&y->w, text));
	return false;
}

static void
fill_end(struct why *y, struct end *e)
{
	struct world *w = &y->w;
	const uint64_t *one;
	size_t words = POL_WORDS(w->pol), k, from, to;
	uint32_t i;

	e->sels = xcalloc(words + 1, sizeof(*e->sels));
	e->node = xcalloc(w->topo->nnodes + 1, sizeof(*e->node));
	for (i = 0; i < e->items.n; i++) {
		one = world_sels(w, &e->items.v[i]);
		for (k = 0; k < words; k++)
			e->sels[k] |= one[k];
		world_places(w, &e->items.v[i], &from, &to);
		for (; from < to; from++)
			e->node[w->place[from].node] = true;
	}
}

static bool
port_ok(const struct pol_dst *d, uint16_t port)
{
	uint32_t i;

	for (i = 0; i < d->nports; i++)
		if (port == 0 || (d->port[i].first <= port &&
		    port <= d->port[i].last))
			return true;
	return false;
}

/* Two devices of one user, the first among the row's sources. */
static bool
self_ok(struct why *y, const struct pol_row *r)
{
	const struct topology *t = y->w.topo;
	const struct pol_node *f;
	struct users u = { NULL, 0, true };
	uint32_t i;
	bool ok = false;

	world_users(&y->w, &y->dst.items, &u);
	for (i = 0; i < t->nnodes && !ok; i++) {
		f = &t->node[i].facts;
		ok = y->src.node[i] && f->ntags == 0 &&
		    users_have(&u, f->user) && world_is_src(&y->w, r->src, i);
	}
	users_free(&u);
	return ok;
}

static bool
src_ok(struct why *y, const struct pol_row *r)
{
	const struct pol_src *s = &y->w.pol->src[r->src];
	uint32_t i;

	for (i = 0; i < s->n; i++)
		if (POL_HIT(y->src.sels, s->sel[i]))
			return true;
	return false;
}

static void
say_ports(struct why *y, const struct pol_row *r, const struct pol_dst *d)
{
	char name[4];
	uint32_t i;

	buf_printf(y->out, " %s:", r->proto == 0 ? "any protocol" :
	    lex_proto_name(r->proto, name));
	for (i = 0; i < d->nports; i++) {
		if (i > 0)
			buf_str(y->out, ",");
		if (i == 16) {
			buf_str(y->out, "...");
			break;
		}
		if (d->port[i].first == 0 && d->port[i].last == 65535)
			buf_str(y->out, "*");
		else if (d->port[i].first == d->port[i].last)
			buf_printf(y->out, "%u", d->port[i].first);
		else
			buf_printf(y->out, "%u-%u", d->port[i].first,
			    d->port[i].last);
	}
}

static void
say_place(struct why *y, const struct pol_prov *v)
{
	static const char *const section[] = {
		"grants", "acls", "ssh", "nodeAttrs", "autoApprovers"
	};

	y->n++;
	if (v->section == POL_DEFAULT)
		buf_str(y->out, "default: no acls and no grants, so all is "
		    "allowed:");
	else
		buf_printf(y->out, "%s[%u], line %u, column %u:",
		    section[v->section], v->index, v->line, v->column);
}

static void
say_via(struct why *y, const struct pol_row *r)
{
	uint32_t i;
	struct slice tag;

	for (i = 0; i < r->nvia; i++) {
		tag = y->w.pol->sel[r->via[i]].text;
		buf_printf(y->out, "%s %.*s", i == 0 ? " via" : " or",
		    SLICE_FMT(tag));
	}
}

/* One row: is it an answer, and what does it allow? */
static void
tell_row(struct why *y, const struct pol_row *r)
{
	const struct pol_dst *d = NULL;
	uint32_t i;

	if ((r->flags & POL_ROW_SELF) != 0) {
		if (((r->flags & POL_ROW_APP) == 0 &&
		    !port_ok(r->dst, y->port)) || !self_ok(y, r))
			return;
		d = r->dst;
	} else if (!src_ok(y, r))
		return;
	for (i = 0; d == NULL && i < r->ndst; i++)
		if (POL_HIT(y->dst.sels, r->dst[i].sel) &&
		    (r->dst[i].nports == 0 || port_ok(&r->dst[i], y->port)))
			d = &r->dst[i];
	if (d == NULL)
		return;
	if ((r->flags & POL_ROW_APP) != 0 && y->port != 0)
		return;
	say_place(y, &r->prov);
	if ((r->flags & POL_ROW_APP) != 0)
		buf_printf(y->out, " capabilities %.*s",
		    (int)(r->caps.n < 200 ? r->caps.n : 200), r->caps.p);
	else
		say_ports(y, r, d);
	if ((r->flags & POL_ROW_SELF) != 0)
		buf_str(y->out, " (autogroup:self)");
	say_via(y, r);
	buf_str(y->out, "\n");
}

static void
tell(struct why *y)
{
	const struct pol *p = y->w.pol;
	size_t n;
	uint32_t i;

	for (i = 0; i < p->nrows; i++) {
		n = y->out->n;
		tell_row(y, &p->row[i]);
		if (y->out->n > POLICY_OUT_MAX - sizeof(MORE)) {
			y->out->n = n;
			buf_str(y->out, MORE);
			return;
		}
	}
}

static void
ask(void *arg)
{
	struct why *y = arg;

	world_init(&y->w, y->c.arena, y->c.policy, y->c.pol, y->info,
	    y->topo);
	if (!find_end(y, y->from, &y->src.items, y->err) ||
	    !find_end(y, y->to, &y->dst.items, y->err))
		return;
	fill_end(y, &y->src);
	fill_end(y, &y->dst);
	tell(y);
	if (y->n == 0)
		buf_printf(y->out, "no rule lets %.*s reach %.*s\n",
		    SLICE_FMT(y->from), SLICE_FMT(y->to));
	y->rc = 0;
}

int
policy_why(struct slice text, const struct tailnet_info *info,
    const struct topology *topo, struct slice src, struct slice dst,
    uint16_t port, struct buf *out, struct pol_error *err)
{
	struct buf blob = { NULL, 0, 0 };
	struct why y;

	memset(&y, 0, sizeof(y));
	y.info = info;
	y.topo = topo;
	y.from = src;
	y.to = dst;
	y.port = port;
	y.out = out;
	y.err = err;
	y.rc = -1;
	if (compiled_make(&y.c, text, info, &blob, err)) {
		if (!arena_run(y.c.arena, ask, &y))
			compiled_no_room(err);
		items_free(&y.src.items);
		items_free(&y.dst.items);
		free(y.src.sels);
		free(y.dst.sels);
		free(y.src.node);
		free(y.dst.node);
		world_free(&y.w);
	}
	compiled_free(&y.c);
	buf_free(&blob);
	return y.rc;
}
