#include <sys/queue.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/enc.h"
#include "common/json_read.h"
#include "regress/lib/h2_client.h"
#include "regress/sim/client.h"
#include "regress/sim/routes.h"

#define CHUNK		8192
#define RETRY_MIN_US	(50 * US_PER_MS)
#define RETRY_MAX_US	(5 * US_PER_S)
#define AWAY_US		(15 * US_PER_S)	/* the least ephemeral timeout */
#define WATCHDOG_US	(120 * US_PER_S)

enum ask { ASK_NONE, ASK_REGISTER, ASK_LOGOUT };

/*
 * The way to a worker and its end of a connection.  When the client gives one
 * up whose worker hangs, its octets and its end wait for the worker.
 */
struct tube {
	LIST_ENTRY(tube) entry;
	struct sclient	*c;
	struct conn	*conn;		/* NULL: over, on the worker's side */
	unsigned int	 slot;
	STAILQ_HEAD(, parcel) in;
	unsigned int	 refs;		/* events, and the client */
};

struct sclient {
	struct world	*w;
	struct host	*host;
	struct sproc	*sp;
	struct sclient_conf conf;
	enum sclient_state state;
	uint8_t		 machine[32];
	char		 node_key[KEY_TEXT];
	char		 old_key[KEY_TEXT];
	char		 disco[KEY_TEXT];
	char		 endpoints[128];	/* JSON elements */
	char		 shown[128];		/* the same, plain */
	unsigned int	 round;
	bool		 acked;
	bool		 lite_due;
	bool		 logged_out;
	char		 refusal[200];

	/* the connection */
	struct h2_client *h2;
	struct tube	*tube;		/* the one in use, or NULL */
	LIST_HEAD(, tube) tubes;	/* all */
	uint64_t	 serial;	/* of the connection: events name it */
	bool		 out_event;
	bool		 in_event;
	uint64_t	 stalled_until;
	uint64_t	 c2s_at;
	uint64_t	 s2c_at;
	int32_t		 map_stream;
	int32_t		 lite_stream;
	int32_t		 reg_stream;
	unsigned int	 reg_status;
	unsigned int	 map_status;
	unsigned int	 lite_status;
	unsigned int	 retry_after;
	uint64_t	 asked_at;	/* for the map */
	uint64_t	 known_until;	/* for it was told to wait */
	struct buf	 reg_body;
	enum ask	 asking;
	uint64_t	 retry_us;
	bool		 retry_pending;
	uint64_t	 heard_at;
	struct view	 view;
	unsigned int	 events;	/* that point here */
	bool		 freed;
};

struct parcel {
	STAILQ_ENTRY(parcel) entry;	/* to the server */
	struct sclient	*c;		/* to the client */
	uint64_t	 serial;
	size_t		 n;
	uint8_t		 p[];
};

static void	tube_put(struct tube *, const void *, size_t);
static void	pump_out(struct sclient *);
static void	connect_later(struct sclient *);
static void	go(struct sclient *);
static void	again(struct sclient *);

static void
release(struct sclient *c)
{
	c->events--;
	if (c->freed && c->events == 0)
		free(c);
}

static void
random_key(struct sclient *c, char *dst, enum key_kind kind)
{
	uint8_t k[32];
	size_t i;

	for (i = 0; i < sizeof(k); i++)
		k[i] = (uint8_t)world_rand(c->w, 256);
	key_print(dst, kind, k);
}

static void
new_endpoints(struct sclient *c)
{
	unsigned int a = (unsigned int)world_rand(c->w, 250) + 1;
	unsigned int b = (unsigned int)world_rand(c->w, 250) + 1;

	c->round++;
	snprintf(c->endpoints, sizeof(c->endpoints),
	    "\"198.18.%u.%u:%u\",\"192.168.0.%u:41641\"", a, b,
	    1024 + c->round, b);
	snprintf(c->shown, sizeof(c->shown),
	    "198.18.%u.%u:%u,192.168.0.%u:41641", a, b, 1024 + c->round, b);
}

