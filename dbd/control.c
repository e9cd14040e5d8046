#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/version.h"
#include "dbd/acme_int.h"
#include "dbd/control_int.h"
#include "dbd/policy_int.h"

#define CONNS_MAX	32U
#define CONNS_UID	8U
#define REFUSED_UID	8U		/* more, that are only told why */
#define HELLO_S		10
#define IDLE_S		60
#define ASKS_MAX	64U
#define VERDICT_US	(45 * US_PER_S)	/* on the policy of a reload */

#define WHY_LEN		256

/* Answers. */

void
ctl_yes(struct conn *c, const struct msg *to, uint64_t id)
{
	struct msg m;

	msg_init(&m, M_CTL_OK);
	m.id = to->id;
	m.u.ctl_ok.id = id;
	batch_reply(c->d, c->link, &m);
}

void
ctl_no(struct conn *c, const struct msg *to, const char *why)
{
	struct slice text = slice_str(why);
	struct msg m;

	if (text.n == 0)
		text = slice_str("refused");
	else if (text.n > 512 || !utf8_ok(text.p, text.n))
		text = slice_str(log_vis(text));
	msg_init(&m, M_CTL_NO);
	m.id = to->id;
	m.u.ctl_no.text = text;
	batch_reply(c->d, c->link, &m);
}

/* The answer to a change, and its line in the log. */
static void
changed(struct conn *c, const struct msg *m, int rc, uint64_t id,
    const char *why)
{
	if (rc == -1) {
		log_info("control uid=%u request=%s id=%llu refused=\"%s\"",
		    c->uid, msg_name(m->type), (unsigned long long)id,
		    log_vis(slice_str(why)));
		ctl_no(c, m, why);
		return;
	}
	log_info("control uid=%u request=%s id=%llu", c->uid,
	    msg_name(m->type), (unsigned long long)id);
	ctl_yes(c, m, id);
}

/* Handlers, one for each message. */

static void
on_hello(struct conn *c, const struct msg *m)
{
	char why[160];

	if (c->refused) {
		(void)snprintf(why, sizeof(why), "uid %u has %u control "
		    "connections open, which is the limit", c->uid, CONNS_UID);
		ctl_no(c, m, why);
	} else if (m->u.ctl_hello.table != MSG_TABLE_SUM) {
		ctl_no(c, m, "the server is headscaled " HEADSCALED_VERSION
		    ", built from other messages: use its own headscalectl");
	} else {
		link_set_state(c->link, MSG_RUN);
		ctl_yes(c, m, 0);
	}
}

static void
on_user_add(struct conn *c, const struct msg *m)
{
	const struct m_ctl_user_add *a = &m->u.ctl_user_add;
	char why[WHY_LEN] = "";
	uint64_t id = 0;
	int rc;

	rc = op_user_add(c->d, a->name, a->display, &id, c->uid, why,
	    sizeof(why));
	changed(c, m, rc, id, why);
}

static void
on_user_list(struct conn *c, const struct msg *m)
{
	list_start(c, LIST_USERS, m);
}

static void
on_user_rename(struct conn *c, const struct msg *m)
{
	const struct m_ctl_user_rename *a = &m->u.ctl_user_rename;
	char why[WHY_LEN] = "";

	changed(c, m, op_user_rename(c->d, a->id, a->name, c->uid, why,
	    sizeof(why)), a->id, why);
}

static void
on_user_delete(struct conn *c, const struct msg *m)
{
	uint64_t id = m->u.ctl_user_delete.id;
	char why[WHY_LEN] = "";

	changed(c, m, op_user_delete(c->d, id, c->uid, why, sizeof(why)), id,
	    why);
}

static void
on_user_role(struct conn *c, const struct msg *m)
{
	const struct m_ctl_user_role *a = &m->u.ctl_user_role;
	char why[WHY_LEN] = "";

	changed(c, m, op_user_role(c->d, a->id, a->role, c->uid, why,
	    sizeof(why)), a->id, why);
}

