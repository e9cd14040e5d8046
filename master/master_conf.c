#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "common/log.h"
#include "common/str.h"
#include "master/master_int.h"

struct target {
	struct master	*master;
	struct proc	*proc;
	uint32_t	 epoch;
};

static void
send(const struct target *t, const struct msg *m)
{
	struct super_ops ops;

	master_ops(t->master, &ops);
	ops.send(t->proc, m, t->master);
}

static void
add_texts(struct msg_list *list, struct buf *b, char *const *texts,
    unsigned int n)
{
	struct r_text r;
	unsigned int i;

	for (i = 0; i < n; i++) {
		r.v = slice_str(texts[i]);
		msg_list_add(list, b, MR_TEXT, &r);
	}
	msg_list_close(list, b);
}

static void
add_resolvers(struct msg_list *list, struct buf *b, char *const *texts,
    unsigned int n)
{
	struct r_resolver r;
	unsigned int i;

	for (i = 0; i < n; i++) {
		r.v = slice_str(texts[i]);
		msg_list_add(list, b, MR_RESOLVER, &r);
	}
	msg_list_close(list, b);
}

static void
add_splits(struct msg_list *list, struct buf *b, const struct conf *conf)
{
	const struct conf_split *s;
	struct r_split r;
	struct buf inner;
	unsigned int i;

	for (i = 0; i < conf->nsplits; i++) {
		s = &conf->splits[i];
		memset(&r, 0, sizeof(r));
		memset(&inner, 0, sizeof(inner));
		r.suffix = slice_str(s->suffix);
		add_resolvers(&r.resolvers, &inner, s->resolvers,
		    s->nresolvers);
		msg_list_add(list, b, MR_SPLIT, &r);
		buf_free(&inner);
	}
	msg_list_close(list, b);
}

static void
add_prefixes(struct msg_list *list, struct buf *b, const struct prefix *p,
    unsigned int n)
{
	struct r_route r;
	unsigned int i;

	for (i = 0; i < n; i++) {
		r.v = p[i];
		msg_list_add(list, b, MR_ROUTE, &r);
	}
	msg_list_close(list, b);
}

/* Nothing of it is said while there is none. */
static void
set_relay(struct r_relay *r, const struct conf *c)
{
	const struct conf_derp *d = &c->derp;

	if (!d->enabled)
		return;
	r->enabled = true;
	r->plain = d->plain;
	r->in_map = d->in_map;
	r->region = d->region;
	r->code = slice_str(d->code);
	r->name = slice_str(d->name);
	r->host = slice_str(c->server_host);
	r->port = d->port;
	r->ip4 = slice_str(d->ip4);
	r->ip6 = slice_str(d->ip6);
	r->stun_port = d->stun_port;
	r->insecure = d->insecure;
	r->port80 = d->port80;
	r->rate = d->rate;
	r->burst = d->burst;
}

static void
send_worker(const struct target *t, const struct conf *c)
{
	struct buf resolvers = { 0 }, search = { 0 }, split = { 0 };
	struct buf proxies = { 0 }, askers = { 0 };
	struct m_cfg_conf_worker *w;
	struct msg m;

	msg_init(&m, M_CFG_CONF_WORKER);
	w = &m.u.cfg_conf_worker;
	w->epoch = t->epoch;
	w->server_url = slice_str(c->server_url);
	w->base_domain = slice_str(c->base_domain);
	w->magic_dns = c->magic_dns;
	w->override_local = c->override_local;
	add_resolvers(&w->resolvers, &resolvers, c->resolvers, c->nresolvers);
	add_texts(&w->search, &search, c->search, c->nsearch);
	add_splits(&w->split, &split, c);
	w->max_conns = c->limits.connections;
	w->per_source = c->limits.per_source;
	w->handshake_s = c->times.handshake_s;
	w->idle_s = c->times.idle_s;
	w->header_max = c->limits.header_max;
	w->body_max = c->limits.body_max;
	w->keepalive_s = c->times.keepalive_s;
	w->stall_s = c->times.stall_s;
	w->overload_ms = c->times.overload_ms;
	w->randomize_port = c->randomize_port;
	w->taildrop = c->taildrop;
	w->disable_logtail = !c->logtail;
	set_relay(&w->relay, c);
	add_prefixes(&w->proxies, &proxies, c->proxies, c->nproxies);
	w->hsts = c->hsts;
	add_prefixes(&w->verify_from, &askers, c->derp.verify_from,
	    c->derp.nverify_from);
	send(t, &m);
	buf_free(&askers);
	buf_free(&proxies);
	buf_free(&resolvers);
	buf_free(&search);
	buf_free(&split);
}

