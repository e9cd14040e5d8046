#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "regress/lib/gojson.h"
#include "regress/lib/server_int.h"
#include "regress/sim/vfs.h"
#include "worker/tailnet/derpmap.h"

#define SLICE		32768
#define HOP_US		20	/* one move of a connection */

static const char derpmap[] = "{\"Regions\":{\"900\":{\"RegionID\":900,"
    "\"RegionCode\":\"me\",\"RegionName\":\"Mine\",\"Nodes\":[{"
    "\"Name\":\"900a\",\"RegionID\":900,\"HostName\":\"derp.example\"}]}}}";

/* A client's end of a connection has something to do. */

static void
release(struct tcp *t)
{
	t->events--;
	if (t->freed && t->events == 0)
		free(t);
}

static void
gone(struct tcp *t)
{
	t->conn = NULL;
	t->closed = true;
}

static bool
to_server(struct tcp *t)
{
	size_t max = t->piece != 0 ? t->piece : SLICE, n;
	uint8_t b[SLICE];

	if (t->conn == NULL || !conn_wants_input(t->conn))
		return false;
	if (t->client != NULL)
		n = h2_client_output(t->client, b, max);
	else {
		n = t->to.n < max ? t->to.n : max;
		if (n != 0)
			memcpy(b, t->to.p, n);
		buf_drain(&t->to, n);
	}
	if (n == 0)
		return false;
	conn_input(t->conn, b, n);
	return true;
}

static bool
from_server(struct tcp *t)
{
	uint8_t b[SLICE];
	size_t n;

	if (t->conn == NULL || t->stuck)
		return false;
	n = conn_output(t->conn, b, sizeof(b));
	if (t->client != NULL)
		h2_client_input(t->client, b, n);
	else
		buf_put(&t->from, b, n);
	if (n != 0 || !conn_is_done(t->conn) || conn_wants_output(t->conn))
		return n != 0;
	conn_free(t->conn);
	gone(t);
	return false;
}

static void
move(void *arg)
{
	struct tcp *t = arg;
	bool more;

	t->moving = false;
	if (!t->freed && t->conn != NULL) {
		sproc_touch(host_worker(t->s->host, t->slot));
		more = to_server(t);
		more |= from_server(t);
		if (more)
			tcp_kick(t);
	}
	release(t);
}

void
tcp_kick(struct tcp *t)
{
	if (t->moving || t->conn == NULL)
		return;
	t->moving = true;
	t->events++;
	world_at(t->s->w, world_now(t->s->w) + HOP_US, move, t);
}

static void
on_kick(struct conn *c, void *arg)
{
	(void)arg;
	tcp_kick(conn_tag(c));
}

static void
on_worker_gone(unsigned int slot, void *arg)
{
	struct server *s = arg;
	struct tcp *t;

	for (t = s->tcps; t != NULL; t = t->next)
		if (t->slot == slot && t->conn != NULL)
			gone(t);	/* freed with its worker */
}

/* The server. */

static void
boot(struct server *s)
{
	unsigned int i;

	host_start(s->host);
	for (i = 0; i < 100 && !host_serving(s->host); i++)
		server_pass(s, 50 * US_PER_MS);
	server_pass(s, 50 * US_PER_MS + 2 * s->link_us);
	if (!host_serving(s->host))
		world_fail(s->w, "the server does not serve");
	if (s->derpmap != NULL && !server_derpmap(s, s->derpmap))
		world_fail(s->w, "the DERP map is refused");
}

struct server *
server_new(const struct server_conf *conf)
{
	struct host_ops ops = { on_worker_gone, on_kick, NULL };
	struct host_conf hc = { .grace_ms = 10000, .ephemeral_s = 120,
	    .resume_ms = 3000, .presume_s = 20, .overload_ms = 5000,
	    .link_min_us = 20, .link_max_us = 20 };
	struct server *s;

	s = xcalloc(1, sizeof(*s));
	s->link_us = conf != NULL ? conf->link_us : 0;
	s->derpmap = conf != NULL && conf->no_derpmap ? NULL : derpmap;
	if (conf != NULL && conf->grace_ms != 0)
		hc.grace_ms = conf->grace_ms;
	if (conf != NULL && conf->ephemeral_s != 0)
		hc.ephemeral_s = conf->ephemeral_s;
	if (conf != NULL && conf->overload_ms != 0)
		hc.overload_ms = conf->overload_ms;
	if (conf != NULL && conf->link_us != 0)
		hc.link_min_us = hc.link_max_us = conf->link_us;
	s->w = world_new(1, getenv("SERVER_TRACE") != NULL);
	vfs_use(s->w);
	vfs_clear();
	s->outside = sproc_new(s->w, "outside", NULL, NULL);
	ops.arg = s;
	s->host = host_new(s->w, &hc, &ops);
	boot(s);
	s->admin = admin_new(s->w, s->host, s->outside);
	s->user = admin_user(s->admin, "alice");
	if (s->user == 0)
		world_fail(s->w, "no user could be made");
	return s;
}

