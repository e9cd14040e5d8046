#include <stdlib.h>
#include <string.h>

#include "common/compat/compat.h"
#include "common/ids.h"
#include "ctl/show_int.h"

struct show {
	enum act	 act;
	struct out	*o;
	struct table	*table;
	struct table	*tailnets;	/* status: the second one */
	struct table	*counters;	/* status: the last one */
	struct buf	 buf;
	struct json	 json;
	struct json	 second;	/* status: tailnets */
	struct buf	 second_buf;
	struct buf	 summary;	/* status of a single tailnet */
};

static const struct column user_columns[] = {
	{ "ID", 0, true },
	{ "NAME", 0, false },
	{ "DISPLAY", 2, false },
	{ "ROLE", 4, false },
	{ "NODES", 1, true },
	{ "CREATED", 3, false },
};
static const struct column key_columns[] = {
	{ "ID", 0, true },
	{ "KEY", 0, false },
	{ "USER", 0, false },
	{ "KIND", 2, false },
	{ "STATE", 0, false },
	{ "USED", 1, true },
	{ "EXPIRES", 3, false },
	{ "TAGS", 4, false },
	{ "CREATED", 5, false },
};
static const struct column proc_columns[] = {
	{ "PROCESS", 0, false },
	{ "SLOT", 0, true },
	{ "PID", 0, true },
	{ "STATE", 0, false },
	{ "UP", 0, true },
	{ "STARTS", 3, true },
	{ "STREAMS", 1, true },
	{ "SESSIONS", 2, true },
	{ "CONNS", 4, true },
};
static const struct column tailnet_columns[] = {
	{ "TAILNET", 0, false },
	{ "NODES", 0, true },
	{ "ONLINE", 0, true },
	{ "USERS", 2, true },
	{ "SEQ", 3, true },
	{ "POLICY", 1, false },
};
static const struct column exposed_columns[] = {
	{ "SLOT", 0, true },
	{ "GENERATION", 3, true },
	{ "NODE", 0, true },
	{ "NAME", 0, false },
	{ "FIRST", 2, false },
	{ "LAST", 0, false },
	{ "REVOKED", 0, false },
};

#define NCOLUMNS(c)	(sizeof(c) / sizeof((c)[0]))

static struct table *
table_of(enum act act)
{
	switch (act) {
	case A_USER_LIST:
		return table_new(user_columns, NCOLUMNS(user_columns));
	case A_KEY_LIST:
		return table_new(key_columns, NCOLUMNS(key_columns));
	case A_STATUS:
		return table_new(proc_columns, NCOLUMNS(proc_columns));
	case A_EXPOSURE:
		return table_new(exposed_columns, NCOLUMNS(exposed_columns));
	case A_DERP_LIST:
		return table_new(derp_columns(), DERP_COLUMNS);
	case A_CERT_LIST:
		return table_new(cert_columns(), CERT_COLUMNS);
	default:
		return table_new(node_columns(), NODE_COLUMNS);
	}
}

struct show *
show_new(enum act act, struct out *o)
{
	struct show *s;

	s = xcalloc(1, sizeof(*s));
	s->act = act;
	s->o = o;
	s->table = table_of(act);
	s->tailnets = table_new(tailnet_columns, NCOLUMNS(tailnet_columns));
	s->counters = table_new(count_columns(), COUNT_COLUMNS);
	json_init(&s->json, &s->buf);
	json_init(&s->second, &s->second_buf);
	json_arr(&s->json);
	json_arr(&s->second);
	return s;
}

void
show_free(struct show *s)
{
	if (s == NULL)
		return;
	table_free(s->table);
	table_free(s->tailnets);
	table_free(s->counters);
	buf_free(&s->buf);
	buf_free(&s->second_buf);
	buf_free(&s->summary);
	free(s);
}

static const char *
role_of(const struct r_user *u)
{
	return u->role == USER_OWNER ? "owner" : u->role == USER_ADMIN ?
	    "admin" : "member";
}

/* Rows, each in both forms. */

static void
row_user(struct show *s, const struct m_ctl_user *row)
{
	const struct r_user *u = &row->user;
	struct json *j = &s->json;

	json_obj(j);
	out_json_u64(j, "id", u->id);
	out_json_str(j, "name", u->name);
	out_json_str(j, "display", u->display);
	out_json_str(j, "role", slice_str(role_of(u)));
	out_json_u64(j, "nodes", row->nodes);
	out_json_time(j, "created", u->created);
	json_end(j);

	number_cell(s->table, u->id);
	text_cell(s->table, u->name);
	text_cell(s->table, u->display);
	text_cell(s->table, slice_str(role_of(u)));
	number_cell(s->table, row->nodes);
	out_date(table_cell(s->table, COLOUR_NONE), u->created);
}

static const char *
key_state(const struct m_ctl_key *k, int64_t now)
{
	if (k->revoked)
		return "revoked";
	if (!k->reusable && k->used > 0)
		return "used";
	if (k->expiry != 0 && k->expiry <= now)
		return "expired";
	return "valid";
}

