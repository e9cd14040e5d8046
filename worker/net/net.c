/* All connections of a worker, and the KEY link. */

#include <stdlib.h>
#include <string.h>

#include "common/compat/compat.h"
#include "common/log.h"
#include "common/secret.h"
#include "worker/net/layers_int.h"

/* keyd was busy for some of them. */
static void
on_retry(void *arg)
{
	ts2021_ask(arg);
}

struct net *
net_new(struct env *env, const struct net_conf *conf,
    const struct net_ops *ops)
{
	struct net *net;
	size_t i;

	if (noise_init() == -1)
		fatalx("the libraries lack the Noise algorithms");
	net = xcalloc(1, sizeof(*net));
	net->env = env;
	net->conf = *conf;
	net->ops = *ops;
	TAILQ_INIT(&net->conns);
	TAILQ_INIT(&net->waiting);
	for (i = 0; i < NUMBERED; i++)
		TAILQ_INIT(&net->numbered[i]);
	TAILQ_INIT(&net->events);
	room_init(net);
	edge_init(net);
	timer_init(&net->retry, env, on_retry, net);
	net->noise = noise_new();
	net->h2 = h2_env_new();
	return net;
}

void
net_free(struct net *net)
{
	struct conn *c;

	if (net == NULL)
		return;
	while ((c = TAILQ_FIRST(&net->conns)) != NULL)
		conn_free(c);
	timer_stop(&net->retry);
	room_end(net);
	edge_end(net);
	h2_env_free(net->h2);
	noise_free(net->noise);
	wipe(net, sizeof(*net));
	free(net);
}

void
net_reconf(struct net *net, const struct net_conf *conf)
{
	net->conf = *conf;
}

const uint8_t *
net_server_key(const struct net *net)
{
	return net->has_server_key ? net->server_key : NULL;
}

void
net_count(const struct net *net, uint32_t *sessions, uint32_t *streams,
    uint32_t *conns)
{
	*sessions = net->nsessions;
	*streams = net->nstreams;
	*conns = net->nconns;
}

const struct net_counters *
net_counters(const struct net *net)
{
	return &net->count;
}

uint32_t
net_max_conns(const struct net *net)
{
	return net->conf.max_conns;
}

bool
net_is_full(const struct net *net)
{
	return net->nconns >= net->conf.max_conns;
}

void
net_hold(struct net *net, bool hold)
{
	net->hold = hold;
	ts2021_ask(net);
}

void
net_key_link(struct net *net, struct link *l)
{
	struct conn *c, *next;

	net->key = NULL;
	for (c = TAILQ_FIRST(&net->conns); c != NULL; c = next) {
		next = TAILQ_NEXT(c, entry);
		ts2021_key_lost(c);
	}
	net->key = l;
	ts2021_ask(net);
	net_settle(net);
}

/* keyd is more trusted than we are: what makes no sense ends us. */
static void
nonsense(struct net *net)
{
	if (net->key != NULL)
		link_violation(net->key, LINK_BAD_BODY);
}

void
net_key_msg(struct net *net, const struct msg *m, void *tag)
{
	struct conn *c = tag;

	switch (m->type) {
	case M_KEY_SERVER:
		memcpy(net->server_key, m->u.key_server.public, NOISE_KEY);
		net->has_server_key = true;
		break;
	case M_KEY_NOISE_READY:
		if (c == NULL || c->state != CONN_ASKED ||
		    m->u.key_noise_ready.conn != c->number)
			nonsense(net);
		else
			ts2021_ready(c, &m->u.key_noise_ready);
		break;
	case M_KEY_NOISE_OK:
		if (c == NULL || c->state != CONN_CONFIRM ||
		    m->u.key_noise_ok.conn != c->number)
			nonsense(net);
		else
			ts2021_ok(c, &m->u.key_noise_ok);
		break;
	case M_KEY_NOISE_GONE:
		ts2021_gone(net, m->u.key_noise_gone.conn);
		break;
	case M_KEY_NOISE_NO:
		if (c == NULL || m->u.key_noise_no.conn != c->number)
			nonsense(net);
		else
			ts2021_no(c, m->u.key_noise_no.why);
		break;
	default:
		nonsense(net);
	}
	net_settle(net);
}

void
net_shutdown(struct net *net)
{
	struct conn *c, *next;

	net->ending = true;
	for (c = TAILQ_FIRST(&net->conns); c != NULL; c = next) {
		next = TAILQ_NEXT(c, entry);
		switch (c->state) {
		case CONN_HTTP:
			if (!http1_is_busy(c))
				conn_fail(c, NULL, "shutting down");
			else
				(void)http1_close(c);
			break;
		case CONN_H2:
		case CONN_OPEN:
			h2_shutdown(c);
			break;
		case CONN_PIPE:		/* the pipe's to end */
		case CONN_DONE:
			break;
		default:
			conn_fail(c, NULL, "shutting down");
		}
	}
	net_settle(net);
}