/* It points into what both buffers get. */
static void
set_acme(struct r_acme *r, const struct conf *c, struct buf *contact,
    struct buf *names)
{
	const struct conf_acme *a = &c->acme;

	add_texts(&r->contact, contact, a->contact,
	    a->nnames == 0 ? 0 : a->ncontacts);
	add_texts(&r->names, names, a->names, a->nnames);
	if (a->nnames == 0)
		return;
	r->directory = slice_str(a->directory);
	r->challenge = a->alpn ? 2 : 1;
}

static void
send_dbd(const struct target *t, const struct conf *c)
{
	struct buf domains = { 0 }, urls = { 0 }, contact = { 0 };
	struct buf names = { 0 };
	struct m_cfg_conf_dbd *d;
	struct msg m;

	msg_init(&m, M_CFG_CONF_DBD);
	d = &m.u.cfg_conf_dbd;
	d->epoch = t->epoch;
	d->base_domain = slice_str(c->base_domain);
	d->prefix4 = c->prefix4;
	d->prefix6 = c->prefix6;
	d->random = c->random;
	d->grace_ms = c->times.grace_ms;
	d->ephemeral_s = c->times.ephemeral_s;
	d->resume_ms = c->times.resume_ms;
	d->presume_s = c->times.presume_s;
	d->node_expiry_s = c->times.node_expiry_s;
	d->max_nodes = c->limits.nodes;
	d->budget_burst = c->limits.node_burst;
	d->budget_refill_ms = c->limits.node_refill_ms;
	d->queue_max = c->limits.worker_queue;
	d->log_keep = c->limits.change_log;
	add_texts(&d->domains, &domains, c->domains, c->ndomains);
	d->policy_file = c->files.policy != NULL;
	d->verify_clients = c->derp.verify;
	add_texts(&d->derp_urls, &urls, c->fetch.urls, c->fetch.nurls);
	d->derp_update_s = c->fetch.update_s;
	set_acme(&d->acme, c, &contact, &names);
	if (c->derp.enabled)
		d->relay_host = slice_str(c->server_host);
	d->derp_avoid_s = c->fetch.avoid_s;
	send(t, &m);
	buf_free(&domains);
	buf_free(&urls);
	buf_free(&contact);
	buf_free(&names);
}

/* As it was when it was last read: a file that is bad later changes nothing. */
static void
send_policy(const struct target *t, const struct conf *c, bool staged)
{
	struct msg m;

	if (c->files.policy == NULL)
		return;
	msg_init(&m, M_CFG_FILE);
	m.fd = files_get(t->master->files, FILE_POLICY, staged, 0);
	if (m.fd == -1)		/* logged; dbd says that it lacks */
		return;
	m.u.cfg_file.kind = FILE_POLICY;
	m.u.cfg_file.epoch = t->epoch;
	m.u.cfg_file.name = slice_str(c->files.policy);
	send(t, &m);
}

