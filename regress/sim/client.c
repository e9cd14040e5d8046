#include <sys/queue.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/enc.h"
#include "common/json_read.h"
#include "regress/lib/h2_client.h"
#include "regress/sim/client.h"
#include "regress/sim/routes.h"
#include "regress/sim/way.h"

#define CHUNK		8192
#define RETRY_MIN_US	(50 * US_PER_MS)
#define RETRY_MAX_US	(5 * US_PER_S)
#define AWAY_US		(15 * US_PER_S)	/* the least ephemeral timeout */
#define WATCHDOG_US	(120 * US_PER_S)

enum ask { ASK_NONE, ASK_REGISTER, ASK_LOGOUT };

struct sclient {
	struct world	*w;
	struct ways	*ways;
	struct host	*host;
	struct sproc	*sp;
	struct sclient_conf conf;
	enum sclient_state state;
	uint8_t		 machine[32];
	uint8_t		 node_priv[32];
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
	struct way	*way;		/* NULL: none */
	uint64_t	 stalled_until;
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

	world_draw(c->w, k, sizeof(k));
	key_print(dst, kind, k);
}

static void
new_node_key(struct sclient *c)
{
	uint8_t k[32];

	world_draw(c->w, c->node_priv, sizeof(c->node_priv));
	noise_clamp(c->node_priv);
	noise_public(k, c->node_priv);
	key_print(c->node_key, KEY_NODE, k);
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
sclient_new(struct world *w, struct host *h, struct ways *ways,
    struct sproc *sp, const struct sclient_conf *conf)
{
	struct sclient *c;

	c = xcalloc(1, sizeof(*c));
	c->w = w;
	c->host = h;
	c->ways = ways;
	c->sp = sp;
	c->conf = *conf;
	world_draw(w, c->machine, sizeof(c->machine));
	noise_clamp(c->machine);
	new_node_key(c);
	memset(c->old_key, 0, sizeof(c->old_key));
	random_key(c, c->disco, KEY_DISCO);
	new_endpoints(c);
	c->map_stream = c->lite_stream = c->reg_stream = -1;
	c->retry_us = RETRY_MIN_US;
	return c;
}

/* The connection is over, on our side. */
static void
disconnect(struct sclient *c)
{
	if (c->lite_stream != -1)
		c->lite_due = true;	/* not answered: said again */
	way_close(c->way);
	c->way = NULL;
	h2_client_free(c->h2);
	c->h2 = NULL;
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
	} else if (jval_str(jval_get(jdoc_root(doc), "AuthURL"), &s) &&
	    s.n != 0) {
		world_fail(c->w, "%s has a key and is sent to a page",
		    c->conf.hostname);
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

static void
lost(struct sclient *c)
{
	disconnect(c);
	if (c->state == SC_REGISTERING || c->state == SC_IN ||
	    c->asking != ASK_NONE)
		again(c);
}

static void
pump_out(struct sclient *c)
{
	uint8_t tmp[CHUNK];
	size_t n;

	while (c->h2 != NULL && c->way != NULL &&
	    (n = h2_client_output(c->h2, tmp, 1 + world_rand(c->w, CHUNK))) >
	    0)
		way_put(c->way, tmp, n);
}

static void
on_octets(void *arg, const uint8_t *p, size_t n)
{
	struct sclient *c = arg;

	h2_client_input(c->h2, p, n);
	if (h2_client_state(c->h2) == H2C_DEAD) {
		world_trace(c->w, "%s: dead: %s", c->conf.hostname,
		    h2_client_why(c->h2));
		lost(c);
	} else
		go(c);
}

static void
on_ended(void *arg)
{
	lost(arg);
}

static void
connect_now(void *arg)
{
	struct sclient *c = arg;
	struct h2_client_conf hc = { 0 };
	struct way_conf wc = { c->conf.net_min_us, c->conf.net_max_us,
	    { { 4, { 192, 0, 2, 9 } }, 40000 }, on_octets, on_ended, c };

	if (c->freed || c->h2 != NULL || c->state == SC_GONE) {
		release(c);
		return;
	}
	c->way = way_open(c->ways, world_rand(c->w, 1000), &wc);
	if (c->way == NULL) {
		again(c);
		release(c);
		return;
	}
	way_stall(c->way, c->stalled_until);
	memcpy(hc.server, host_public_key(c->host), 32);
	memcpy(hc.machine, c->machine, 32);
	hc.capver = c->conf.capver;
	hc.on_head = on_head;
	hc.on_header = on_header;
	hc.on_data = on_data;
	hc.on_end = on_end;
	hc.arg = c;
	c->h2 = h2_client_new(sproc_env(c->sp), &hc);
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
		new_node_key(c);	/* protocol.md 4.7 */
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
	if (c->way != NULL)
		way_stall(c->way, c->stalled_until);
}

void
sclient_off(struct sclient *c)
{
	c->state = SC_GONE;
	c->asking = ASK_NONE;
	disconnect(c);
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

const uint8_t *
sclient_node_key(const struct sclient *c)
{
	return c->node_priv;
}

const char *
sclient_disco(const struct sclient *c)
{
	return c->disco;
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