struct sclient *
sclient_new(struct world *w, struct host *h, struct sproc *sp,
    const struct sclient_conf *conf)
{
	struct sclient *c;
	size_t i;

	c = xcalloc(1, sizeof(*c));
	c->w = w;
	c->host = h;
	c->sp = sp;
	c->conf = *conf;
	for (i = 0; i < sizeof(c->machine); i++)
		c->machine[i] = (uint8_t)world_rand(w, 256);
	noise_clamp(c->machine);
	random_key(c, c->node_key, KEY_NODE);
	memset(c->old_key, 0, sizeof(c->old_key));
	random_key(c, c->disco, KEY_DISCO);
	new_endpoints(c);
	c->map_stream = c->lite_stream = c->reg_stream = -1;
	c->retry_us = RETRY_MIN_US;
	LIST_INIT(&c->tubes);
	return c;
}

/* The worker's end of the connection in use; NULL if there is none. */
static struct conn *
conn_of(const struct sclient *c)
{
	return c->tube == NULL ? NULL : c->tube->conn;
}

static void
tube_release(struct tube *t)
{
	if (--t->refs != 0)
		return;
	LIST_REMOVE(t, entry);
	free(t);
}

static void
tube_close(struct tube *t)
{
	struct conn *conn = t->conn;

	t->conn = NULL;
	sproc_touch(host_worker(t->c->host, t->slot));
	conn_eof(conn);
	conn_free(conn);
}

static void
tube_leave(struct tube *t)
{
	t->c->tube = NULL;
	if (t->conn != NULL && host_wakes(t->c->host, t->slot) != 0)
		tube_put(t, NULL, 0);
	else if (t->conn != NULL)
		tube_close(t);
	tube_release(t);
}

/* The connection is over, on our side. */
static void
disconnect(struct sclient *c)
{
	if (c->lite_stream != -1)
		c->lite_due = true;	/* not answered: said again */
	c->serial++;
	if (c->tube != NULL)
		tube_leave(c->tube);
	h2_client_free(c->h2);
	c->h2 = NULL;
	c->out_event = c->in_event = false;
	c->map_stream = c->lite_stream = c->reg_stream = -1;
	c->stalled_until = 0;
	view_reset(&c->view);
	buf_clear(&c->reg_body);
}

void
sclient_free(struct sclient *c)
{
	disconnect(c);
	view_free(&c->view);
	buf_free(&c->reg_body);
	c->freed = true;
	c->events++;
	release(c);
}

/* Requests. */

static void
hostinfo(const struct sclient *c, struct buf *b)
{
	const char *comma = "";
	unsigned int i;

	buf_printf(b, "{\"BackendLogID\":\"aa\",\"OS\":\"linux\","
	    "\"Hostname\":\"%s\",\"NetInfo\":{\"PreferredDERP\":900},"
	    "\"Services\":[{\"Proto\":\"peerapi4\",\"Port\":1234}],"
	    "\"RoutableIPs\":[", c->conf.hostname);
	for (i = 0; i < ROUTES; i++)
		if (c->conf.routes >> i & 1) {
			buf_printf(b, "%s\"%s\"", comma, route_text(i));
			comma = ",";
		}
	buf_str(b, "]}");
}

static void
ask_register(struct sclient *c, bool logout)
{
	struct buf b = { 0 };

	buf_printf(&b, "{\"Version\":%u,\"NodeKey\":\"%s\",", c->conf.capver,
	    c->node_key);
	if (c->old_key[0] != '\0')
		buf_printf(&b, "\"OldNodeKey\":\"%s\",", c->old_key);
	buf_printf(&b, "\"Auth\":{\"AuthKey\":\"%s\"},", c->conf.auth_key);
	buf_printf(&b, "\"Expiry\":\"%s\",\"Followup\":\"\",",
	    logout ? "1970-01-01T00:02:03Z" : "0001-01-01T00:00:00Z");
	buf_printf(&b, "\"Ephemeral\":%s,\"Hostinfo\":",
	    c->conf.ephemeral ? "true" : "false");
	hostinfo(c, &b);
	buf_str(&b, "}");
	c->reg_status = 0;
	buf_clear(&c->reg_body);
	c->reg_stream = h2_client_request(c->h2, "POST", "/machine/register",
	    NULL, b.p, b.n);
	buf_free(&b);
}

