#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "dbd/acme_int.h"
#include "dbd/alloc_int.h"
#include "dbd/batch_int.h"
#include "dbd/derpmap_int.h"
#include "dbd/handlers_int.h"
#include "dbd/health_int.h"
#include "dbd/objects_int.h"
#include "dbd/out_int.h"
#include "dbd/policy_int.h"
#include "dbd/relay_int.h"
#include "dbd/routes_int.h"
#include "dbd/session_int.h"
#include "dbd/worker_int.h"

/* Loading. */

static int
on_tailnet(const struct tailnet_row *row, void *arg)
{
	(void)tailnet_add(arg, row);
	return 0;
}

static int
on_user(const struct user_row *row, void *arg)
{
	struct tailnet *tn;

	if ((tn = tailnet_find(arg, row->tailnet)) == NULL)
		return -1;
	(void)user_add(tn, &row->user);
	return 0;
}

static int
on_authkey(const struct authkey_row *row, void *arg)
{
	struct tailnet *tn;

	if ((tn = tailnet_find(arg, row->tailnet)) == NULL)
		return -1;
	(void)authkey_add(tn, row);
	return 0;
}

static int
on_node(const struct node_row *row, void *arg)
{
	struct tailnet *tn;

	if ((tn = tailnet_find(arg, row->tailnet)) == NULL)
		return -1;
	(void)node_add(tn, row);
	return 0;
}

static int
on_rest(const struct rest_row *row, void *arg)
{
	struct tailnet *tn;

	if ((tn = tailnet_find(arg, row->tailnet)) == NULL)
		return -1;
	(void)rest_add(tn, row);
	return 0;
}

static int
load(struct dbd *d)
{
	struct tailnet *tn;

	if (store_load_tailnets(d->store, on_tailnet, d) == -1 ||
	    store_load_users(d->store, on_user, d) == -1 ||
	    store_load_authkeys(d->store, on_authkey, d) == -1 ||
	    store_load_nodes(d->store, on_node, d) == -1 ||
	    store_load_rests(d->store, on_rest, d) == -1 ||
	    derpurl_load(d) == -1 || dbacme_load(d) == -1)
		return -1;
	TAILQ_FOREACH(tn, &d->tailnets, all)
		if (policy_load(tn) == -1)
			return -1;
	return 0;
}

/* The first start: a tailnet whose policy says aloud that all may talk. */
static int
make_default(struct dbd *d)
{
	struct tailnet_row row;
	struct policy_row policy;
	uint8_t b[8];
	char stable[33] = "t";

	memset(&row, 0, sizeof(row));
	env_random(d->env, b, sizeof(b));
	hex_enc(stable + 1, b, sizeof(b));
	row.name = slice_str(DEFAULT_NAME);
	row.stable_id = slice_str(stable);
	/* What a file says is not known yet. */
	row.policy = d->conf.policy_file ? POLICY_DENY_ALL : POLICY_ALLOW_ALL;
	row.version = 1;
	row.created = env_wall(d->env);
	memset(&policy, 0, sizeof(policy));
	policy.kind = row.policy;
	policy.uid = UID_NONE;
	policy.at = row.created;
	policy.reason = slice_str("first start");

	if (store_begin(d->store) == -1)
		return -1;
	row.id = policy.tailnet = store_next_id(d->store, STORE_ID_TAILNET);
	if (row.id == 0 || store_put_tailnet(d->store, &row) == -1 ||
	    store_add_policy(d->store, &policy) == -1 ||
	    store_commit(d->store) == -1)
		return -1;
	(void)tailnet_add(d, &row);
	log_info("tailnet made name=%s policy=%s", DEFAULT_NAME,
	    row.policy == POLICY_ALLOW_ALL ? "allow-all" : "deny-all");
	return 0;
}

/* Life. */

static void
conf_set_edge(struct dbd *d, const struct dbd_conf *c)
{
	buf_clear(&d->derp_urls);
	buf_put(&d->derp_urls, c->derp_urls.p, c->derp_urls.n);
	msg_list_close(&d->conf.derp_urls, &d->derp_urls);
	buf_clear(&d->relay_host);
	buf_slice(&d->relay_host, c->relay_host);
	d->conf.relay_host = buf_slice_of(&d->relay_host);
	buf_clear(&d->acme_conf);
	msg_rec_encode(&d->acme_conf, MR_ACME, &c->acme);
	if (msg_rec_decode(&d->conf.acme, MR_ACME, d->acme_conf.p,
	    d->acme_conf.n) == -1)
		fatalx("own copy does not decode");
}

