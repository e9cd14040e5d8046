#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "dbd/policy_int.h"
#include "regress/lib/dbdask.h"

static char logged[2048];

static void
die(const char *what, const char *why)
{
	fprintf(stderr, "dbdask: %s: %s\n", what, why);
	abort();
}

static void
on_log(int level, const char *line, void *arg)
{
	(void)level;
	(void)arg;
	if (strlcat(logged, line, sizeof(logged)) >= sizeof(logged))
		logged[0] = '\0';
}

void
ask_log(void)
{
	logged[0] = '\0';
	log_capture(on_log, NULL);
}

const char *
ask_logged(void)
{
	return logged;
}

struct dbdworld *
ask_world(struct dbdworker **k, struct dbdworker **k2, uint64_t *alice,
    const char **key)
{
	struct dbdworld *w;

	ask_log();
	w = dw_new();
	*k = dw_worker(w, 1, 1);
	if (k2 != NULL)
		*k2 = dw_worker(w, 2, 1);
	*alice = ask_user(w, "alice");
	*key = ask_key(w, *alice, true, false, 0, NULL);
	return w;
}

int
ask_teardown(void **state)
{
	dw_free(*state);
	log_capture(NULL, NULL);
	return 0;
}

uint64_t
ask_seq(struct dbdworld *w)
{
	return tailnet_default(dw_dbd(w))->seq;
}

const char *
ask_differs(struct dbdworker *k, struct dbdworker *k2)
{
	const char *why = NULL;

	if (dw_holds(k))
		why = dw_differs(k);
	if (why == NULL && dw_holds(k2))
		why = dw_differs(k2);
	return why;
}

uint64_t
ask_user(struct dbdworld *w, const char *name)
{
	char why[256] = "";
	uint64_t id;

	if (op_user_add(dw_dbd(w), slice_str(name), slice_str("Shown"), &id,
	    0, why, sizeof(why)) == -1)
		die("user", why);
	dw_run(w);
	return id;
}

const char *
ask_key(struct dbdworld *w, uint64_t user, bool reusable, bool ephemeral,
    uint64_t expires_s, const char *tag)
{
	static char text[4][AUTHKEY_TEXT];
	static unsigned int turn;
	struct buf b = { NULL, 0, 0 };
	struct key_spec spec;
	struct key_made made;
	struct r_text t;
	char why[256] = "";
	char *dst = text[turn++ % 4];

	memset(&spec, 0, sizeof(spec));
	spec.user = user;
	spec.reusable = reusable;
	spec.ephemeral = ephemeral;
	spec.expires_s = expires_s;
	if (tag != NULL) {
		t.v = slice_str(tag);
		msg_list_add(&spec.tags, &b, MR_TEXT, &t);
	}
	msg_list_close(&spec.tags, &b);
	if (op_key_create(dw_dbd(w), &spec, &made, 0, why, sizeof(why)) == -1)
		die("key", why);
	buf_free(&b);
	dw_run(w);
	(void)strlcpy(dst, made.secret, AUTHKEY_TEXT);
	return dst;
}

static void
key_of(uint8_t key[KEY_LEN], char kind, uint32_t n)
{
	if (n == 0)
		memset(key, 0, KEY_LEN);
	else
		dw_key(key, kind, n);
}

void
ask_reg_msg(struct dbdworker *k, const struct ask_reg *a, struct msg *m,
    struct buf *b)
{
	struct m_db_reg *q;
	struct r_text tag;

	msg_init(m, M_DB_REG);
	q = &m->u.db_reg;
	dw_ticket(k, a->machine, a->serial == 0 ? 1 : a->serial, &q->ticket);
	key_of(q->node_key, 'n', a->key);
	key_of(q->old_node_key, 'n', a->old);
	dw_key(q->nl_key, 'l', a->machine);
	q->auth_key = slice_str(a->auth);
	q->has_auth = a->auth != NULL;
	q->expiry = a->expiry;
	q->has_expiry = a->expiry != 0;
	q->followup = slice_str(a->followup);
	q->ephemeral = a->ephemeral;
	q->hostinfo.hostname = slice_str(a->host == NULL ? "host" : a->host);
	q->hostinfo.os = slice_str("linux");
	if (a->tag != NULL) {
		tag.v = slice_str(a->tag);
		msg_list_add(&q->hostinfo.request_tags, b, MR_TEXT, &tag);
	}
	msg_list_close(&q->hostinfo.request_tags, b);
}