static int32_t
ask_map(struct sclient *c, bool stream)
{
	struct buf b = { 0 };
	int32_t id;

	buf_printf(&b, "{\"Version\":%u,\"Compress\":\"zstd\","
	    "\"KeepAlive\":true,\"NodeKey\":\"%s\",\"DiscoKey\":\"%s\","
	    "\"Endpoints\":[%s],\"Stream\":%s,\"OmitPeers\":%s,\"Hostinfo\":",
	    c->conf.capver, c->node_key, c->disco, c->endpoints,
	    stream ? "true" : "false", stream ? "false" : "true");
	hostinfo(c, &b);
	buf_str(&b, "}");
	id = h2_client_request(c->h2, "POST", "/machine/map", NULL, b.p, b.n);
	buf_free(&b);
	return id;
}

/* What there is to do on an open connection. */
static void
go(struct sclient *c)
{
	if (c->h2 == NULL || h2_client_state(c->h2) != H2C_OPEN)
		return;
	if (c->asking != ASK_NONE) {
		if (c->reg_stream == -1)
			ask_register(c, c->asking == ASK_LOGOUT);
	} else if (c->state == SC_IN) {
		if (c->map_stream == -1) {
			view_reset(&c->view);
			c->map_status = c->retry_after = 0;
			c->asked_at = world_now(c->w);
			c->map_stream = ask_map(c, true);
		}
		if (c->lite_due && c->lite_stream == -1) {
			c->lite_due = false;
			c->lite_status = 0;
			c->lite_stream = ask_map(c, false);
		}
	}
	pump_out(c);
}

static void
retry(void *arg)
{
	struct sclient *c = arg;

	c->retry_pending = false;
	if (!c->freed && c->state != SC_GONE && c->state != SC_IDLE &&
	    c->state != SC_REFUSED) {
		if (c->h2 == NULL)
			connect_later(c);
		else
			go(c);
	}
	release(c);
}

static void
again_in(struct sclient *c, uint64_t us)
{
	if (c->retry_pending)
		return;
	c->retry_pending = true;
	c->events++;
	world_at(c->w, world_now(c->w) + us, retry, c);
}

static void
again(struct sclient *c)
{
	again_in(c, c->retry_us / 2 + world_rand(c->w, c->retry_us));
	if (c->retry_us < RETRY_MAX_US)
		c->retry_us *= 2;
}

/* Answers. */

static void
hang_up(void *arg)
{
	struct sclient *c = arg;

	if (!c->freed && c->state == SC_IDLE && c->asking == ASK_NONE)
		disconnect(c);
	release(c);
}

static void
disconnect_later(struct sclient *c)
{
	c->events++;
	world_at(c->w, world_now(c->w) + 1, hang_up, c);
}

static void
registered(struct sclient *c)
{
	struct jdoc *doc;
	struct slice s = { NULL, 0 };

	doc = json_read(c->reg_body.p, c->reg_body.n, 1 << 20, NULL, NULL);
	if (doc == NULL) {
		world_fail(c->w, "%s: register's answer is no JSON",
		    c->conf.hostname);
		return;
	}
	if (jval_str(jval_get(jdoc_root(doc), "Error"), &s) && s.n != 0) {
		snprintf(c->refusal, sizeof(c->refusal), "%.*s", SLICE_FMT(s));
		world_trace(c->w, "%s refused: %s", c->conf.hostname,
		    c->refusal);
		c->state = SC_REFUSED;
		c->asking = ASK_NONE;
	} else if (c->asking == ASK_LOGOUT) {
		c->asking = ASK_NONE;
		c->state = SC_IDLE;
		c->acked = false;
		c->logged_out = true;
		disconnect_later(c);
	} else {
		world_trace(c->w, "%s registered", c->conf.hostname);
		c->asking = ASK_NONE;
		c->state = SC_IN;
		c->acked = true;
		c->known_until = 0;
		c->lite_due = true;
		c->retry_us = RETRY_MIN_US;
	}
	jdoc_free(doc, false);
}