static void
conf_set(struct dbd *d, const struct dbd_conf *c)
{
	d->conf = *c;
	if (!slice_copy(d->base_domain, sizeof(d->base_domain),
	    c->base_domain))
		fatalx("base domain too long");
	d->conf.base_domain = slice_str(d->base_domain);
	buf_clear(&d->domains);
	buf_put(&d->domains, c->domains.p, c->domains.n);
	msg_list_close(&d->conf.domains, &d->domains);
	buf_clear(&d->policy_name);
	buf_slice(&d->policy_name, c->policy_name);
	d->conf.policy_name = buf_slice_of(&d->policy_name);
	buf_clear(&d->policy_text);
	buf_slice(&d->policy_text, c->policy_text);
	d->conf.policy_text = buf_slice_of(&d->policy_text);
	conf_set_edge(d, c);
}

static void
on_window(void *arg)
{
	struct dbd *d = arg;

	if (!env_ended(d->env))
		window_close(d);
}

static void
on_sweep(void *arg)
{
	struct dbd *d = arg;

	if (!env_ended(d->env))
		workers_sweep(d);
}

static void
on_lazy(void *arg)
{
	struct dbd *d = arg;
	bool more;

	if (env_ended(d->env))
		return;
	op_begin(d);
	more = lazy_write(d, BATCH_MAX);
	op_end(d);
	if (more)
		timer_in(&d->lazy, US_PER_S);
}

static void
indexes_init(struct dbd *d)
{
	ix_init(&d->nodes_by_id, d->env);
	ix_init(&d->nodes_by_key, d->env);
	relay_init(d);
	ix_init(&d->nodes_by_machine, d->env);
	ix_init(&d->users_by_id, d->env);
	ix_init(&d->keys_by_id, d->env);
	ix_init(&d->keys_by_hash, d->env);
	makers_init(d);
	TAILQ_INIT(&d->tailnets);
	TAILQ_INIT(&d->workers);
	TAILQ_INIT(&d->changed);
	TAILQ_INIT(&d->tellable);
	TAILQ_INIT(&d->used_keys);
	TAILQ_INIT(&d->tell);
	TAILQ_INIT(&d->seen);
	TAILQ_INIT(&d->ends);
	timer_init(&d->lazy, d->env, on_lazy, d);
	timer_init(&d->pieces, d->env, routes_pieces, d);
	timer_init(&d->window, d->env, on_window, d);
	timer_init(&d->sweep, d->env, on_sweep, d);
}

struct dbd *
dbd_new(struct env *env, struct store *store, const struct dbd_conf *conf,
    const uint8_t boot_secret[32], bool full_start, const struct dbd_ops *ops)
{
	struct dbd *d;
	struct tailnet *tn;

	d = xcalloc(1, sizeof(*d));
	d->env = env;
	d->store = store;
	d->ops = *ops;
	d->full_start = full_start;
	d->secret = secret_new(32);
	memcpy(secret_data(d->secret), boot_secret, 32);
	conf_set(d, conf);
	indexes_init(d);
	policyc_init(d);
	outlink_init(d);
	derpurl_init(d);
	health_init(d);
	dbacme_init(d);
	if (load(d) == -1 ||
	    (TAILQ_EMPTY(&d->tailnets) && make_default(d) == -1)) {
		log_warnx("the store cannot be read");
		dbd_free(d);
		return NULL;
	}
	TAILQ_FOREACH(tn, &d->tailnets, all) {
		alloc_start(tn);
		log_info("tailnet=%s nodes=%u users=%u seq=%llu", tn->name,
		    tn->nnodes, tn->nusers, (unsigned long long)tn->seq);
	}
	window_open(d);
	return d;
}

void
dbd_free(struct dbd *d)
{
	struct tailnet *tn;
	struct worker *w;

	if (d == NULL)
		return;
	d->freeing = true;
	policyc_free(d);
	dbacme_free(d);
	derpurl_free(d);
	health_free(d);
	outlink_free(d);
	ctlsock_free(d);
	while ((w = TAILQ_FIRST(&d->workers)) != NULL)
		worker_free(w);
	while ((tn = TAILQ_FIRST(&d->tailnets)) != NULL)
		tailnet_free(tn);
	timer_stop(&d->lazy);
	timer_stop(&d->pieces);
	timer_stop(&d->window);
	timer_stop(&d->sweep);
	outs_free(d);
	makers_free(d);
	ix_free(&d->nodes_by_id);
	ix_free(&d->nodes_by_key);
	relay_end(d);
	ix_free(&d->nodes_by_machine);
	ix_free(&d->users_by_id);
	ix_free(&d->keys_by_id);
	ix_free(&d->keys_by_hash);
	buf_free(&d->scratch);
	buf_free(&d->domains);
	buf_free(&d->policy_name);
	buf_free(&d->policy_text);
	buf_free(&d->derp_urls);
	buf_free(&d->relay_host);
	buf_free(&d->acme_conf);
	secret_free(d->secret);
	free(d);
}

