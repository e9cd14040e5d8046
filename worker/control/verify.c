/* /verify: relays elsewhere ask whether a node is ours (derp.md 8). */

#include <stdlib.h>
#include <string.h>

#include "common/enc.h"
#include "common/json_read.h"
#include "common/log.h"
#include "common/siphash.h"
#include "worker/control/derp_int.h"

#define BODY_MAX	4096
#define OPEN_MAX	256		/* questions under way */
#define BURST		256		/* questions of a source, then */
#define EACH_US		(20 * US_PER_MS)	/* one more each */
#define FROM_MAX	64		/* CFG_CONF_WORKER's bound */
#define SETS		1024		/* of sources that asked of late */
#define WAYS		4

/* Of one source: when its bucket is full again. */
struct asker {
	uint8_t		 source[IP_SOURCE];
	uint64_t	 full_at;
};

struct askers {
	struct prefix	 from[FROM_MAX];	/* who may ask; n 0: all */
	size_t		 nfrom;
	uint8_t		 seed[SIPHASH_KEY];
	struct asker	(*of)[WAYS];	/* SETS of them; NULL: nobody asked */
	struct asker	 others;	/* whom there is no room for */
};

/* Reads the question; NULL, or what is wrong with it. */
static const char *
parse(struct slice body, uint8_t key[KEY_LEN])
{
	const char *why = NULL;
	struct jdoc *doc;
	struct slice s;

	if ((doc = json_read(body.p, body.n, BODY_MAX, &why, NULL)) == NULL)
		return "the body is not JSON";
	if (!jval_str(jval_get(jdoc_root(doc), "NodePublic"), &s) ||
	    !key_parse(key, KEY_NODE, s))
		why = "NodePublic is not a node key";
	jdoc_free(doc, false);
	return why;
}

static struct askers *
askers(struct control *c)
{
	if (c->askers == NULL) {
		c->askers = xcalloc(1, sizeof(*c->askers));
		env_random(c->env, c->askers->seed, sizeof(c->askers->seed));
	}
	return c->askers;
}

void
verify_conf(struct control *c, struct msg_list it)
{
	struct askers *a = askers(c);
	struct r_route r;

	a->nfrom = 0;
	while (a->nfrom < FROM_MAX && msg_list_next(&it, MR_ROUTE, &r))
		a->from[a->nfrom++] = r.v;
}

void
verify_end(struct control *c)
{
	struct verify *v;

	while ((v = TAILQ_FIRST(&c->verifies)) != NULL) {
		TAILQ_REMOVE(&c->verifies, v, entry);
		free(v);
	}
	if (c->askers != NULL)
		free(c->askers->of);
	free(c->askers);
	c->askers = NULL;
}

/* The one of this source; one whose bucket is full is like a new one. */
static struct asker *
asker_of(struct askers *a, const struct ip *ip, uint64_t now)
{
	struct asker *set, *spare = NULL;
	uint8_t source[IP_SOURCE];
	size_t i;

	if (a->of == NULL)
		a->of = xcalloc(SETS, sizeof(a->of[0]));
	ip_source(source, ip);
	set = a->of[siphash(a->seed, source, sizeof(source)) % SETS];
	for (i = 0; i < WAYS; i++) {
		if (memcmp(set[i].source, source, sizeof(source)) == 0)
			return &set[i];
		if (set[i].full_at <= now)
			spare = &set[i];
	}
	if (spare == NULL)
		return &a->others;
	memcpy(spare->source, source, sizeof(source));
	return spare;
}

/* derp.md S13: it tells strangers whether a key is ours. */
static bool
within_rate(struct control *c, const struct ip *ip)
{
	uint64_t now = env_now(c->env);
	struct asker *k = asker_of(c->askers, ip, now);

	if (k->full_at < now)
		k->full_at = now;
	if (k->full_at + EACH_US > now + BURST * EACH_US)
		return false;
	k->full_at += EACH_US;
	return true;
}

/* Named in the configuration: it asks as much as it wants. */
static bool
is_named(const struct askers *a, const struct ip *ip)
{
	size_t i;

	for (i = 0; i < a->nfrom; i++)
		if (prefix_has(&a->from[i], ip))
			return true;
	return false;
}

static void
refuse(struct req *r)
{
	struct req_head h = { 429, "text/plain; charset=utf-8", 1, NULL, NULL,
	    NULL, NULL };
	static const char text[] = "too many questions\n";

	req_reply(r, &h, text, sizeof(text) - 1);
}

void
post_verify(struct control *c, struct req *r)
{
	const struct ip *from = &req_peer(r)->addr;
	bool named = is_named(askers(c), from);
	const char *why;
	struct verify *v;
	struct msg m;

	if (c->askers->nfrom != 0 && !named) {
		reply_text(r, 403, "not from there");
		return;
	}
	if (!named && !net_is_exempt(c->net, from) && !within_rate(c, from)) {
		refuse(r);
		return;
	}
	if (req_body(r).n > BODY_MAX) {
		reply_text(r, 413, "more than %d bytes", BODY_MAX);
		return;
	}
	msg_init(&m, M_DB_NODE_KEY);
	if ((why = parse(req_body(r), m.u.db_node_key.key)) != NULL) {
		reply_text(r, 400, "%s", why);
		return;
	}
	if (c->db == NULL || c->nverifies >= OPEN_MAX) {
		reply_text(r, 503, "busy, come back later");
		return;
	}
	v = xcalloc(1, sizeof(*v));
	v->tag = TAG_VERIFY;
	v->control = c;
	v->req = r;
	TAILQ_INSERT_TAIL(&c->verifies, v, entry);
	c->nverifies++;
	req_set_tag(r, v);
	v->id = link_request(c->db, &m, v, 0);
}

static void
verify_free(struct verify *v)
{
	TAILQ_REMOVE(&v->control->verifies, v, entry);
	v->control->nverifies--;
	free(v);
}

void
verify_answer(void *tag, bool allow)
{
	struct verify *v = tag;
	struct buf b = { 0 };

	if (v->req != NULL) {
		buf_printf(&b, "{\"Allow\":%s}", allow ? "true" : "false");
		reply_json(v->req, 200, &b);
	}
	verify_free(v);
}

/* Its answer is still to come. */
void
verify_gone(void *tag)
{
	((struct verify *)tag)->req = NULL;
}

void
derphttp_db_link(struct control *c, struct link *l)
{
	struct verify *v;

	while ((v = TAILQ_FIRST(&c->verifies)) != NULL) {
		if (v->req != NULL)
			reply_text(v->req, 503, "busy, come back later");
		verify_free(v);
	}
	if (c->relay != NULL)
		relay_db_link(c->relay, l);
}