static void
on_head(struct h2_client *h2, int32_t stream, unsigned int status, void *arg)
{
	struct sclient *c = arg;

	(void)h2;
	if (stream == c->reg_stream)
		c->reg_status = status;
	else if (stream == c->map_stream)
		c->map_status = status;
	else if (stream == c->lite_stream)
		c->lite_status = status;
}

static void
on_header(struct h2_client *h2, int32_t stream, struct slice name,
    struct slice value, void *arg)
{
	struct sclient *c = arg;
	char text[16];

	(void)h2;
	if (stream == c->map_stream && slice_eqs(name, "retry-after") &&
	    slice_copy(text, sizeof(text), value))
		c->retry_after = (unsigned int)strtoul(text, NULL, 10);
}

static void
on_data(struct h2_client *h2, int32_t stream, const void *p, size_t n,
    void *arg)
{
	struct sclient *c = arg;

	(void)h2;
	c->heard_at = world_now(c->w);
	if (stream == c->reg_stream)
		buf_put(&c->reg_body, p, n);
	else if (stream == c->map_stream && c->map_status == 200) {
		view_input(&c->view, p, n);
		if (c->view.first)
			c->retry_us = RETRY_MIN_US;
	}
}

/*
 * An ephemeral node may have been reaped while it was away, if it was not told
 * to wait; any other that was acknowledged must be known.
 */
static bool
unknown(struct sclient *c, unsigned int status)
{
	if (status != 404 && status != 403)
		return false;
	if (!c->conf.ephemeral || world_now(c->w) < c->known_until) {
		world_fail(c->w, "%s: acknowledged, and now HTTP %u",
		    c->conf.hostname, status);
		return false;
	}
	c->asking = ASK_REGISTER;
	again(c);
	return true;
}

/* It obeys, and may take all the time that its clock leaves it after that. */
static void
wait_as_told(struct sclient *c)
{
	uint64_t least = (uint64_t)c->retry_after * US_PER_S, us;

	c->known_until = c->asked_at + least + AWAY_US;
	us = c->known_until - US_PER_S / 2 - world_now(c->w);
	if (world_now(c->w) + least + US_PER_S > c->known_until ||
	    !world_chance(c->w, 3))
		us = least;
	again_in(c, us);
}

static void
map_over(struct sclient *c)
{
	unsigned int status = c->map_status;

	c->map_stream = -1;
	if (c->state != SC_IN || c->asking != ASK_NONE || unknown(c, status))
		return;
	if (status == 503 && c->retry_after != 0)
		wait_as_told(c);
	else
		again(c);
}

static void
on_end(struct h2_client *h2, int32_t stream, uint32_t error, void *arg)
{
	struct sclient *c = arg;

	(void)h2;
	if (stream == c->reg_stream) {
		c->reg_stream = -1;
		if (error == 0 && c->reg_status == 200)
			registered(c);
		else
			again(c);
	} else if (stream == c->map_stream)
		map_over(c);
	else if (stream == c->lite_stream) {
		c->lite_stream = -1;
		if (error != 0 || c->lite_status != 200) {
			c->lite_due = true;
			if (!unknown(c, c->lite_status))
				again(c);
		}
	}
}

/* Octets. */

static uint64_t
delay(struct sclient *c, uint64_t *last)
{
	uint64_t at = world_now(c->w) + c->conf.net_min_us +
	    world_rand(c->w, c->conf.net_max_us - c->conf.net_min_us + 1);

	if (at <= *last)
		at = *last + 1;
	*last = at;
	return at;
}

static void
lost(struct sclient *c)
{
	disconnect(c);
	if (c->state == SC_REGISTERING || c->state == SC_IN ||
	    c->asking != ASK_NONE)
		again(c);
}

static void
arrive_server(void *arg)
{
	struct tube *t = arg;
	struct sclient *c = t->c;
	struct parcel *p;
	uint64_t wakes;

	if (t->conn != NULL && (wakes = host_wakes(c->host, t->slot)) != 0) {
		world_at(c->w, wakes, arrive_server, t);
		return;
	}
	p = STAILQ_FIRST(&t->in);
	STAILQ_REMOVE_HEAD(&t->in, entry);
	if (t->conn != NULL && p->n == 0)
		tube_close(t);
	else if (t->conn != NULL) {
		conn_input(t->conn, p->p, p->n);
		sproc_touch(host_worker(c->host, t->slot));
		sclient_kick(t->conn);
	}
	free(p);
	tube_release(t);
	release(c);
}