static void
on_key_create(struct conn *c, const struct msg *m)
{
	const struct m_ctl_key_create *a = &m->u.ctl_key_create;
	char why[WHY_LEN] = "";
	struct key_made made;
	struct key_spec spec;
	struct msg r;

	memset(&made, 0, sizeof(made));
	memset(&spec, 0, sizeof(spec));
	spec.user = a->user;
	spec.reusable = a->reusable;
	spec.ephemeral = a->ephemeral;
	spec.expires_s = a->expires_s;
	spec.tags = a->tags;
	if (op_key_create(c->d, &spec, &made, c->uid, why, sizeof(why)) ==
	    -1) {
		changed(c, m, -1, a->user, why);
		return;
	}
	log_info("control uid=%u request=%s id=%llu user=%llu", c->uid,
	    msg_name(m->type), (unsigned long long)made.id,
	    (unsigned long long)a->user);
	msg_init(&r, M_CTL_KEY_MADE);
	r.id = m->id;
	r.u.ctl_key_made.id = made.id;
	r.u.ctl_key_made.secret = slice_str(made.secret);
	r.u.ctl_key_made.expiry = made.expiry;
	batch_reply(c->d, c->link, &r);
	wipe(&made, sizeof(made));
}

static void
on_key_list(struct conn *c, const struct msg *m)
{
	list_start(c, LIST_KEYS, m);
}

static void
on_key_expire(struct conn *c, const struct msg *m)
{
	uint64_t id = m->u.ctl_key_expire.id;
	char why[WHY_LEN] = "";

	changed(c, m, op_key_expire(c->d, id, c->uid, why, sizeof(why)), id,
	    why);
}

static void
on_key_delete(struct conn *c, const struct msg *m)
{
	uint64_t id = m->u.ctl_key_delete.id;
	char why[WHY_LEN] = "";

	changed(c, m, op_key_delete(c->d, id, c->uid, why, sizeof(why)), id,
	    why);
}

static void
on_node_list(struct conn *c, const struct msg *m)
{
	list_start(c, LIST_NODES, m);
}

static void
on_node_rename(struct conn *c, const struct msg *m)
{
	const struct m_ctl_node_rename *a = &m->u.ctl_node_rename;
	char why[WHY_LEN] = "";

	changed(c, m, op_node_rename(c->d, a->id, a->name, c->uid, why,
	    sizeof(why)), a->id, why);
}

static void
on_node_tag(struct conn *c, const struct msg *m)
{
	const struct m_ctl_node_tag *a = &m->u.ctl_node_tag;
	char why[WHY_LEN] = "";

	changed(c, m, op_node_tag(c->d, a->id, &a->tags, c->uid, why,
	    sizeof(why)), a->id, why);
}

static void
on_node_move(struct conn *c, const struct msg *m)
{
	const struct m_ctl_node_move *a = &m->u.ctl_node_move;
	char why[WHY_LEN] = "";

	changed(c, m, op_node_move(c->d, a->id, a->user, c->uid, why,
	    sizeof(why)), a->id, why);
}

static void
on_node_expire(struct conn *c, const struct msg *m)
{
	const struct m_ctl_node_expire *a = &m->u.ctl_node_expire;
	char why[WHY_LEN] = "";

	changed(c, m, op_node_expire(c->d, a->id, a->at, c->uid, why,
	    sizeof(why)), a->id, why);
}

static void
on_node_logout(struct conn *c, const struct msg *m)
{
	uint64_t id = m->u.ctl_node_logout.id;
	char why[WHY_LEN] = "";

	changed(c, m, op_node_logout(c->d, id, c->uid, why, sizeof(why)), id,
	    why);
}

static void
on_node_delete(struct conn *c, const struct msg *m)
{
	uint64_t id = m->u.ctl_node_delete.id;
	char why[WHY_LEN] = "";

	changed(c, m, op_node_delete(c->d, id, c->uid, why, sizeof(why)), id,
	    why);
}

static void
on_node_routes(struct conn *c, const struct msg *m)
{
	const struct m_ctl_node_routes *a = &m->u.ctl_node_routes;
	char why[WHY_LEN] = "";

	changed(c, m, op_node_routes(c->d, a->id, &a->routes, a->approve,
	    c->uid, why, sizeof(why)), a->id, why);
}

static void
on_exposure(struct conn *c, const struct msg *m)
{
	const struct m_ctl_exposure *a = &m->u.ctl_exposure;
	char why[WHY_LEN] = "";
	uint32_t n = 0;
	int rc;

	if (a->revoke && c->list.kind == LIST_NONE) {
		rc = op_exposure_revoke(c->d, a->slot, a->generation, &n,
		    c->uid, why, sizeof(why));
		if (rc == -1) {
			changed(c, m, -1, a->slot, why);
			return;
		}
		log_info("control uid=%u request=%s slot=%u generation=%llu "
		    "revoked=%u", c->uid, msg_name(m->type), a->slot,
		    (unsigned long long)a->generation, n);
	}
	list_start(c, LIST_EXPOSURES, m);
}

