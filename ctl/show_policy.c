#include <stdlib.h>
#include <string.h>

#include "common/compat/compat.h"
#include "common/routeset.h"
#include "ctl/policy.h"
#include "ctl/show_int.h"

struct show_policy {
	enum act	 act;
	uint64_t	 node;
	struct out	*o;
	struct table	*table;
	struct buf	 json_buf;
	struct json	 json;		/* an array of rows */
	struct buf	 text;		/* get, why, diff */
	uint32_t	 version;	/* get */
};

static const struct column version_columns[] = {
	{ "VERSION", 0, true },
	{ "SET", 0, false },
	{ "BY", 1, true },
	{ "OCTETS", 3, true },
	{ "STATE", 0, false },
	{ "REASON", 2, false },
};
static const struct column route_columns[] = {
	{ "ID", 0, true },
	{ "NODE", 0, false },
	{ "ROUTE", 0, false },
	{ "STATE", 0, false },
	{ "CARRIES", 1, false },
};

struct show_policy *
show_policy_new(enum act act, uint64_t node, struct out *o)
{
	struct show_policy *s;

	s = xcalloc(1, sizeof(*s));
	s->act = act;
	s->node = node;
	s->o = o;
	if (act == A_ROUTE_LIST)
		s->table = table_new(route_columns,
		    sizeof(route_columns) / sizeof(route_columns[0]));
	else
		s->table = table_new(version_columns,
		    sizeof(version_columns) / sizeof(version_columns[0]));
	json_init(&s->json, &s->json_buf);
	json_arr(&s->json);
	return s;
}

void
show_policy_free(struct show_policy *s)
{
	if (s == NULL)
		return;
	table_free(s->table);
	buf_free(&s->json_buf);
	buf_free(&s->text);
	free(s);
}

/* History. */

static void
row_version(struct show_policy *s, const struct m_ctl_policy_version *v)
{
	struct json *j = &s->json;
	struct table *t = s->table;

	json_obj(j);
	out_json_u64(j, "version", v->version);
	out_json_time(j, "set", v->at);
	json_key(j, "uid");
	if (v->uid == UINT32_MAX)
		json_null(j);
	else
		json_u64(j, v->uid);
	out_json_u64(j, "octets", v->size);
	out_json_str(j, "kind", slice_str(v->kind == 0 ? "deny-all" :
	    v->kind == 1 ? "allow-all" : "text"));
	out_json_bool(j, "in_force", v->in_force);
	out_json_bool(j, "alarm", v->alarm);
	out_json_str(j, "reason", v->reason);
	json_end(j);

	number_cell(t, v->version);
	out_when(table_cell(t, COLOUR_NONE), v->at, s->o->now);
	if (v->uid == UINT32_MAX)
		buf_str(table_cell(t, COLOUR_NONE), "server");
	else
		buf_printf(table_cell(t, COLOUR_NONE), "uid %u", v->uid);
	number_cell(t, v->size);
	buf_str(table_cell(t, v->in_force ? COLOUR_GOOD : v->alarm ?
	    COLOUR_BAD : COLOUR_NONE), v->in_force ? "in force" : v->alarm ?
	    "not compiled" : "old");
	text_cell(t, v->reason);
}

/* Routes. */

struct row_sets {
	struct routeset	 advertised;
	struct routeset	 approved;
	struct routeset	 primary;
};

static void
row_route(struct show_policy *s, const struct r_node *n,
    const struct row_sets *is, const struct prefix *p)
{
	bool advertised = routeset_has(&is->advertised, p);
	bool approved = routeset_has(&is->approved, p);
	bool primary = routeset_has(&is->primary, p);
	char text[PREFIX_TEXT];
	struct json *j = &s->json;
	struct table *t = s->table;

	(void)prefix_print(text, p);
	json_obj(j);
	out_json_u64(j, "node_id", n->id);
	out_json_str(j, "node", n->name);
	out_json_str(j, "route", slice_str(text));
	out_json_bool(j, "advertised", advertised);
	out_json_bool(j, "approved", approved);
	out_json_bool(j, "primary", primary);
	out_json_bool(j, "exit", p->bits == 0);
	out_json_bool(j, "online", n->online);
	json_end(j);

	number_cell(t, n->id);
	text_cell(t, n->name);
	buf_str(table_cell(t, COLOUR_NONE), text);
	buf_str(table_cell(t, advertised && approved ? COLOUR_GOOD :
	    COLOUR_NONE), !advertised ? "not advertised" : approved ?
	    "approved" : "waits");
	buf_str(table_cell(t, COLOUR_NONE), primary ? "yes" :
	    p->bits == 0 ? "exit" : "-");
}