/* Puts octets on the way; none: the end. */
static void
tube_put(struct tube *t, const void *octets, size_t n)
{
	struct sclient *c = t->c;
	struct parcel *p;

	p = xcalloc(1, sizeof(*p) + n);
	p->n = n;
	if (n != 0)
		memcpy(p->p, octets, n);
	STAILQ_INSERT_TAIL(&t->in, p, entry);
	t->refs++;
	c->events++;
	world_at(c->w, delay(c, &c->c2s_at), arrive_server, t);
}

static void
pump_out(struct sclient *c)
{
	uint8_t tmp[CHUNK];
	size_t n;

	while (c->h2 != NULL && conn_of(c) != NULL &&
	    (n = h2_client_output(c->h2, tmp, 1 + world_rand(c->w, CHUNK))) >
	    0)
		tube_put(c->tube, tmp, n);
}

static void
arrive_client(void *arg)
{
	struct parcel *p = arg;
	struct sclient *c = p->c;

	if (!c->freed && p->serial == c->serial && c->h2 != NULL) {
		if (p->n == 0)
			lost(c);
		else {
			h2_client_input(c->h2, p->p, p->n);
			if (h2_client_state(c->h2) == H2C_DEAD) {
				world_trace(c->w, "%s: dead: %s",
				    c->conf.hostname, h2_client_why(c->h2));
				lost(c);
			} else
				go(c);
		}
	}
	free(p);
	release(c);
}

static void
post(struct sclient *c, const uint8_t *p, size_t n)
{
	struct parcel *q;

	q = xcalloc(1, sizeof(*q) + n);
	q->c = c;
	q->serial = c->serial;
	q->n = n;
	if (n != 0)
		memcpy(q->p, p, n);
	c->events++;
	world_at(c->w, delay(c, &c->s2c_at), arrive_client, q);
}

struct drain {
	struct sclient	*c;
	uint64_t	 serial;
};

/* The server's socket takes output now. */
static void
drain(void *arg)
{
	struct drain *d = arg;
	struct sclient *c = d->c;
	uint8_t tmp[CHUNK];
	struct conn *conn;
	uint64_t at;
	size_t n = 0;

	if (!c->freed && d->serial == c->serial && conn_of(c) != NULL) {
		at = host_wakes(c->host, c->tube->slot);
		if (at < c->stalled_until)
			at = c->stalled_until;
		if (world_now(c->w) < at) {
			world_at(c->w, at, drain, d);
			return;
		}
		c->in_event = false;
		conn = conn_of(c);
		n = conn_output(conn, tmp, sizeof(tmp));
		sproc_touch(host_worker(c->host, c->tube->slot));
		if (n != 0)
			post(c, tmp, n);
		if (conn_wants_output(conn))
			sclient_kick(conn);
		else if (conn_is_done(conn)) {
			post(c, NULL, 0);
			c->tube->conn = NULL;
			conn_free(conn);
		}
	}
	free(d);
	release(c);
}

void
sclient_kick(struct conn *conn)
{
	struct sclient *c = conn_tag(conn);
	struct drain *d;

	if (c->in_event || conn_of(c) != conn)
		return;
	c->in_event = true;
	d = xcalloc(1, sizeof(*d));
	d->c = c;
	d->serial = c->serial;
	c->events++;
	world_at(c->w, world_now(c->w) + 20 + world_rand(c->w, 200), drain, d);
}

static void
tube_new(struct sclient *c, struct net *net, unsigned int slot)
{
	static const struct ipport from = { { 4, { 192, 0, 2, 9 } }, 40000 };
	struct tube *t;

	t = xcalloc(1, sizeof(*t));
	t->c = c;
	t->slot = slot;
	t->refs = 1;
	STAILQ_INIT(&t->in);
	LIST_INSERT_HEAD(&c->tubes, t, entry);
	c->tube = t;
	t->conn = conn_new(net, &from, CONN_K_PLAIN, false, c);
	sproc_touch(host_worker(c->host, slot));
}

