/* What administrators ask about policies and routes. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "dbd/batch_int.h"
#include "dbd/control_int.h"
#include "dbd/policy_int.h"

#define WHY_LEN		256
#define PART_OCTETS	60000
#define HISTORY_MAX	10000U
#define LINES_MAX	100000U

/* A question to policyc, which may outlive the connection that asked. */
struct policy_ask {
	struct conn	*conn;		/* NULL: it is gone */
	struct dbd	*d;
	enum msg_type	 type;
	uint32_t	 id;
};

static struct tailnet *
tailnet(struct conn *c)
{
	return tailnet_default(c->d);
}

/* Texts. */

void
on_policy_part(struct conn *c, const struct msg *m)
{
	struct slice part = m->u.ctl_policy_part.octets;

	if (part.n > POLICY_TEXT_MAX - c->text.n) {
		c->too_long = true;
		buf_free(&c->text);
	}
	if (!c->too_long)
		buf_slice(&c->text, part);
}

/* True, and refused, if the text cannot be used or another is at work. */
static bool
busy(struct conn *c, const struct msg *m)
{
	char why[WHY_LEN];

	if (c->policy != NULL)
		ctl_no(c, m, "another policy of this connection is being "
		    "worked on");
	else if (c->too_long) {
		(void)snprintf(why, sizeof(why), "the policy has more than "
		    "%u octets", POLICY_TEXT_MAX);
		ctl_no(c, m, why);
	} else
		return false;
	return true;
}

static void
text_forget(struct conn *c)
{
	buf_free(&c->text);
	c->too_long = false;
}

/* Octets in rows of what was asked. */
static void
lines_send(struct conn *c, uint32_t id, struct slice text)
{
	struct msg m;
	size_t at, n;

	for (at = 0; at < text.n; at += n) {
		n = text.n - at < PART_OCTETS ? text.n - at : PART_OCTETS;
		msg_init(&m, M_CTL_POLICY_LINE);
		m.id = id;
		m.u.ctl_policy_line.octets = slice_mem(text.p + at, n);
		batch_reply(c->d, c->link, &m);
	}
}

static void
end_send(struct conn *c, uint32_t id, uint32_t count)
{
	struct msg m;

	msg_init(&m, M_CTL_END);
	m.id = id;
	m.u.ctl_end.count = count;
	batch_reply(c->d, c->link, &m);
}

/* Answers that come later. */

static struct policy_ask *
ask_new(struct conn *c, const struct msg *m)
{
	struct policy_ask *a;

	a = xcalloc(1, sizeof(*a));
	a->conn = c;
	a->d = c->d;
	a->type = m->type;
	a->id = m->id;
	c->policy = a;
	c->asking++;
	return a;
}

static struct conn *
ask_end(struct policy_ask *a)
{
	struct conn *c = a->conn;

	if (c != NULL) {
		c->asking--;
		c->policy = NULL;
	}
	free(a);
	return c;
}

void
policy_ask_forget(struct conn *c)
{
	struct policy_ask *a = c->policy;

	text_forget(c);
	if (a == NULL)
		return;
	job_forget(c->d, a);
	(void)ask_end(a);
}

static void
bad_send(struct conn *c, uint32_t id, const struct job_result *r)
{
	struct m_ctl_policy_bad *b;
	struct msg m;

	msg_init(&m, M_CTL_POLICY_BAD);
	m.id = id;
	b = &m.u.ctl_policy_bad;
	b->tests_failed = r->tests_failed;
	b->line = r->line;
	b->column = r->column;
	b->text = r->text.n == 0 ? slice_str("refused") : r->text;
	b->detail = r->detail;
	batch_reply(c->d, c->link, &m);
}

static void
on_done(const struct job_result *r, void *arg)
{
	struct policy_ask *a = arg;
	enum msg_type type = a->type;
	uint32_t id = a->id;
	struct conn *c;
	struct msg to;

	c = ask_end(a);
	if (c == NULL || r == NULL)
		return;
	msg_init(&to, type);
	to.id = id;
	if (!r->ok)
		log_info("control uid=%u request=%s line=%u column=%u "
		    "refused=\"%s\"", c->uid, msg_name(type), r->line,
		    r->column, log_vis(r->text));
	else if (r->version != 0)
		log_info("control uid=%u request=%s version=%u", c->uid,
		    msg_name(type), r->version);
	if (!r->ok && r->died)
		ctl_no(c, &to, log_vis(r->text));
	else if (!r->ok)
		bad_send(c, id, r);
	else if (type == M_CTL_POLICY_WHY || type == M_CTL_POLICY_DIFF) {
		lines_send(c, id, r->out);
		end_send(c, id, 0);
	} else
		ctl_yes(c, &to, r->version);
}