static void
on_derp_list(struct conn *c, const struct msg *m)
{
	list_start(c, LIST_RELAYS, m);
}

static void
on_cert_list(struct conn *c, const struct msg *m)
{
	list_start(c, LIST_CERTS, m);
}

static void
on_cert_renew(struct conn *c, const struct msg *m)
{
	char why[WHY_LEN] = "";

	changed(c, m, op_cert_renew(c->d, m->u.ctl_cert_renew.revoke, why,
	    sizeof(why)), 0, why);
}

/* What only master knows. */

static void	on_late(void *);

static void
ask(struct conn *c, const struct msg *m, const struct msg *question)
{
	struct ask *a;

	/* They outlive their connections, of which one may have many. */
	if (c->d->control->nasks >= ASKS_MAX) {
		ctl_no(c, m, "too much is asked of master: try again later");
		return;
	}
	c->d->control->nasks++;
	a = xcalloc(1, sizeof(*a));
	a->conn = c;
	a->d = c->d;
	timer_init(&a->bound, c->d->env, on_late, a);
	a->type = m->type;
	a->id = m->id;
	TAILQ_INSERT_TAIL(&c->d->control->asks, a, all);
	c->asking++;
	c->d->ops.ask_master(question, a, c->d->ops.arg);
}

static void
on_status(struct conn *c, const struct msg *m)
{
	struct msg q;

	msg_init(&q, M_CFG_CTL_STATUS);
	ask(c, m, &q);
}

static void
on_reload(struct conn *c, const struct msg *m)
{
	struct msg q;

	log_info("control uid=%u request=%s", c->uid, msg_name(m->type));
	msg_init(&q, M_CFG_CTL_RELOAD);
	q.u.cfg_ctl_reload.uid = c->uid;
	ask(c, m, &q);
}

static void
on_verbose(struct conn *c, const struct msg *m)
{
	struct msg q;

	log_info("control uid=%u request=%s verbose=%u", c->uid,
	    msg_name(m->type), m->u.ctl_verbose.verbose);
	msg_init(&q, M_CFG_CTL_VERBOSE);
	q.u.cfg_ctl_verbose.verbose = m->u.ctl_verbose.verbose;
	ask(c, m, &q);
}

static struct ask *
ask_find(struct dbd *d, const void *tag)
{
	struct ask *a;

	if (d->control == NULL)
		return NULL;
	TAILQ_FOREACH(a, &d->control->asks, all)
		if (a == tag)
			return a;
	return NULL;
}

void
dbd_master_row(struct dbd *d, void *tag, const struct msg *row)
{
	const struct m_cfg_ctl_row *r = &row->u.cfg_ctl_row;
	struct m_ctl_proc *p;
	struct ask *a;
	struct msg m;

	if ((a = ask_find(d, tag)) == NULL || a->conn == NULL ||
	    a->type != M_CTL_STATUS)
		return;
	msg_init(&m, M_CTL_PROC);
	m.id = a->id;
	p = &m.u.ctl_proc;
	p->role = r->role;
	p->slot = r->slot;
	p->generation = r->generation;
	p->pid = r->pid;
	p->state = r->state;
	p->uptime_s = r->uptime_s;
	p->starts = r->starts;
	p->streams = r->streams;
	p->sessions = r->sessions;
	p->conns = r->conns;
	p->counts = r->counts;
	a->rows++;
	batch_reply(d, a->conn->link, &m);
}

static void
status_end(struct dbd *d, struct ask *a)
{
	struct m_ctl_summary *s;
	struct tailnet *tn;
	char policy[64];
	struct msg m;

	TAILQ_FOREACH(tn, &d->tailnets, all) {
		msg_init(&m, M_CTL_SUMMARY);
		m.id = a->id;
		s = &m.u.ctl_summary;
		s->tailnet = tn->id;
		s->name = slice_str(tn->name);
		s->nodes = tn->nnodes;
		s->online = tn->nonline;
		s->users = tn->nusers;
		s->seq = tn->seq;
		policy_name(tn, policy, sizeof(policy));
		s->policy = slice_str(policy);
		if (tn == tailnet_default(d))
			s->refused = slice_str(d->file_no);
		a->rows++;
		batch_reply(d, a->conn->link, &m);
	}
	msg_init(&m, M_CTL_END);
	m.id = a->id;
	m.u.ctl_end.count = a->rows;
	batch_reply(d, a->conn->link, &m);
}

