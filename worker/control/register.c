/* /machine/register (protocol.md 3.3, 3.4, 4). */

#include <stdlib.h>
#include <string.h>

#include "common/enc.h"
#include "common/ids.h"
#include "common/json.h"
#include "common/log.h"
#include "worker/control/control_int.h"

/* Refusals are HTTP 200: only then does the client show the text (trap 47). */
static void
refused(struct req *r, struct slice text)
{
	struct buf b = { 0 };
	struct json j;

	json_init(&j, &b);
	json_obj(&j);
	json_key(&j, "MachineAuthorized");
	json_bool(&j, false);
	json_key(&j, "Error");
	json_str(&j, text);
	json_end(&j);
	reply_json(r, 200, &b);
}

static void
put_user(struct json *j, const struct r_user *u)
{
	char t[32];

	json_key(j, "User");
	json_obj(j);
	json_key(j, "ID");
	json_u64(j, u->id);
	json_key(j, "DisplayName");
	json_str(j, u->display.n != 0 ? u->display : u->name);
	if (u->picture.n != 0) {
		json_key(j, "ProfilePicURL");
		json_str(j, u->picture);
	}
	json_key(j, "Created");
	time_rfc3339(t, u->created);
	json_str(j, slice_str(t));
	json_end(j);
	json_key(j, "Login");
	json_obj(j);
	json_key(j, "ID");
	json_u64(j, u->id);
	json_key(j, "Provider");
	json_str(j, slice_str(""));
	json_key(j, "LoginName");
	json_str(j, u->name);
	json_key(j, "DisplayName");
	json_str(j, u->display.n != 0 ? u->display : u->name);
	if (u->picture.n != 0) {
		json_key(j, "ProfilePicURL");
		json_str(j, u->picture);
	}
	json_end(j);
}

/* Tagged nodes have one owner for all, the same as in maps. */
static struct r_user
owner(const struct r_user *u)
{
	struct r_user o = *u;

	if (u->id == 0 || u->id == USER_TAGGED) {
		o.id = USER_TAGGED;
		o.name = slice_str(USER_TAGGED_LOGIN);
		o.display = slice_str(USER_TAGGED_NAME);
		o.picture = slice_str("");
	}
	return o;
}

static void
accepted(struct req *r, const struct m_db_reg_ok *ok)
{
	struct r_user u = owner(&ok->user);
	struct buf b = { 0 };
	struct json j;

	json_init(&j, &b);
	json_obj(&j);
	put_user(&j, &u);
	json_key(&j, "NodeKeyExpired");
	json_bool(&j, ok->key_expired);
	json_key(&j, "MachineAuthorized");
	json_bool(&j, ok->machine_ok);
	json_key(&j, "AuthURL");
	json_str(&j, slice_str(""));
	json_key(&j, "Error");
	json_str(&j, slice_str(""));
	json_end(&j);
	reply_json(r, 200, &b);
}

static void
reg_done(struct task *t, const struct msg *m)
{
	if (t->req == NULL)
		return;
	if (m->type == M_DB_REG_OK)
		accepted(t->req, &m->u.db_reg_ok);
	else
		refused(t->req, m->u.db_reg_no.text);
}

static void
admit(struct control *c, struct req *r)
{
	struct regreq q;
	const char *why;
	struct task *t;
	struct msg m;

	if (regreq_parse(&q, req_body(r), &why) == -1) {
		reply_text(r, 400, "%s", why);
		regreq_free(&q);
		return;
	}
	if (q.version < CAPVER_MIN) {
		refused(r, slice_str("this server needs Tailscale 1.80 or "
		    "later: please update this client"));
		regreq_free(&q);
		return;
	}
	msg_init(&m, M_DB_REG);
	m.u.db_reg = q.reg;
	m.u.db_reg.ticket = req_session(r)->ticket;
	if ((t = task_new(c, r, &m, reg_done)) != NULL) {
		req_set_tag(r, t);
		req_forget(r);		/* it may wait for long */
		task_go(t);
	}
	regreq_free(&q);
}

void
register_go(struct control *c, struct req *r)
{
	struct lane *l = lane_of(c, r);

	if (lane_is_full(l))
		lane_hold_reg(c, l, r);
	else {
		l->pinned = true;
		admit(c, r);
		l->pinned = false;
		lane_put(l);
	}
}

void
register_next(struct control *c, struct lane *l)
{
	struct held *h;

	/* as many as have ended: dbd has no more to do than before */
	while (l->nregs < LANE_REGS && (h = TAILQ_FIRST(&l->regs)) != NULL)
		admit(c, overload_release(c, h));
}

void
register_request(struct control *c, struct req *r)
{
	c->count.registers++;
	/* delayed, never refused: tailscale up ends at a 503 (trap 76) */
	if (tasks_full(c) || !TAILQ_EMPTY(&c->held[HELD_REG]))
		overload_hold_reg(c, r);
	else
		register_go(c, r);
}