void
dbd_reconf(struct dbd *d, const struct dbd_conf *conf)
{
	struct tailnet *tn;
	struct worker *w;
	struct held *h;
	bool domains, ranges;

	domains = !msg_list_eq(&d->conf.domains, &conf->domains);
	ranges = !prefix_eq(&d->conf.prefix4, &conf->prefix4) ||
	    !prefix_eq(&d->conf.prefix6, &conf->prefix6);
	conf_set(d, conf);
	TAILQ_FOREACH(tn, &d->tailnets, all)
		alloc_start(tn);
	TAILQ_FOREACH(w, &d->workers, all) {
		link_set_queue_max(w->link, conf->queue_max);
		/* A snapshot says the ranges. */
		if (ranges)
			TAILQ_FOREACH(h, &w->held, of_worker)
				h->due = h->due || !h->left;
	}
	policy_conf_changed(d, domains);
	relay_conf_changed(d);
	derpurl_conf(d);
	health_conf(d);
	dbacme_conf(d);
}

void
dbd_start(struct dbd *d)
{
	struct tailnet *tn;

	if (env_ended(d->env))
		return;
	TAILQ_FOREACH(tn, &d->tailnets, all)
		routes_auto_all(tn);
	routes_pieces(d);
	policy_alarm(d);
	policy_conf_changed(d, false);
	policy_again(d);
	policyc_go(d);
	derpurl_conf(d);
	dbacme_conf(d);
}

bool
dbd_conf_ok(const struct dbd_conf *c, char *why, size_t n)
{
	if (c->prefix4.addr.family == 0 && c->prefix6.addr.family == 0) {
		(void)strlcpy(why, "no prefix for node addresses", n);
		return false;
	}
	if ((c->prefix4.addr.family != 0 && c->prefix4.addr.family != 4) ||
	    (c->prefix6.addr.family != 0 && c->prefix6.addr.family != 6)) {
		(void)strlcpy(why, "a prefix is of the wrong family", n);
		return false;
	}
	if ((c->prefix4.addr.family == 4 && !alloc_usable(&c->prefix4)) ||
	    (c->prefix6.addr.family == 6 && !alloc_usable(&c->prefix6))) {
		(void)strlcpy(why, "a prefix has no address that a node may "
		    "have", n);
		return false;
	}
	return true;
}

void
dbd_finish(struct dbd *d)
{
	if (env_ended(d->env))
		return;
	op_begin(d);
	while (lazy_write(d, UINT32_MAX))
		;
	op_end(d);
	dbd_turn(d);
}

/* Links of workers. */

void
dbd_db_up(struct dbd *d, struct link *l)
{
	if (!env_ended(d->env))
		(void)worker_add(d, l);
}

void
dbd_db_down(struct dbd *d, struct link *l)
{
	struct worker *w;

	if ((w = worker_find(d, l)) == NULL)
		return;
	if (link_is_down(l) && link_down_why(l) == LINK_OVERFLOW)
		d->counts.behind++;
	worker_free(w);
}

const struct r_counters *
dbd_counters(const struct dbd *d)
{
	return &d->counts;
}

void
dbd_db_msg(struct dbd *d, struct link *l, const struct msg *m)
{
	struct worker *w;

	if (env_ended(d->env) || (w = worker_find(d, l)) == NULL)
		return;
	switch (m->type) {
	case M_DB_HAVE:
		on_have(w, m);
		break;
	case M_DB_RESUME:
		on_resume(w, m);
		break;
	case M_DB_HELLO_DONE:
		on_hello_done(w, m);
		break;
	case M_DB_REG:
		on_reg(w, m);
		break;
	case M_DB_MAP_OPEN:
		on_map_open(w, m);
		break;
	case M_DB_MAP_LITE:
		on_map_lite(w, m);
		break;
	case M_DB_MAP_STARTED:
		on_map_started(w, m);
		break;
	case M_DB_MAP_CLOSE:
		on_map_close(w, m);
		break;
	case M_DB_MAP_DEFER:
		on_map_defer(w, m);
		break;
	case M_DB_LEAVE:
		on_leave(w, m);
		break;
	case M_DB_RELAY_HOLD:
		on_relay_hold(w, m);
		break;
	case M_DB_RELAY_OPEN:
		on_relay_open(w, m);
		break;
	case M_DB_RELAY_CLOSE:
		on_relay_close(w, m);
		break;
	case M_DB_RELAY_ACTIVE:
		on_relay_active(w, m);
		break;
	case M_DB_NODE_KEY:
		on_node_key(w, m);
		break;
	case M_DB_CHALLENGE_OK:
		on_challenge_ok(w, m);
		break;
	case M_DB_DERPMAP_SAID:
		on_derpmap_said(w, m);
		break;
	case M_DB_DERP_NODE:
		on_derp_node(w, m);
		break;
	case M_DB_DERP_NODES:
		on_derp_nodes(w, m);
		break;
	default:
		fatalx("%s: no handler", msg_name(m->type));
	}
}