static void
connect_now(void *arg)
{
	struct sclient *c = arg;
	struct h2_client_conf hc = { 0 };
	struct net *net;
	unsigned int slot;

	if (c->freed || c->h2 != NULL || c->state == SC_GONE) {
		release(c);
		return;
	}
	net = host_accept(c->host, world_rand(c->w, 1000), &slot);
	if (net == NULL) {
		again(c);
		release(c);
		return;
	}
	memcpy(hc.server, host_public_key(c->host), 32);
	memcpy(hc.machine, c->machine, 32);
	hc.capver = c->conf.capver;
	hc.on_head = on_head;
	hc.on_header = on_header;
	hc.on_data = on_data;
	hc.on_end = on_end;
	hc.arg = c;
	c->serial++;
	c->h2 = h2_client_new(sproc_env(c->sp), &hc);
	tube_new(c, net, slot);
	if (conn_of(c) == NULL)
		lost(c);
	else
		pump_out(c);
	release(c);
}

static void
connect_later(struct sclient *c)
{
	c->events++;
	world_at(c->w, world_now(c->w) + 100, connect_now, c);
}

/* What the script asks for. */

void
sclient_start(struct sclient *c)
{
	if (c->state != SC_IDLE || c->asking != ASK_NONE)
		return;
	if (c->logged_out) {
		random_key(c, c->node_key, KEY_NODE);	/* protocol.md 4.7 */
		c->logged_out = false;
	}
	c->state = SC_REGISTERING;
	c->asking = ASK_REGISTER;
	if (c->h2 == NULL)
		connect_later(c);
	else
		go(c);
}

void
sclient_change(struct sclient *c)
{
	if (c->state != SC_IN)
		return;
	new_endpoints(c);
	c->lite_due = true;
	go(c);
}

void
sclient_advertise(struct sclient *c, unsigned int mask)
{
	if (c->state != SC_IN)
		return;
	c->conf.routes = mask;
	c->lite_due = true;
	go(c);
}

void
sclient_restart(struct sclient *c)
{
	if (c->state != SC_IN)
		return;
	random_key(c, c->disco, KEY_DISCO);
	c->asking = ASK_REGISTER;	/* as every tailscaled does */
	c->lite_due = true;
	lost(c);
}

void
sclient_drop(struct sclient *c)
{
	if (c->h2 == NULL)
		return;
	lost(c);
}

void
sclient_logout(struct sclient *c)
{
	if (c->state != SC_IN || c->asking != ASK_NONE)
		return;
	c->asking = ASK_LOGOUT;
	go(c);
}

void
sclient_stall(struct sclient *c, uint64_t us)
{
	c->stalled_until = world_now(c->w) + us;
}

void
sclient_off(struct sclient *c)
{
	c->state = SC_GONE;
	c->asking = ASK_NONE;
	disconnect(c);
}

void
sclient_worker_gone(struct sclient *c, unsigned int slot)
{
	struct tube *t;

	LIST_FOREACH(t, &c->tubes, entry) {
		if (t->conn == NULL || t->slot != slot)
			continue;
		t->conn = NULL;		/* freed with its worker */
		if (t == c->tube)
			post(c, NULL, 0);
	}
}

enum sclient_state
sclient_state(const struct sclient *c)
{
	return c->state;
}

const struct view *
sclient_view(const struct sclient *c)
{
	return &c->view;
}

const char *
sclient_name(const struct sclient *c)
{
	return c->conf.hostname;
}

const char *
sclient_key(const struct sclient *c)
{
	return c->node_key;
}

const char *
sclient_endpoints(const struct sclient *c)
{
	return c->shown;
}

unsigned int
sclient_routes(const struct sclient *c)
{
	return c->conf.routes;
}

bool
sclient_acked(const struct sclient *c)
{
	return c->acked;
}

bool
sclient_quiet(const struct sclient *c)
{
	return !c->lite_due && c->lite_stream == -1 && c->asking == ASK_NONE &&
	    c->map_stream != -1 && c->view.first;
}

bool
sclient_is_ephemeral(const struct sclient *c)
{
	return c->conf.ephemeral;
}

const char *
sclient_refusal(const struct sclient *c)
{
	return c->refusal;
}
