/*
 * A headscaled-worker with another judge of overload, put in its place at
 * link time: each node's first stream and first lite update since the start
 * is told to come again in 5 seconds; everything after that is admitted.
 */

#include <string.h>

#include "common/enc.h"
#include "common/log.h"
#include "worker/control/control_int.h"

#include "worker/main.c"	/* only it has the outer loop */

#define NODES		64
#define RETRY_S		5

struct refused {
	uint8_t		key[KEY_LEN];
	bool		stream;
	bool		lite;
};

static struct refused	refused[NODES];

static struct refused *
node_of(const uint8_t key[KEY_LEN])
{
	static const uint8_t none[KEY_LEN];
	size_t i;

	for (i = 0; i < NODES; i++) {
		if (memcmp(refused[i].key, none, KEY_LEN) == 0)
			memcpy(refused[i].key, key, KEY_LEN);
		if (memcmp(refused[i].key, key, KEY_LEN) == 0)
			return &refused[i];
	}
	fatalx("more than %d nodes", NODES);
}

int
overload_verdict(struct control *c, const struct mapreq *q)
{
	struct refused *r = node_of(q->node_key);
	bool *once = q->stream ? &r->stream : &r->lite;
	char text[KEY_TEXT];

	(void)c;
	if (q->version < CAPVER_RETRY_AFTER)
		return 0;
	key_print(text, KEY_NODE, q->node_key);
	log_info("double: %s %s %s", q->stream ? "stream" : "lite", text,
	    *once ? "admitted" : "refused");
	if (*once)
		return 0;
	*once = true;
	return RETRY_S;
}

void
overload_hold(struct control *c, struct req *r, const struct mapreq *q)
{
	(void)c;
	(void)r;
	(void)q;
	fatalx("the double holds nothing back");
}

void
overload_hold_reg(struct control *c, struct req *r)
{
	overload_hold(c, r, NULL);
}

void
lane_hold_reg(struct control *c, struct lane *l, struct req *r)
{
	(void)l;
	overload_hold(c, r, NULL);
}

struct req *
overload_release(struct control *c, struct held *h)
{
	(void)c;
	(void)h;
	fatalx("the double held nothing back");
}

void
overload_gone(struct control *c, struct held *h)
{
	(void)c;
	(void)h;
	fatalx("the double held nothing back");
}

void
overload_tick(void *arg)
{
	(void)arg;
	fatalx("the double has no ticks");
}