static void
row_node(struct show_policy *s, const struct r_node *n)
{
	struct msg_list it = n->hostinfo.routes;
	struct row_sets is;
	struct r_route r;

	if (s->node != 0 && s->node != n->id)
		return;
	routeset_of(&is.advertised, &n->hostinfo.routes);
	routeset_of(&is.approved, &n->approved);
	routeset_of(&is.primary, &n->primary);
	while (msg_list_next(&it, MR_ROUTE, &r))
		row_route(s, n, &is, &r.v);
	it = n->approved;
	while (msg_list_next(&it, MR_ROUTE, &r))
		if (!routeset_has(&is.advertised, &r.v))
			row_route(s, n, &is, &r.v);
	routeset_free(&is.advertised);
	routeset_free(&is.approved);
	routeset_free(&is.primary);
}

void
show_policy_row(struct show_policy *s, const struct msg *m)
{
	switch (m->type) {
	case M_CTL_POLICY_VERSION:
		s->version = m->u.ctl_policy_version.version;
		row_version(s, &m->u.ctl_policy_version);
		break;
	case M_CTL_POLICY_LINE:
		buf_slice(&s->text, m->u.ctl_policy_line.octets);
		break;
	case M_CTL_NODE:
		row_node(s, &m->u.ctl_node.node);
		break;
	default:
		break;
	}
}

/* Each line by itself: names of nodes are a peer's. */
static void
put_lines(struct show_policy *s, struct json *j)
{
	const char *p = (const char *)s->text.p, *end;
	size_t left = s->text.n, n;

	for (; left > 0; p += n, left -= n) {
		end = memchr(p, '\n', left);
		n = end == NULL ? left : (size_t)(end - p);
		if (j != NULL)
			json_str(j, slice_mem(p, n));
		else {
			out_vis(&s->o->text, slice_mem(p, n));
			buf_u8(&s->o->text, '\n');
		}
		n += end != NULL;
	}
}

static void
end_json(struct show_policy *s)
{
	struct buf b = { NULL, 0, 0 };
	struct json j;

	json_end(&s->json);
	json_init(&j, &b);
	if (s->act == A_POLICY_GET) {
		json_obj(&j);
		out_json_u64(&j, "version", s->version);
		out_json_str(&j, "text", buf_slice_of(&s->text));
		json_end(&j);
	} else if (s->act == A_POLICY_WHY || s->act == A_POLICY_DIFF) {
		json_obj(&j);
		json_key(&j, "lines");
		json_arr(&j);
		put_lines(s, &j);
		json_end(&j);
		json_end(&j);
	} else
		json_raw(&j, buf_slice_of(&s->json_buf));
	out_pretty(&s->o->text, buf_slice_of(&b));
	buf_free(&b);
}

void
show_policy_end(struct show_policy *s)
{
	if (s->o->json)
		end_json(s);
	else if (s->act == A_POLICY_GET)	/* as it was given */
		buf_slice(&s->o->text, buf_slice_of(&s->text));
	else if (s->act == A_POLICY_WHY || s->act == A_POLICY_DIFF)
		put_lines(s, NULL);
	else
		table_print(s->table, s->o);
}

static void
bad_json(struct out *o, const struct m_ctl_policy_bad *m)
{
	struct msg_list it = m->detail;
	struct buf b = { NULL, 0, 0 };
	struct r_pol_text t;
	struct json j;

	json_init(&j, &b);
	json_obj(&j);
	out_json_bool(&j, "ok", false);
	out_json_bool(&j, "tests_failed", m->tests_failed);
	out_json_u64(&j, "line", m->line);
	out_json_u64(&j, "column", m->column);
	out_json_str(&j, "text", m->text);
	json_key(&j, "detail");
	json_arr(&j);
	while (msg_list_next(&it, MR_POL_TEXT, &t))
		json_str(&j, t.v);
	json_end(&j);
	json_end(&j);
	out_pretty(&o->text, buf_slice_of(&b));
	buf_free(&b);
}

void
show_policy_bad(struct out *o, const char *file,
    const struct m_ctl_policy_bad *m)
{
	struct msg_list it = m->detail;
	struct r_pol_text t;

	buf_str(&o->err, file);
	if (m->line != 0)
		buf_printf(&o->err, ":%u:%u", m->line, m->column);
	buf_str(&o->err, ": ");
	out_vis(&o->err, m->text);
	buf_u8(&o->err, '\n');
	while (msg_list_next(&it, MR_POL_TEXT, &t)) {
		buf_str(&o->err, "\t");
		out_vis(&o->err, t.v);
		buf_u8(&o->err, '\n');
	}
	if (o->json)
		bad_json(o, m);
}

void
show_policy_ok(struct out *o, uint64_t version, const char *what)
{
	struct buf b = { NULL, 0, 0 };
	struct json j;

	if (!o->json) {
		buf_printf(&o->text, "%s\n", what);
		return;
	}
	json_init(&j, &b);
	json_obj(&j);
	out_json_bool(&j, "ok", true);
	if (version != 0)
		out_json_u64(&j, "version", version);
	json_end(&j);
	out_pretty(&o->text, buf_slice_of(&b));
	buf_free(&b);
}
