#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "regress/lib/ctlworld.h"

static struct ctlworld *here;		/* callbacks know a wire only */

static void
on_kick(struct conn *c, void *arg)
{
	(void)c;
	(void)arg;		/* networld asks all of them */
}

/* dbd's end. */

static void
db_gets(uint32_t type, uint32_t id, const void *p, size_t n, int fd, void *arg)
{
	struct ctlworld *w = arg;
	struct cw_msg *g;

	if (fd != -1)
		fatalx("a descriptor for dbd");
	w->got = xrealloc(w->got, w->ngot + 1, sizeof(*w->got));
	w->got[w->ngot++] = g = xcalloc(1, sizeof(*g));
	buf_put(&g->body, p, n);
	if (msg_decode(&g->m, type, g->body.p, g->body.n) == -1)
		fatalx("%s for dbd does not decode", msg_name(type));
	g->m.id = id;
	g->life = w->life;
}

static void
worker_msg(struct link *l, const struct msg *m, void *tag, void *arg)
{
	struct ctlworld *w = arg;

	(void)l;
	if (control_db_msg(w->c, m, tag) == -1)
		fatalx("%s makes no sense", msg_name(m->type));
}

static void
worker_down(struct link *l, enum link_why why, void *arg)
{
	struct ctlworld *w = arg;

	(void)why;
	control_db_link(w->c, NULL);
	link_free(l);
}

void
ctlworld_db(struct ctlworld *w, bool up)
{
	struct link_conf b = { .kind = LINK_DB, .self = ROLE_WORKER,
	    .peer = ROLE_DBD, .on_msg = worker_msg, .on_down = worker_down,
	    .arg = w };

	if (w->db != NULL) {
		control_db_link(w->c, NULL);
		pair_free(w->db);
		w->db = NULL;
	}
	if (!up)
		return;
	w->life++;
	w->db = pair_new_raw(w->env, &b, db_gets, w);
	control_db_link(w->c, pair_link(w->db, PAIR_B));
	ctlworld_run(w);
}

void
cw_conf(struct m_cfg_conf_worker *c)
{
	memset(c, 0, sizeof(*c));
	c->server_url = slice_str("http://192.0.2.1:8080");
	c->base_domain = slice_str("ts.example");
	c->magic_dns = true;
	c->max_conns = 1000;
	c->handshake_s = 10;
	c->idle_s = 300;
	c->header_max = 16384;
	c->body_max = 1 << 20;
	c->keepalive_s = 50;
	c->stall_s = 60;
	c->overload_ms = 5000;
}

void
cw_conf_relay(struct m_cfg_conf_worker *c)
{
	cw_conf(c);
	c->server_url = slice_str("https://hs.example.org");
	c->relay.enabled = true;
	c->relay.host = slice_str("hs.example.org");
	c->relay.ip4 = slice_str("192.0.2.7");
	c->relay.ip6 = slice_str("none");
}

struct ctlworld *
ctlworld_new(void)
{
	struct control_ops ops = { on_kick, NULL };
	struct ctlworld *w;

	w = xcalloc(1, sizeof(*w));
	here = w;
	w->fake = fakeenv_new(1);
	w->env = fakeenv_env(w->fake);
	w->c = control_new(w->env, &ops);
	ctlworld_overload(w, 5000);
	w->net = networld_around(w->fake, control_net(w->c));
	ctlworld_db(w, true);
	return w;
}

void
ctlworld_overload(struct ctlworld *w, uint32_t ms)
{
	struct m_cfg_conf_worker c;

	cw_conf(&c);
	c.overload_ms = ms;
	control_conf(w->c, &c);
}

void
ctlworld_free(struct ctlworld *w)
{
	struct cw_ask *a;
	size_t i;

	networld_free(w->net);
	ctlworld_db(w, false);
	control_free(w->c);
	fakeenv_free(w->fake);
	for (i = 0; i < w->ngot; i++) {
		buf_free(&w->got[i]->body);
		free(w->got[i]);
	}
	free(w->got);
	while ((a = w->asks) != NULL) {
		w->asks = a->next;
		buf_free(&a->fields);
		buf_free(&a->body);
		free(a);
	}
	free(w);
	here = NULL;
}

void
ctlworld_run(struct ctlworld *w)
{
	unsigned int n;

	do {
		networld_run(w->net);
		n = w->db == NULL ? 0 : pair_run(w->db);
	} while (n != 0);
}