static void
ask_free(struct ask *a)
{
	TAILQ_REMOVE(&a->d->control->asks, a, all);
	a->d->control->nasks--;
	timer_stop(&a->bound);
	buf_free(&a->text);
	free(a);
}

static void
answer(struct ask *a, bool ok, struct slice text)
{
	struct msg m;

	msg_init(&m, ok ? M_CTL_OK : M_CTL_NO);
	m.id = a->id;
	if (ok)
		m.u.ctl_ok.text = text;
	else
		m.u.ctl_no.text = text.n > 0 ? text :
		    slice_str("refused by master");
	batch_reply(a->d, a->conn->link, &m);
}

/* All of the reload is in force but what the policy's file says. */
static void
answer_no_policy(struct ask *a, const char *why)
{
	struct msg m;

	msg_init(&m, M_CTL_POLICY_BAD);
	m.id = a->id;
	m.u.ctl_policy_bad.text = slice_str(why);
	batch_reply(a->d, a->conn->link, &m);
}

/* It has waited, or need not: the connection may be gone by now. */
static void
ask_end(struct ask *a, bool ok, struct slice text)
{
	struct dbd *d = a->d;

	if (a->conn != NULL) {
		a->conn->asking--;
		timer_in(&a->conn->deadline, IDLE_S * US_PER_S);
		if (ok && a->type == M_CTL_STATUS)
			status_end(d, a);
		else if (ok && a->type == M_CTL_RELOAD &&
		    d->file_no[0] != '\0')
			answer_no_policy(a, d->file_no);
		else
			answer(a, ok, text);
	}
	ask_free(a);
}

/* The text of the file is being compiled, or waits for that. */
static bool
is_undecided(const struct dbd *d)
{
	return d->conf.policy_file && d->file_due && d->file_no[0] == '\0';
}

static void
on_late(void *arg)
{
	struct ask *a = arg;
	char why[WHY_LEN];

	(void)snprintf(why, sizeof(why), "%.120s: it is still being worked "
	    "on: the status tells what comes of it",
	    log_vis(a->d->conf.policy_name));
	if (a->conn != NULL) {
		a->conn->asking--;
		timer_in(&a->conn->deadline, IDLE_S * US_PER_S);
		answer_no_policy(a, why);
	}
	ask_free(a);
}

void
control_settle(struct dbd *d)
{
	struct ask *a, *next;

	if (d->control == NULL || is_undecided(d))
		return;
	TAILQ_FOREACH_SAFE(a, &d->control->asks, all, next)
		if (a->waits)
			ask_end(a, true, buf_slice_of(&a->text));
}

/* Master tells us to commit before it says that the reload is done. */
void
dbd_master_done(struct dbd *d, void *tag, const struct msg *done)
{
	const struct m_cfg_ctl_done *r = &done->u.cfg_ctl_done;
	struct ask *a;

	if ((a = ask_find(d, tag)) == NULL)
		return;
	if (!r->ok || a->type != M_CTL_RELOAD || !is_undecided(d)) {
		ask_end(a, r->ok, r->text);
		return;
	}
	buf_slice(&a->text, r->text);
	a->waits = true;
	timer_in(&a->bound, VERDICT_US);
}

/* Connections. */

static struct control *
control_get(struct dbd *d)
{
	if (d->control == NULL) {
		d->control = xcalloc(1, sizeof(*d->control));
		TAILQ_INIT(&d->control->conns);
		TAILQ_INIT(&d->control->asks);
	}
	return d->control;
}

static struct conn *
conn_find(struct dbd *d, const struct link *l)
{
	struct conn *c;

	TAILQ_FOREACH(c, &control_get(d)->conns, all)
		if (c->link == l)
			return c;
	return NULL;
}

static void
conn_free(struct conn *c)
{
	struct control *ctl = c->d->control;
	struct ask *a;

	TAILQ_FOREACH(a, &ctl->asks, all)
		if (a->conn == c)
			a->conn = NULL;
	policy_ask_forget(c);
	list_stop(c);
	timer_stop(&c->deadline);
	batch_forget(c->d, c->link);
	TAILQ_REMOVE(&ctl->conns, c, all);
	ctl->n--;
	free(c);
}

/* Master takes its time; everybody else is slow, or gone to lunch. */
static void
on_deadline(void *arg)
{
	struct conn *c = arg;

	if (c->asking > 0) {
		timer_in(&c->deadline, IDLE_S * US_PER_S);
		return;
	}
	log_debug("control uid=%u closed: idle or stalled", c->uid);
	link_eof(c->link);
}