uint32_t
ask_reg_send(struct dbdworker *k, const struct ask_reg *a)
{
	struct buf b = { NULL, 0, 0 };
	struct msg m;
	uint32_t id;

	ask_reg_msg(k, a, &m, &b);
	id = dw_send(k, &m);
	buf_free(&b);
	return id;
}

const struct msg *
ask_reg(struct dbdworker *k, const struct ask_reg *a)
{
	const struct msg *m;
	uint32_t id;

	id = ask_reg_send(k, a);
	dw_run(dw_world(k));
	if ((m = dw_reply(k, id)) == NULL)
		die("register", "no reply");
	return m;
}

uint64_t
ask_join(struct dbdworker *k, uint32_t machine, uint32_t key, const char *auth,
    const char *host)
{
	struct ask_reg a;
	const struct msg *m;
	char text[256];

	memset(&a, 0, sizeof(a));
	a.machine = machine;
	a.key = key;
	a.auth = auth;
	a.host = host;
	m = ask_reg(k, &a);
	if (m->type == M_DB_REG_OK && !m->u.db_reg_ok.key_expired)
		return m->u.db_reg_ok.node;
	(void)snprintf(text, sizeof(text), "%.*s", m->type == M_DB_REG_NO ?
	    (int)m->u.db_reg_no.text.n : 0, m->type == M_DB_REG_NO ?
	    m->u.db_reg_no.text.p : "");
	die("join", text);
	return 0;
}

bool
ask_refused(const struct msg *m, const char *text)
{
	struct slice is;

	if (m->type == M_DB_REG_NO)
		is = m->u.db_reg_no.text;
	else if (m->type == M_DB_MAP_NO)
		is = m->u.db_map_no.text;
	else if (m->type == M_DB_LITE_NO)
		is = m->u.db_lite_no.text;
	else
		return false;
	if (slice_eqs(is, text))
		return true;
	fprintf(stderr, "refused with: %.*s\n", SLICE_FMT(is));
	return false;
}

const struct msg *
ask_open(struct dbdworker *k, uint32_t machine, uint64_t serial, uint32_t key,
    uint64_t stream)
{
	const struct msg *r;
	struct msg m;
	uint32_t id;

	msg_init(&m, M_DB_MAP_OPEN);
	dw_ticket(k, machine, serial, &m.u.db_map_open.ticket);
	key_of(m.u.db_map_open.node_key, 'n', key);
	m.u.db_map_open.stream = stream;
	m.u.db_map_open.h2 = 5;
	m.u.db_map_open.capver = 131;
	id = dw_send(k, &m);
	dw_run(dw_world(k));
	if ((r = dw_reply(k, id)) == NULL)
		die("open", "no reply");
	return r;
}

void
ask_stream(struct dbdworker *k, uint32_t machine, uint64_t serial,
    uint32_t key, uint64_t stream, uint64_t node)
{
	const struct msg *r;
	struct msg m;

	r = ask_open(k, machine, serial, key, stream);
	if (r->type != M_DB_MAP_OK)
		die("open", "refused");
	msg_init(&m, M_DB_MAP_STARTED);
	m.u.db_map_started.tailnet = r->u.db_map_ok.tailnet;
	m.u.db_map_started.node = node;
	m.u.db_map_started.generation = r->u.db_map_ok.generation;
	(void)dw_send(k, &m);
	dw_run(dw_world(k));
}

void
ask_close(struct dbdworker *k, uint64_t node, uint64_t stream)
{
	struct msg m;

	msg_init(&m, M_DB_MAP_CLOSE);
	m.u.db_map_close.tailnet = tailnet_default(dw_dbd(dw_world(k)))->id;
	m.u.db_map_close.node = node;
	m.u.db_map_close.generation = stream;
	(void)dw_send(k, &m);
	dw_run(dw_world(k));
}

void
ask_lite_msg(struct dbdworker *k, const struct ask_lite *a, struct msg *m,
    struct buf *b)
{
	struct m_db_map_lite *q;
	struct r_addr ep;

	msg_init(m, M_DB_MAP_LITE);
	q = &m->u.db_map_lite;
	dw_ticket(k, a->machine, a->serial == 0 ? 1 : a->serial, &q->ticket);
	q->h2 = a->h2;
	key_of(q->node_key, 'n', a->key);
	key_of(q->disco_key, 'd', a->disco);
	q->capver = 131;
	q->home_derp = a->derp;
	if (a->port != 0) {
		memset(&ep, 0, sizeof(ep));
		(void)ip_parse(&ep.v.addr, slice_str("192.0.2.1"));
		ep.v.port = a->port;
		msg_list_add(&q->endpoints, b, MR_ADDR, &ep);
	}
	msg_list_close(&q->endpoints, b);
	if (a->host != NULL) {
		q->has_hostinfo = true;
		q->hostinfo.hostname = slice_str(a->host);
		q->hostinfo.os = slice_str("linux");
	}
}