static void
send_keyd(const struct target *t, const struct conf *c)
{
	struct buf contact = { 0 }, names = { 0 };
	struct msg m;

	msg_init(&m, M_CFG_CONF_KEYD);
	m.u.cfg_conf_keyd.epoch = t->epoch;
	m.u.cfg_conf_keyd.pending_max = c->limits.handshakes;
	m.u.cfg_conf_keyd.pending_ms = c->times.confirm_ms;
	if (c->self_signed)
		m.u.cfg_conf_keyd.self_signed = slice_str(c->server_host);
	set_acme(&m.u.cfg_conf_keyd.acme, c, &contact, &names);
	send(t, &m);
	buf_free(&contact);
	buf_free(&names);
}

static void
send_out(const struct target *t, const struct conf *c)
{
	struct buf allow = { 0 };
	struct msg m;

	msg_init(&m, M_CFG_CONF_OUT);
	m.u.cfg_conf_out.epoch = t->epoch;
	add_prefixes(&m.u.cfg_conf_out.allow, &allow, c->fetch.allow,
	    c->fetch.nallow);
	send(t, &m);
	buf_free(&allow);
}

static void
send_stun(const struct target *t, const struct conf *c)
{
	struct msg m;

	msg_init(&m, M_CFG_CONF_STUN);
	m.u.cfg_conf_stun.epoch = t->epoch;
	m.u.cfg_conf_stun.source_rate = c->derp.stun_rate;
	m.u.cfg_conf_stun.source_burst = c->derp.stun_burst;
	send(t, &m);
}

/* keyd gets each key with its certificate, workers the latter alone. */
static void
send_pairs(const struct target *t, const struct conf *c, bool staged)
{
	bool keyd = proc_role(t->proc) == ROLE_KEYD, key;
	struct msg m;
	unsigned int i;

	for (i = 0; i < (keyd ? 2 * c->npairs : c->npairs); i++) {
		key = keyd && i % 2 == 0;
		msg_init(&m, M_CFG_FILE);
		m.u.cfg_file.kind = key ? FILE_TLS_KEY : FILE_TLS_CERT;
		m.u.cfg_file.number = (uint16_t)((keyd ? i / 2 : i) + 1);
		m.u.cfg_file.epoch = t->epoch;
		m.u.cfg_file.name = slice_str(key ?
		    c->pairs[m.u.cfg_file.number - 1].key :
		    c->pairs[m.u.cfg_file.number - 1].certificate);
		m.fd = keypairs_get(t->master->pairs, staged,
		    m.u.cfg_file.number, key);
		if (m.fd != -1)	/* else they say what they lack */
			send(t, &m);
	}
}

/* Sockets of UDP are stun's, all others the workers'. */
static bool
is_for(const struct target *t, const struct listening *l)
{
	return (l->kind == CONF_UDP) == (proc_role(t->proc) == ROLE_STUN);
}

static void
send_listener(const struct listening *l, void *arg)
{
	const struct target *t = arg;
	struct msg m;
	unsigned int i;

	if (!is_for(t, l))
		return;
	for (i = 0; i < l->nfds; i++) {
		msg_init(&m, M_CFG_LISTEN);
		m.fd = fcntl(l->fds[i], F_DUPFD_CLOEXEC, 0);
		if (m.fd == -1) {
			log_warn("descriptor of %s", l->text);
			return;
		}
		m.u.cfg_listen.kind = (uint8_t)l->kind;
		m.u.cfg_listen.proxy = l->proxy;
		m.u.cfg_listen.listener = l->number;
		m.u.cfg_listen.slot = (uint16_t)(i + 1);
		m.u.cfg_listen.epoch = t->epoch;
		m.u.cfg_listen.address = slice_str(l->text);
		send(t, &m);
	}
}

static void
send_unlisten(const struct listening *l, void *arg)
{
	const struct target *t = arg;
	struct msg m;

	if (!is_for(t, l))
		return;
	msg_init(&m, M_CFG_UNLISTEN);
	m.u.cfg_unlisten.listener = l->number;
	m.u.cfg_unlisten.epoch = t->epoch;
	send(t, &m);
}

/*
 * A file may have become bad since the last reload: to a worker that starts
 * now, and refuses it, an older one is given, and at last none.
 */