void
dbd_ctl_up(struct dbd *d, struct link *l, uint32_t uid)
{
	struct control *ctl = control_get(d);
	struct conn *c;
	unsigned int same = 0;

	TAILQ_FOREACH(c, &ctl->conns, all)
		same += c->uid == uid;
	if (ctl->n >= CONNS_MAX || same >= CONNS_UID + REFUSED_UID) {
		log_warnx("control uid=%u refused: %u connections, %u of them "
		    "its own", uid, ctl->n, same);
		link_eof(l);
		return;
	}
	c = xcalloc(1, sizeof(*c));
	c->d = d;
	c->link = l;
	c->uid = uid;
	c->refused = same >= CONNS_UID;
	if (c->refused)
		log_warnx("control uid=%u refused: %u connections", uid, same);
	timer_init(&c->pump, d->env, list_pump, c);
	timer_init(&c->deadline, d->env, on_deadline, c);
	timer_in(&c->deadline, HELLO_S * US_PER_S);
	TAILQ_INSERT_TAIL(&ctl->conns, c, all);
	ctl->n++;
}

static const struct {
	enum msg_type	 type;
	void		(*fn)(struct conn *, const struct msg *);
} handlers[] = {
	{ M_CTL_HELLO, on_hello },
	{ M_CTL_USER_ADD, on_user_add },
	{ M_CTL_USER_LIST, on_user_list },
	{ M_CTL_USER_RENAME, on_user_rename },
	{ M_CTL_USER_DELETE, on_user_delete },
	{ M_CTL_KEY_CREATE, on_key_create },
	{ M_CTL_KEY_LIST, on_key_list },
	{ M_CTL_KEY_EXPIRE, on_key_expire },
	{ M_CTL_KEY_DELETE, on_key_delete },
	{ M_CTL_NODE_LIST, on_node_list },
	{ M_CTL_NODE_RENAME, on_node_rename },
	{ M_CTL_NODE_TAG, on_node_tag },
	{ M_CTL_NODE_MOVE, on_node_move },
	{ M_CTL_NODE_EXPIRE, on_node_expire },
	{ M_CTL_NODE_LOGOUT, on_node_logout },
	{ M_CTL_NODE_DELETE, on_node_delete },
	{ M_CTL_USER_ROLE, on_user_role },
	{ M_CTL_NODE_ROUTES, on_node_routes },
	{ M_CTL_POLICY_PART, on_policy_part },
	{ M_CTL_POLICY_SET, on_policy_set },
	{ M_CTL_POLICY_CHECK, on_policy_check },
	{ M_CTL_POLICY_DIFF, on_policy_diff },
	{ M_CTL_POLICY_WHY, on_policy_why },
	{ M_CTL_POLICY_GET, on_policy_get },
	{ M_CTL_POLICY_HISTORY, on_policy_history },
	{ M_CTL_POLICY_ROLLBACK, on_policy_rollback },
	{ M_CTL_STATUS, on_status },
	{ M_CTL_EXPOSURE, on_exposure },
	{ M_CTL_DERP_LIST, on_derp_list },
	{ M_CTL_CERT_LIST, on_cert_list },
	{ M_CTL_CERT_RENEW, on_cert_renew },
	{ M_CTL_RELOAD, on_reload },
	{ M_CTL_VERBOSE, on_verbose },
};

void
dbd_ctl_msg(struct dbd *d, struct link *l, const struct msg *m)
{
	struct conn *c;
	size_t i;

	if ((c = conn_find(d, l)) == NULL)
		return;
	if (!c->refused)
		timer_in(&c->deadline, IDLE_S * US_PER_S);
	for (i = 0; i < sizeof(handlers) / sizeof(handlers[0]); i++)
		if (handlers[i].type == m->type) {
			handlers[i].fn(c, m);
			return;
		}
	fatalx("%s: no handler", msg_name(m->type));
}

void
dbd_ctl_down(struct dbd *d, struct link *l)
{
	struct conn *c;

	if ((c = conn_find(d, l)) != NULL)
		conn_free(c);
}

void
ctlsock_free(struct dbd *d)
{
	struct conn *c;
	struct ask *a;

	if (d->control == NULL)
		return;
	while ((c = TAILQ_FIRST(&d->control->conns)) != NULL)
		conn_free(c);
	while ((a = TAILQ_FIRST(&d->control->asks)) != NULL)
		ask_free(a);
	free(d->control);
	d->control = NULL;
}