static void
row_key(struct show *s, const struct m_ctl_key *k)
{
	const char *state = key_state(k, s->o->now);
	bool valid = strcmp(state, "valid") == 0;
	struct json *j = &s->json;

	json_obj(j);
	out_json_u64(j, "id", k->id);
	out_json_str(j, "prefix", k->prefix);
	json_key(j, "user_id");
	if (k->user == 0)
		json_null(j);
	else
		json_u64(j, k->user);
	out_json_str(j, "user", k->user_name);
	out_json_bool(j, "reusable", k->reusable);
	out_json_bool(j, "ephemeral", k->ephemeral);
	out_json_u64(j, "used", k->used);
	out_json_bool(j, "revoked", k->revoked);
	out_json_str(j, "state", slice_str(state));
	texts_json(j, "tags", &k->tags);
	out_json_time(j, "created", k->created);
	out_json_time(j, "expires", k->expiry);
	json_end(j);

	number_cell(s->table, k->id);
	text_cell(s->table, k->prefix);
	text_cell(s->table, k->user_name);
	buf_printf(table_cell(s->table, COLOUR_NONE), "%s%s", k->reusable ?
	    "reusable" : "single", k->ephemeral ? ",ephemeral" : "");
	buf_str(table_cell(s->table, valid ? COLOUR_GOOD : COLOUR_NONE),
	    state);
	number_cell(s->table, k->used);
	out_when(table_cell(s->table, COLOUR_NONE), k->expiry, s->o->now);
	texts_plain(table_cell(s->table, COLOUR_NONE), &k->tags);
	out_date(table_cell(s->table, COLOUR_NONE), k->created);
}

static void
row_node(struct show *s, const struct m_ctl_node *row)
{
	node_json(&s->json, row);
	node_cells(s->table, row, s->o->now);
}

static const char *
state_name(uint8_t state)
{
	static const char *const name[] = {
		[HEALTH_DOWN] = "down",
		[HEALTH_STARTING] = "starting",
		[HEALTH_READY] = "ready",
		[HEALTH_FULL] = "full",
		[HEALTH_SILENT] = "silent"
	};

	return state < NCOLUMNS(name) ? name[state] : "?";
}

static void
row_proc(struct show *s, const struct m_ctl_proc *p)
{
	struct json *j = &s->json;

	json_obj(j);
	out_json_str(j, "role", slice_str(role_name(p->role)));
	out_json_u64(j, "slot", p->slot);
	out_json_u64(j, "generation", p->generation);
	out_json_u64(j, "pid", p->pid);
	out_json_str(j, "state", slice_str(state_name(p->state)));
	out_json_u64(j, "uptime_seconds", p->uptime_s);
	out_json_u64(j, "starts", p->starts);
	out_json_u64(j, "streams", p->streams);
	out_json_u64(j, "sessions", p->sessions);
	out_json_u64(j, "connections", p->conns);
	count_json(j, p);
	json_end(j);

	buf_str(table_cell(s->table, COLOUR_NONE), role_name(p->role));
	if (p->slot == 0)
		text_cell(s->table, slice_str(NULL));
	else
		number_cell(s->table, p->slot);
	number_cell(s->table, p->pid);
	buf_str(table_cell(s->table, p->state == HEALTH_READY ? COLOUR_GOOD :
	    COLOUR_BAD), state_name(p->state));
	out_span(table_cell(s->table, COLOUR_NONE), p->uptime_s);
	number_cell(s->table, p->starts);
	if (p->role == ROLE_WORKER) {
		number_cell(s->table, p->streams);
		number_cell(s->table, p->sessions);
		number_cell(s->table, p->conns);
	} else {
		text_cell(s->table, slice_str(NULL));
		text_cell(s->table, slice_str(NULL));
		text_cell(s->table, slice_str(NULL));
	}
	count_cells(s->counters, p);
}

static void
row_summary(struct show *s, const struct m_ctl_summary *t)
{
	struct json *j = &s->second;

	json_obj(j);
	out_json_u64(j, "id", t->tailnet);
	out_json_str(j, "name", t->name);
	out_json_u64(j, "nodes", t->nodes);
	out_json_u64(j, "online", t->online);
	out_json_u64(j, "users", t->users);
	out_json_u64(j, "seq", t->seq);
	out_json_str(j, "policy", t->policy);
	if (t->refused.n != 0)
		out_json_str(j, "policy_file_refused", t->refused);
	json_end(j);

	buf_clear(&s->summary);
	buf_printf(&s->summary, "%u node%s, %u online, %u user%s, seq %llu, "
	    "policy %.*s\n", t->nodes, t->nodes == 1 ? "" : "s", t->online,
	    t->users, t->users == 1 ? "" : "s", (unsigned long long)t->seq,
	    SLICE_FMT(t->policy));
	text_cell(s->tailnets, t->name);
	number_cell(s->tailnets, t->nodes);
	number_cell(s->tailnets, t->online);
	number_cell(s->tailnets, t->users);
	number_cell(s->tailnets, t->seq);
	text_cell(s->tailnets, t->policy);
	if (t->refused.n == 0)
		return;
	buf_str(&s->summary, "policy file refused: ");
	out_vis(&s->summary, t->refused);
	buf_u8(&s->summary, '\n');
}