uint32_t
ask_lite_send(struct dbdworker *k, const struct ask_lite *a)
{
	struct buf b = { NULL, 0, 0 };
	struct msg m;
	uint32_t id;

	ask_lite_msg(k, a, &m, &b);
	id = dw_send(k, &m);
	buf_free(&b);
	return id;
}

const struct msg *
ask_lite(struct dbdworker *k, const struct ask_lite *a)
{
	uint32_t id;

	id = ask_lite_send(k, a);
	dw_run(dw_world(k));
	return dw_reply(k, id);
}

struct msg_list
ask_prefixes(struct buf *b, const char *prefixes)
{
	char *copy = xstrdup(prefixes), *p = copy, *one;
	struct msg_list list;
	struct r_route r;

	memset(&list, 0, sizeof(list));
	while ((one = strsep(&p, " ")) != NULL) {
		if (*one == '\0')
			continue;
		if (!prefix_parse(&r.v, slice_str(one)))
			die("prefix", one);
		msg_list_add(&list, b, MR_ROUTE, &r);
	}
	msg_list_close(&list, b);
	free(copy);
	return list;
}

struct msg_list
ask_tag(struct buf *b, const char *tag)
{
	struct msg_list list;
	struct r_text t = { .v = slice_str(tag) };

	memset(&list, 0, sizeof(list));
	msg_list_add(&list, b, MR_TEXT, &t);
	msg_list_close(&list, b);
	return list;
}

const char *
ask_print(struct msg_list it)
{
	static char text[512];
	char one[PREFIX_TEXT];
	struct r_route r;

	text[0] = '\0';
	while (msg_list_next(&it, MR_ROUTE, &r)) {
		(void)prefix_print(one, &r.v);
		(void)strlcat(text, one, sizeof(text));
		(void)strlcat(text, " ", sizeof(text));
	}
	return text;
}

void
ask_advertise(struct dbdworker *k, uint32_t n, uint32_t h2,
    const char *prefixes)
{
	struct ask_lite a = { .machine = n, .key = n, .disco = n,
	    .host = "router", .h2 = h2 };
	struct buf b = { NULL, 0, 0 }, routes = { NULL, 0, 0 };
	struct msg m;

	ask_lite_msg(k, &a, &m, &b);
	m.u.db_map_lite.hostinfo.routes = ask_prefixes(&routes, prefixes);
	(void)dw_send(k, &m);
	dw_run(dw_world(k));
	buf_free(&b);
	buf_free(&routes);
}

static int
on_policy(const struct policy_row *r, void *arg)
{
	struct ask_policy_row *row = arg;

	row->version = r->version;
	row->uid = r->uid;
	row->blob = r->blob.n;
	(void)slice_copy(row->text, sizeof(row->text), r->text);
	(void)slice_copy(row->reason, sizeof(row->reason), r->reason);
	return 0;
}

struct ask_policy_row
ask_stored(struct dbdworld *w, uint32_t version)
{
	struct ask_policy_row row;

	memset(&row, 0, sizeof(row));
	if (store_find_policy(dw_store(w), dw_tailnet(w)->id, version,
	    on_policy, &row) != 1)
		die("policy", "no such version");
	return row;
}

static void
on_set(const struct job_result *r, void *arg)
{
	if (r != NULL)
		*(bool *)arg = r->ok;
}

void
ask_policy(struct dbdworld *w, const char *text)
{
	char why[256] = "refused";
	bool ok = false;

	if (op_policy_set(dw_tailnet(w), slice_str(text), slice_str(""), 0,
	    on_set, &ok, why, sizeof(why)) == -1)
		die("policy", why);
	dw_run(w);
	if (!ok)
		die("policy", why);
}

static int
on_result(const struct result_row *row, void *arg)
{
	(void)row;
	(void)arg;
	return 0;
}

int
ask_result(struct dbdworld *w, uint16_t slot, uint64_t generation,
    uint32_t request)
{
	return store_find_result(dw_store(w), slot, generation, request,
	    on_result, NULL);
}