unsigned int
server_free(struct server *s)
{
	unsigned int failures;
	struct dev *d;
	struct tcp *t;

	while ((d = s->devs) != NULL) {
		s->devs = d->next;
		free(d);
	}
	for (t = s->tcps; t != NULL; t = t->next)
		tcp_close(t);
	admin_free(s->admin);
	server_pass(s, US_PER_S);
	host_free(s->host);
	while ((t = s->tcps) != NULL) {
		s->tcps = t->next;
		tcp_free(t);
	}
	/* events that are still on the way find nobody */
	server_pass(s, 400 * US_PER_S);
	sproc_free(s->outside);
	failures = world_failures(s->w);
	world_end(s->w);
	vfs_clear();
	free(s);
	return failures;
}

void
server_pass(struct server *s, uint64_t us)
{
	world_run(s->w, world_now(s->w) + us);
}

uint64_t
server_now(struct server *s)
{
	return world_now(s->w);
}

int64_t
server_wall(struct server *s)
{
	return world_wall(s->w);
}

struct host *
server_host(struct server *s)
{
	return s->host;
}

struct admin *
server_admin(struct server *s)
{
	return s->admin;
}

struct control *
server_control(struct server *s, unsigned int slot)
{
	return host_control(s->host, slot);
}

struct env *
server_env(struct server *s)
{
	return sproc_env(s->outside);
}

void
server_kill(struct server *s, enum role role, unsigned int slot)
{
	if (!host_kill_role(s->host, role, slot, 0))
		world_fail(s->w, "nobody to kill");
	server_pass(s, 100);
}

void
server_restart(struct server *s)
{
	host_kill(s->host, false);
	boot(s);
}

bool
server_derpmap(struct server *s, const char *json)
{
	struct derpmap *d;
	char why[200];
	unsigned int i;

	for (i = 1; i <= HOST_WORKERS; i++) {
		d = derpmap_parse(json, strlen(json), "map", why, sizeof(why));
		if (d == NULL)
			return false;
		control_derpmap(server_control(s, i), d);
		sproc_touch(host_worker(s->host, i));
	}
	return true;
}

const char *
server_key(struct server *s, bool reusable, bool ephemeral)
{
	const char *key;

	key = admin_key(s->admin, s->user, reusable, ephemeral, NULL);
	if (key[0] == '\0')
		world_fail(s->w, "no auth key could be made");
	return key;
}

bool
server_node(struct server *s, const char *node_key, struct truth *t)
{
	struct truth *all;
	size_t i, n;
	bool found = false;

	all = admin_nodes(s->admin, &n);
	for (i = 0; i < n && !found; i++)
		if (strcmp(all[i].key, node_key) == 0) {
			*t = all[i];
			found = true;
		}
	free(all);
	return found;
}

bool
server_delete(struct server *s, uint64_t node)
{
	const struct msg *r;
	struct msg m;

	msg_init(&m, M_CTL_NODE_DELETE);
	m.u.ctl_node_delete.id = node;
	r = admin_ask(s->admin, &m);
	return r != NULL && r->type == M_CTL_OK;
}

bool
server_approve(struct server *s, uint64_t node, const struct msg_list *routes)
{
	const struct msg *r;
	struct msg m;

	msg_init(&m, M_CTL_NODE_ROUTES);
	m.u.ctl_node_routes.id = node;
	m.u.ctl_node_routes.approve = true;
	m.u.ctl_node_routes.routes = *routes;
	r = admin_ask(s->admin, &m);
	return r != NULL && r->type == M_CTL_OK;
}

/* Connections. */