/* It could not even be begun: a was not taken over. */
static void
refuse(struct conn *c, const struct msg *m, const char *why)
{
	(void)ask_end(c->policy);
	log_info("control uid=%u request=%s refused=\"%s\"", c->uid,
	    msg_name(m->type), log_vis(slice_str(why)));
	ctl_no(c, m, why);
}

/* Handlers. */

void
on_policy_set(struct conn *c, const struct msg *m)
{
	char why[WHY_LEN] = "";

	if (!busy(c, m) && op_policy_set(tailnet(c), buf_slice_of(&c->text),
	    m->u.ctl_policy_set.reason, c->uid, on_done, ask_new(c, m), why,
	    sizeof(why)) == -1)
		refuse(c, m, why);
	text_forget(c);
}

void
on_policy_check(struct conn *c, const struct msg *m)
{
	char why[WHY_LEN] = "";

	if (!busy(c, m) && op_policy_try(tailnet(c),
	    m->u.ctl_policy_check.tests ? JOB_TEST : JOB_CHECK,
	    buf_slice_of(&c->text), 0, c->uid, on_done, ask_new(c, m), why,
	    sizeof(why)) == -1)
		refuse(c, m, why);
	text_forget(c);
}

void
on_policy_diff(struct conn *c, const struct msg *m)
{
	uint32_t lines = m->u.ctl_policy_diff.lines;
	char why[WHY_LEN] = "";

	if (!busy(c, m) && op_policy_try(tailnet(c), JOB_DIFF,
	    buf_slice_of(&c->text), lines < LINES_MAX ? lines : LINES_MAX,
	    c->uid, on_done, ask_new(c, m), why, sizeof(why)) == -1)
		refuse(c, m, why);
	text_forget(c);
}

void
on_policy_why(struct conn *c, const struct msg *m)
{
	const struct m_ctl_policy_why *a = &m->u.ctl_policy_why;
	char why[WHY_LEN] = "";

	if (!busy(c, m) && op_policy_why(tailnet(c), a->src, a->dst, a->port,
	    c->uid, on_done, ask_new(c, m), why, sizeof(why)) == -1)
		refuse(c, m, why);
}

void
on_policy_rollback(struct conn *c, const struct msg *m)
{
	const struct m_ctl_policy_rollback *a = &m->u.ctl_policy_rollback;
	char why[WHY_LEN] = "";

	if (!busy(c, m) && op_policy_rollback(tailnet(c), a->version,
	    a->reason, c->uid, on_done, ask_new(c, m), why,
	    sizeof(why)) == -1)
		refuse(c, m, why);
}

struct versions {
	struct conn	*c;
	uint32_t	 id;
	uint32_t	 count;
	bool		 text;
};

static int
on_version(const struct policy_row *row, void *arg)
{
	struct versions *v = arg;
	struct m_ctl_policy_version *p;
	struct msg m;

	msg_init(&m, M_CTL_POLICY_VERSION);
	m.id = v->id;
	p = &m.u.ctl_policy_version;
	p->version = row->version;
	p->kind = (uint8_t)row->kind;
	p->uid = row->uid;
	p->at = row->at;
	p->reason = row->reason;
	p->size = row->size;
	p->in_force = row->version == tailnet(v->c)->version &&
	    !tailnet(v->c)->alarm;
	p->alarm = row->version == tailnet(v->c)->version && !p->in_force;
	batch_reply(v->c->d, v->c->link, &m);
	v->count++;
	if (v->text)
		lines_send(v->c, v->id, row->text);
	return 0;
}

void
on_policy_get(struct conn *c, const struct msg *m)
{
	struct versions v = { c, m->id, 0, true };
	int rc;

	rc = store_find_policy(c->d->store, tailnet(c)->id,
	    m->u.ctl_policy_get.version, on_version, &v);
	op_check(c->d, rc);
	if (rc == 1)
		end_send(c, m->id, v.count);
	else
		ctl_no(c, m, "no such version");
}

void
on_policy_history(struct conn *c, const struct msg *m)
{
	struct versions v = { c, m->id, 0, false };

	op_check(c->d, store_list_policies(c->d->store, tailnet(c)->id,
	    HISTORY_MAX, on_version, &v));
	end_send(c, m->id, v.count);
}