static void
row_exposed(struct show *s, const struct m_ctl_exposed *e)
{
	struct json *j = &s->json;

	json_obj(j);
	out_json_u64(j, "slot", e->slot);
	out_json_u64(j, "generation", e->generation);
	out_json_u64(j, "node_id", e->node);
	out_json_str(j, "name", e->name);
	out_json_time(j, "first", e->first);
	out_json_time(j, "last", e->last);
	out_json_bool(j, "revoked", e->revoked);
	json_end(j);

	number_cell(s->table, e->slot);
	number_cell(s->table, e->generation);
	number_cell(s->table, e->node);
	text_cell(s->table, e->name);
	out_when(table_cell(s->table, COLOUR_NONE), e->first, s->o->now);
	out_when(table_cell(s->table, COLOUR_NONE), e->last, s->o->now);
	buf_str(table_cell(s->table, COLOUR_NONE), e->revoked ? "yes" : "no");
}

void
show_row(struct show *s, const struct msg *m)
{
	switch (m->type) {
	case M_CTL_USER:
		row_user(s, &m->u.ctl_user);
		break;
	case M_CTL_KEY:
		row_key(s, &m->u.ctl_key);
		break;
	case M_CTL_NODE:
		row_node(s, &m->u.ctl_node);
		break;
	case M_CTL_PROC:
		row_proc(s, &m->u.ctl_proc);
		break;
	case M_CTL_SUMMARY:
		row_summary(s, &m->u.ctl_summary);
		break;
	case M_CTL_EXPOSED:
		row_exposed(s, &m->u.ctl_exposed);
		break;
	case M_CTL_DERP:
		derp_row(s->table, &s->json, &m->u.ctl_derp, s->o->now);
		break;
	case M_CTL_CERT:
		cert_row(s->table, &s->json, &m->u.ctl_cert, s->o->now);
		break;
	default:
		break;
	}
}

static void
end_json(struct show *s)
{
	struct buf b = { NULL, 0, 0 };
	struct json j;

	json_end(&s->json);
	json_end(&s->second);
	json_init(&j, &b);
	if (s->act == A_STATUS) {
		json_obj(&j);
		json_key(&j, "processes");
		json_raw(&j, buf_slice_of(&s->buf));
		json_key(&j, "tailnets");
		json_raw(&j, buf_slice_of(&s->second_buf));
		json_end(&j);
	} else
		json_raw(&j, buf_slice_of(&s->buf));
	out_pretty(&s->o->text, buf_slice_of(&b));
	buf_free(&b);
}

void
show_end(struct show *s)
{
	if (s->o->json) {
		end_json(s);
		return;
	}
	table_print(s->table, s->o);
	if (s->act != A_STATUS)
		return;
	if (s->o->text.n > 0)
		buf_u8(&s->o->text, '\n');
	/* Who has one tailnet need not know that there could be more. */
	if (table_rows(s->tailnets) == 1)
		buf_slice(&s->o->text, buf_slice_of(&s->summary));
	else
		table_print(s->tailnets, s->o);
	if (!s->o->verbose)
		return;
	buf_u8(&s->o->text, '\n');
	table_print(s->counters, s->o);
}

void
show_key(struct out *o, const struct m_ctl_key_made *k)
{
	struct buf b = { NULL, 0, 0 };
	struct json j;

	if (!o->json) {
		buf_slice(&o->text, k->secret);
		buf_u8(&o->text, '\n');
		return;
	}
	json_init(&j, &b);
	json_obj(&j);
	out_json_u64(&j, "id", k->id);
	out_json_str(&j, "key", k->secret);
	out_json_time(&j, "expires", k->expiry);
	json_end(&j);
	out_pretty(&o->text, buf_slice_of(&b));
	buf_wipe(&b);
}

void
show_done(struct out *o, uint64_t id, const char *what, struct slice text)
{
	struct buf b = { NULL, 0, 0 };
	struct json j;

	if (!o->json) {
		buf_str(&o->text, what);
		if (text.n > 0) {
			buf_str(&o->text, ": ");
			out_vis(&o->text, text);
		}
		buf_u8(&o->text, '\n');
		return;
	}
	json_init(&j, &b);
	json_obj(&j);
	if (id != 0)
		out_json_u64(&j, "id", id);
	if (text.n > 0)
		out_json_str(&j, "text", text);
	json_end(&j);
	out_pretty(&o->text, buf_slice_of(&b));
	buf_free(&b);
}