static struct tcp *
connect_to(struct server *s, unsigned int slot)
{
	static const struct ipport from = { { 4, { 192, 0, 2, 9 } }, 40000 };
	struct net *net;
	struct tcp *t;
	unsigned int got;

	if (slot == 0)
		slot = 1 + s->turn++ % HOST_WORKERS;
	net = host_accept(s->host, slot - 1, &got);
	if (net == NULL)
		return NULL;
	t = xcalloc(1, sizeof(*t));
	t->s = s;
	t->slot = got;
	t->conn = conn_new(net, &from, CONN_K_PLAIN, false, t);
	if (t->conn == NULL) {
		free(t);
		return NULL;
	}
	t->next = s->tcps;
	s->tcps = t;
	return t;
}

struct tcp *
tcp_raw(struct server *s, unsigned int slot)
{
	return connect_to(s, slot);
}

void
tcp_send(struct tcp *t, const void *p, size_t n)
{
	buf_put(&t->to, p, n);
	tcp_kick(t);
}

void
tcp_str(struct tcp *t, const char *text)
{
	tcp_send(t, text, strlen(text));
}

void
tcp_close(struct tcp *t)
{
	struct conn *c = t->conn;

	if (c == NULL)
		return;
	sproc_touch(host_worker(t->s->host, t->slot));
	t->conn = NULL;
	conn_eof(c);
	conn_free(c);
}

bool
tcp_has(const struct tcp *t, const char *text)
{
	return t->from.n != 0 &&
	    memmem(t->from.p, t->from.n, text, strlen(text)) != NULL;
}

static struct ask *
ask_of(struct tcp *t, int32_t id)
{
	struct ask *a;

	for (a = t->asks; a != NULL && a->id != id; a = a->next)
		;
	return a;
}

static void
on_head(struct h2_client *c, int32_t id, unsigned int status, void *arg)
{
	struct tcp *t = arg;
	struct ask *a = ask_of(t, id);

	(void)c;
	if (a == NULL)
		return;
	a->status = status;
	a->head_at = world_now(t->s->w);
}

static void
on_header(struct h2_client *c, int32_t id, struct slice k, struct slice v,
    void *arg)
{
	struct ask *a = ask_of(arg, id);

	(void)c;
	if (a == NULL)
		return;
	if (slice_eqs(k, "retry-after"))
		slice_copy(a->retry_after, sizeof(a->retry_after), v);
	buf_printf(&a->fields, "%.*s: %.*s\n", SLICE_FMT(k), SLICE_FMT(v));
}

static void
on_data(struct h2_client *c, int32_t id, const void *p, size_t n, void *arg)
{
	struct ask *a = ask_of(arg, id);

	(void)c;
	if (a == NULL)
		return;
	if (a->view != NULL && a->status == 200)
		ask_map_input(a, p, n);
	else
		buf_put(&a->body, p, n);
}

static void
on_end(struct h2_client *c, int32_t id, uint32_t error, void *arg)
{
	struct tcp *t = arg;
	struct ask *a = ask_of(t, id);

	(void)c;
	if (a == NULL)
		return;
	a->ended = true;
	a->error = error;
	a->end_at = world_now(t->s->w);
}

struct tcp *
tcp_client(struct server *s, unsigned int slot, const uint8_t machine[32],
    uint16_t capver)
{
	struct h2_client_conf hc = { 0 };
	struct tcp *t;

	if ((t = connect_to(s, slot)) == NULL)
		return NULL;
	memcpy(hc.server, host_public_key(s->host), NOISE_KEY);
	memcpy(hc.machine, machine, NOISE_KEY);
	hc.capver = capver;
	hc.on_head = on_head;
	hc.on_header = on_header;
	hc.on_data = on_data;
	hc.on_end = on_end;
	hc.arg = t;
	t->client = h2_client_new(server_env(s), &hc);
	tcp_kick(t);
	return t;
}

struct tcp *
tcp_open(struct server *s, unsigned int slot, const uint8_t machine[32],
    uint16_t capver)
{
	struct tcp *t;
	unsigned int i;

	if ((t = tcp_client(s, slot, machine, capver)) == NULL)
		return NULL;
	for (i = 0; i < 1000 && h2_client_state(t->client) != H2C_OPEN &&
	    !t->closed; i++)
		server_pass(s, 5 * US_PER_MS);
	if (h2_client_state(t->client) != H2C_OPEN || t->closed)
		return NULL;
	return t;
}

void
tcp_free(struct tcp *t)
{
	struct ask *a;

	tcp_close(t);
	while ((a = t->asks) != NULL) {
		t->asks = a->next;
		ask_free(a);
	}
	h2_client_free(t->client);
	buf_free(&t->to);
	buf_free(&t->from);
	t->freed = true;
	t->events++;
	release(t);
}