void
ctlworld_pass(struct ctlworld *w, uint64_t us)
{
	uint64_t step;

	for (ctlworld_run(w); us != 0; us -= step) {
		step = us < 100 * US_PER_MS ? us : 100 * US_PER_MS;
		fakeenv_advance(w->fake, step);
		ctlworld_run(w);
	}
}

size_t
cw_count(const struct ctlworld *w, enum msg_type type)
{
	size_t i, n = 0;

	for (i = 0; i < w->ngot; i++)
		n += w->got[i]->m.type == type;
	return n;
}

const struct msg *
cw_got(const struct ctlworld *w, enum msg_type type, size_t k)
{
	size_t i;

	for (i = 0; i < w->ngot; i++)
		if (w->got[i]->m.type == type && k-- == 0)
			return &w->got[i]->m;
	return NULL;
}

void
cw_say(struct ctlworld *w, struct msg *m, const struct msg *to)
{
	m->id = to == NULL ? 0 : to->id;
	pair_forge(w->db, PAIR_B, m);
	ctlworld_run(w);
}

int
ctlworld_setup(void **state)
{
	if (noise_init() == -1)
		return -1;
	*state = ctlworld_new();
	return 0;
}

int
ctlworld_teardown(void **state)
{
	ctlworld_free(*state);
	return frame_bytes() == 0 ? 0 : -1;
}

/* Clients. */

static struct cw_ask *
ask_of(void *wire, int32_t id)
{
	struct cw_ask *a;

	for (a = here->asks; a != NULL && (a->wire != wire || a->id != id);
	    a = a->next)
		;
	return a;
}

static void
on_head(struct h2_client *c, int32_t id, unsigned int status, void *arg)
{
	struct cw_ask *a = ask_of(arg, id);

	(void)c;
	if (a != NULL)
		a->status = status;
}

static void
on_field(struct h2_client *c, int32_t id, struct slice k, struct slice v,
    void *arg)
{
	struct cw_ask *a = ask_of(arg, id);

	(void)c;
	if (a != NULL)
		buf_printf(&a->fields, "%.*s: %.*s\n", SLICE_FMT(k),
		    SLICE_FMT(v));
}

static void
on_data(struct h2_client *c, int32_t id, const void *p, size_t n, void *arg)
{
	struct cw_ask *a = ask_of(arg, id);

	(void)c;
	if (a != NULL)
		buf_put(&a->body, p, n);
}

static void
on_end(struct h2_client *c, int32_t id, uint32_t error, void *arg)
{
	struct cw_ask *a = ask_of(arg, id);

	(void)c;
	if (a == NULL)
		return;
	a->ended = true;
	a->error = error;
}

struct wire *
cw_client(struct ctlworld *w, uint8_t who, uint16_t capver)
{
	struct h2_client_conf hc = { .capver = capver, .on_head = on_head,
	    .on_header = on_field, .on_data = on_data, .on_end = on_end };
	struct wire *x;

	x = wire_client(w->net, who, &hc);
	ctlworld_run(w);
	if (h2_client_state(x->client) != H2C_OPEN)
		fatalx("client not open: %s", h2_client_why(x->client));
	return x;
}

struct cw_ask *
cw_send(struct wire *x, const char *method, const char *path,
    const char *body)
{
	struct cw_ask *a;

	a = xcalloc(1, sizeof(*a));
	a->wire = x;
	a->next = here->asks;
	here->asks = a;
	a->id = h2_client_request(x->client, method, path, NULL, body,
	    body == NULL ? 0 : strlen(body));
	return a;
}

struct cw_ask *
cw_ask(struct wire *x, const char *method, const char *path, const char *body)
{
	struct cw_ask *a = cw_send(x, method, path, body);

	ctlworld_run(here);
	return a;
}

const char *
cw_raw(struct ctlworld *w, const char *fmt, ...)
{
	static char text[8192];
	char said[8192];
	struct wire *x = wire_raw(w->net);
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(said, sizeof(said), fmt, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= sizeof(said))
		fatalx("a request of %d octets", n);
	wire_send(x, said);
	ctlworld_run(w);
	(void)snprintf(text, sizeof(text), "%.*s", SLICE_FMT(buf_slice_of(
	    &x->from)));
	return text;
}

bool
cw_has(const struct cw_ask *a, const char *text)
{
	return a->body.n != 0 &&
	    memmem(a->body.p, a->body.n, text, strlen(text)) != NULL;
}

void
cw_cancel(struct cw_ask *a)
{
	h2_client_cancel(a->wire->client, a->id);
	ctlworld_run(here);
}