static void
send_file(const struct target *t, enum file_kind kind, bool staged)
{
	const struct conf_files *f = &t->master->conf->files;
	const char *path = kind == FILE_DERP_MAP ? f->derp_map : f->records;
	unsigned int tries = proc_refusals(t->proc);
	int fd;

	fd = files_get(t->master->files, kind, staged, tries);
	if (!staged && tries > 0 && path != NULL)
		log_warnx("%s starts %s %s", proc_name(t->proc), fd == -1 ?
		    "without" : "with an older", path);
	master_send_file(t->master, t->proc, kind, t->epoch, fd);
}

void
master_configure(struct proc *p, uint32_t epoch, void *arg)
{
	struct master *ms = arg;
	struct target t = { ms, p, epoch };
	bool staged = epoch == ms->next_epoch;
	const struct conf *c = staged ? ms->next : ms->conf;

	switch (proc_role(p)) {
	case ROLE_KEYD:
		send_keyd(&t, c);
		send_pairs(&t, c, staged);
		break;
	case ROLE_STUN:
		send_stun(&t, c);
		if (proc_state(p) == PROC_STARTING)
			listen_each(ms->listeners, LISTEN_NOW, send_listener,
			    &t);
		break;
	case ROLE_OUT:
		send_out(&t, c);
		break;
	case ROLE_DBD:
		send_dbd(&t, c);
		send_policy(&t, c, staged);
		break;
	default:
		send_worker(&t, c);
		send_pairs(&t, c, staged);
		/* Those that a reload adds follow its commit. */
		if (!proc_is_check(p) && proc_state(p) == PROC_STARTING)
			listen_each(ms->listeners, LISTEN_NOW, send_listener,
			    &t);
		send_file(&t, FILE_DERP_MAP, staged);
		send_file(&t, FILE_RECORDS, staged);
		break;
	}
}

unsigned int
master_wants(uint32_t epoch, void *arg)
{
	const struct master *ms = arg;
	const struct conf *c = epoch == ms->next_epoch ? ms->next : ms->conf;
	unsigned int bits = 0;

	if (c->acme.nnames > 0)
		bits |= SUPER_ACME | SUPER_SIG | SUPER_KEYS;
	if (fetchdir_ready(ms->fetch, epoch == ms->next_epoch))
		bits |= SUPER_OUT;
	if (c->npairs > 0 || c->self_signed)
		bits |= SUPER_SIG;
	if (c->derp.enabled)
		bits |= SUPER_MESH;
	if (c->derp.nstun > 0)
		bits |= SUPER_STUN;
	/* That of Noise is read at the start alone. */
	if (c->npairs > 0 || c->derp.enabled || ms->check)
		bits |= SUPER_KEYS;
	return bits;
}

void
master_say_out(const struct master *ms)
{
	const struct conf *c = ms->conf;
	bool cert = c->acme.nnames > 0, maps = c->fetch.nurls > 0;

	if (fetchdir_ready(ms->fetch, false))
		log_info("fetch out connects to others for%s%s%s",
		    cert ? " a certificate," : "", maps ? " DERP maps," : "",
		    " the health of relays");
}

void
master_say_relay(const struct master *ms)
{
	const struct conf_derp *d = &ms->conf->derp;

	if (d->enabled)
		log_info("relay: region %u, %s", d->region, d->verify ?
		    "nodes of ours only" : "open to everybody");
}

static void
send_changes(struct proc *p, void *arg)
{
	struct master *ms = arg;
	struct target t = { ms, p, ms->epoch };

	if ((proc_role(p) != ROLE_WORKER && proc_role(p) != ROLE_STUN) ||
	    proc_is_check(p) || proc_state(p) != PROC_RUN)
		return;
	listen_each(ms->listeners, LISTEN_REMOVED, send_unlisten, &t);
	listen_each(ms->listeners, LISTEN_ADDED, send_listener, &t);
}

void
master_send_listeners(struct master *ms)
{
	super_each(ms->super, send_changes, ms);
}
