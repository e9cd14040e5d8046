/* /verify: relays elsewhere ask whether a node is ours (derp.md 8). */

#include <stdlib.h>
#include <string.h>

#include "common/enc.h"
#include "common/json_read.h"
#include "common/log.h"
#include "worker/control/derp_int.h"

#define BODY_MAX	4096
#define OPEN_MAX	256		/* questions under way */
#define BURST		256		/* questions, then */
#define EACH_US		(20 * US_PER_MS)	/* one more each */

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

/* derp.md S13: it tells strangers whether a key is ours. */
static bool
within_rate(struct control *c)
{
	uint64_t now = env_now(c->env);
	uint64_t full = (uint64_t)BURST * EACH_US;

	/* How far the bucket is from full, as the time that fills it. */
	if (c->verify_until < now)
		c->verify_until = now;
	if (c->verify_until + EACH_US > now + full)
		return false;
	c->verify_until += EACH_US;
	return true;
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
	const char *why;
	struct verify *v;
	struct msg m;

	if (!within_rate(c)) {
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
