#include <stdio.h>
#include <string.h>

#include "common/compat/compat.h"
#include "common/version.h"
#include "ctl/ask.h"
#include "ctl/client.h"
#include "ctl/find.h"
#include "ctl/metrics.h"
#include "ctl/policy.h"
#include "ctl/run.h"
#include "ctl/show.h"

struct run {
	const struct command	*cmd;
	const struct run_conf	*conf;
	struct out		*o;
	struct client		*client;
	struct target		 target;
	struct buf		 subject;	/* "user alice", NUL */
	struct show		*show;
	struct show_policy	*policy;
	int64_t			 expires;	/* set by nodes expire */
	unsigned int		 held;		/* exposures shown, */
	unsigned int		 unrevoked;	/* those that can be revoked */
	bool			 bad;		/* CTL_POLICY_BAD: is shown */
	bool			 no;		/* CTL_NO: its text is in why */
	char			*why;
	size_t			 whylen;
};

static void
take_no(struct run *r, const struct msg *m)
{
	struct buf b = { NULL, 0, 0 };

	r->no = true;
	buf_printf(&b, "%s: ", grammar_name(r->cmd->act));
	out_vis(&b, m->u.ctl_no.text);
	buf_u8(&b, 0);
	(void)strlcpy(r->why, (const char *)b.p, r->whylen);
	buf_free(&b);
}

/* One question; 0 if it was answered with anything but CTL_NO. */
static int
call(struct run *r, const struct msg *m, void (*fn)(const struct msg *,
    void *), void *arg)
{
	r->no = false;
	if (client_call(r->client, m, fn, arg, r->why, r->whylen) == -1)
		return -1;
	return r->no || r->bad ? -1 : 0;
}

/* Looking up names. */

struct lookup {
	struct run	*r;
	struct find	*find;
};

static void
on_name(const struct msg *m, void *arg)
{
	struct lookup *l = arg;

	if (m->type == M_CTL_USER)
		find_row(l->find, m->u.ctl_user.user.id,
		    m->u.ctl_user.user.name);
	else if (m->type == M_CTL_NODE)
		find_row(l->find, m->u.ctl_node.node.id,
		    m->u.ctl_node.node.name);
	else if (m->type == M_CTL_KEY)
		find_row(l->find, m->u.ctl_key.id, m->u.ctl_key.prefix);
	else if (m->type == M_CTL_NO)
		take_no(l->r, m);
}

/* The id of what an argument names; subject: what the command is about. */
static int
look_up(struct run *r, enum arg arg, enum find_kind kind, uint64_t *id)
{
	static const enum msg_type list[] = { M_CTL_USER_LIST,
	    M_CTL_NODE_LIST, M_CTL_KEY_LIST };
	static const char *const noun[] = { "user", "node", "key" };
	struct lookup l;
	struct msg m;
	int rc;

	if (r->cmd->arg[arg] == NULL)
		return 0;
	l.r = r;
	/*
	 * Nobody will be asked: a script that is run twice must not go on
	 * with the next one whose name begins alike.
	 */
	l.find = find_new(kind, r->cmd->arg[arg], (r->cmd->flags & F_YES) !=
	    0 && ask_destroys(r->cmd, r->o->now));
	msg_init(&m, list[kind]);
	if ((rc = call(r, &m, on_name, &l)) == 0)
		rc = find_result(l.find, id, r->why, r->whylen);
	if (rc == 0 && r->subject.n == 0) {
		buf_printf(&r->subject, "%s %s", noun[kind],
		    find_name(l.find));
		buf_u8(&r->subject, 0);
	}
	find_free(l.find);
	return rc;
}

static int
look_up_all(struct run *r)
{
	if (look_up(r, ARG_NODE, FIND_NODE, &r->target.node) == -1 ||
	    look_up(r, ARG_KEY, FIND_KEY, &r->target.key) == -1 ||
	    look_up(r, ARG_USER, FIND_USER, &r->target.user) == -1)
		return -1;
	return 0;
}

static const char *
subject(const struct run *r)
{
	return r->subject.n == 0 ? "" : (const char *)r->subject.p;
}

/* Asking before something is lost. */

static void
put_question(struct run *r, struct buf *b)
{
	const char *before = "logs out ", *after = "";

	switch (r->cmd->act) {
	case A_USER_DELETE:
		before = "deletes ";
		after = " and its keys";
		break;
	case A_KEY_DELETE:
	case A_NODE_DELETE:
		before = "deletes ";
		break;
	case A_KEY_EXPIRE:
		before = "makes ";
		after = " useless for ever";
		break;
	case A_CERT_RENEW:
		before = "revokes ";
		after = "the certificate in use";
		break;
	case A_EXPOSURE:
		after = "all nodes that the worker has held";
		break;
	default:
		break;
	}
	buf_printf(b, "This %s%s%s.  Go on?", before, subject(r), after);
	buf_u8(b, 0);
}

static int
confirm(struct run *r)
{
	struct buf b = { NULL, 0, 0 };
	bool yes;

	if ((r->cmd->flags & F_YES) != 0 || !ask_destroys(r->cmd, r->o->now))
		return 0;
	if (r->conf->confirm == NULL) {
		if (!ask_deletes(r->cmd))
			return 0;
		(void)snprintf(r->why, r->whylen, "%s: nobody to ask: say -y "
		    "if it is meant", grammar_name(r->cmd->act));
		return -1;
	}
	put_question(r, &b);
	yes = r->conf->confirm((const char *)b.p, r->conf->arg);
	buf_free(&b);
	if (yes)
		return 0;
	(void)snprintf(r->why, r->whylen, "%s: nothing was done",
	    grammar_name(r->cmd->act));
	return -1;
}

/* Answers. */

static void
put_time(struct buf *b, int64_t at)
{
	char text[32] = "never";

	if (at != 0)
		(void)time_rfc3339(text, at);
	buf_str(b, text);
}

/* What was done, for people. */
static void
put_done(struct run *r, struct buf *b, uint64_t id)
{
	const char *name = r->cmd->arg[ARG_NAME];

	switch (r->cmd->act) {
	case A_USER_ADD:
		buf_printf(b, "user %s added, id %llu", name,
		    (unsigned long long)id);
		break;
	case A_USER_RENAME:
	case A_NODE_RENAME:
		buf_printf(b, "%s renamed to %s", subject(r), name);
		break;
	case A_USER_DELETE:
	case A_KEY_DELETE:
	case A_NODE_DELETE:
		buf_printf(b, "%s deleted", subject(r));
		break;
	case A_KEY_EXPIRE:
		buf_printf(b, "%s expired", subject(r));
		break;
	case A_NODE_TAG:
		buf_printf(b, "%s tagged", subject(r));
		break;
	case A_NODE_MOVE:
		buf_printf(b, "%s moved", subject(r));
		break;
	case A_NODE_EXPIRE:
		buf_printf(b, "%s: key expires ", subject(r));
		put_time(b, r->expires);
		break;
	case A_NODE_LOGOUT:
		buf_printf(b, "%s logged out", subject(r));
		break;
	case A_CERT_RENEW:
		buf_str(b, "it is asked for: \"cert list\" tells what comes "
		    "of it");
		break;
	case A_RELOAD:
		buf_str(b, "configuration read");
		break;
	case A_USER_ROLE:
		buf_printf(b, "%s is %s now", subject(r),
		    r->cmd->arg[ARG_ROLE]);
		break;
	case A_ROUTE_APPROVE:
		buf_printf(b, "%s: routes approved", subject(r));
		break;
	case A_ROUTE_UNAPPROVE:
		buf_printf(b, "%s: routes not approved any more", subject(r));
		break;
	case A_POLICY_SET:
	case A_POLICY_ROLLBACK:
		buf_printf(b, "version %llu is in force",
		    (unsigned long long)id);
		break;
	case A_POLICY_CHECK:
		buf_printf(b, "%s: it can be set", r->cmd->arg[ARG_FILE]);
		break;
	case A_POLICY_TEST:
		buf_printf(b, "%s: its tests pass", r->cmd->arg[ARG_FILE]);
		break;
	default:
		buf_str(b, "done");
		break;
	}
	buf_u8(b, 0);
}

static bool
about_policy(enum act act)
{
	return act >= A_POLICY_SET && act <= A_POLICY_ROLLBACK;
}

/* What a text is called in messages about it. */
static void
put_bad(struct run *r, const struct m_ctl_policy_bad *m)
{
	const char *file = r->cmd->arg[ARG_FILE];
	char version[40];

	if (r->cmd->act == A_POLICY_WHY)
		file = grammar_name(A_POLICY_WHY);
	else if (r->cmd->act == A_RELOAD)
		file = "reload: the configuration is in force, but not its "
		    "policy";
	else if (file == NULL) {
		(void)snprintf(version, sizeof(version), "version %.20s",
		    r->cmd->arg[ARG_VERSION]);
		file = version;
	} else if (strcmp(file, "-") == 0)
		file = "standard input";
	r->bad = true;
	r->why[0] = '\0';
	show_policy_bad(r->o, file, m);
}

static void
on_answer(const struct msg *m, void *arg)
{
	struct run *r = arg;
	struct buf b = { NULL, 0, 0 };

	switch (m->type) {
	case M_CTL_NO:
		take_no(r, m);
		break;
	case M_CTL_OK:
		put_done(r, &b, m->u.ctl_ok.id);
		if (about_policy(r->cmd->act))
			show_policy_ok(r->o, m->u.ctl_ok.id,
			    (const char *)b.p);
		else
			show_done(r->o, m->u.ctl_ok.id, (const char *)b.p,
			    m->u.ctl_ok.text);
		break;
	case M_CTL_POLICY_BAD:
		put_bad(r, &m->u.ctl_policy_bad);
		break;
	case M_CTL_KEY_MADE:
		show_key(r->o, &m->u.ctl_key_made);
		break;
	case M_CTL_END:
		break;
	default:
		if (r->policy != NULL)
			show_policy_row(r->policy, m);
		else if (r->cmd->act != A_NODE_SHOW)
			show_row(r->show, m);
		else if (m->u.ctl_node.node.id == r->target.node)
			show_node(r->o, &m->u.ctl_node);
		break;
	}
	buf_free(&b);
}

static bool
is_list(enum act act)
{
	return act == A_USER_LIST || act == A_KEY_LIST || act == A_NODE_LIST ||
	    act == A_STATUS || act == A_EXPOSURE || act == A_DERP_LIST ||
	    act == A_CERT_LIST;
}

static bool
has_policy_rows(enum act act)
{
	return act == A_ROUTE_LIST || act == A_POLICY_GET ||
	    act == A_POLICY_HISTORY || act == A_POLICY_WHY ||
	    act == A_POLICY_DIFF;
}

/* The text of a command about a file goes before its question. */
static int
send_file(struct run *r)
{
	struct buf text = { NULL, 0, 0 };
	int rc;

	if (r->cmd->arg[ARG_FILE] == NULL)
		return 0;
	rc = policy_file_read(&text, r->cmd->arg[ARG_FILE], r->why, r->whylen);
	if (rc == 0)
		policy_send(r->client, buf_slice_of(&text));
	buf_free(&text);
	return rc;
}

static bool
revokes_held(const struct msg *m)
{
	return m->type == M_CTL_EXPOSURE && m->u.ctl_exposure.revoke;
}

static void
on_held(const struct msg *m, void *arg)
{
	struct run *r = arg;

	if (m->type == M_CTL_NO)
		take_no(r, m);
	if (m->type != M_CTL_EXPOSED)
		return;
	r->held++;
	if (!m->u.ctl_exposed.revoked)
		r->unrevoked++;
}

/*
 * The answer to a revocation does not tell old ones from new ones.  What a live
 * worker is given meanwhile is revoked, too, and not counted here.
 */
static int
count_held(struct run *r, const struct msg *m)
{
	struct msg q = *m;

	if (!revokes_held(m))
		return 0;
	q.u.ctl_exposure.revoke = false;
	return call(r, &q, on_held, r);
}

static void
say_unrevoked(struct run *r, const struct msg *m)
{
	if (revokes_held(m) && r->unrevoked == 0)
		buf_printf(&r->o->err, "%s: there was nothing to revoke a "
		    "moment before: %s\n", grammar_name(r->cmd->act),
		    r->held == 0 ? "no such worker had held anything" :
		    "all of it was revoked already");
}

static int
ask_and_show(struct run *r, const struct msg *m)
{
	if (count_held(r, m) == -1)
		return RUN_FAILED;
	if (m->type == M_CTL_NODE_EXPIRE)
		r->expires = m->u.ctl_node_expire.at;
	if (is_list(r->cmd->act))
		r->show = show_new(r->cmd->act, r->o);
	if (has_policy_rows(r->cmd->act))
		r->policy = show_policy_new(r->cmd->act, r->target.node, r->o);
	if (call(r, m, on_answer, r) == -1)
		return RUN_FAILED;
	if (r->show != NULL)
		show_end(r->show);
	if (r->policy != NULL)
		show_policy_end(r->policy);
	say_unrevoked(r, m);
	return RUN_OK;
}

static int
run_question(struct run *r)
{
	struct buf list = { NULL, 0, 0 };
	struct msg m;
	int rc;

	if (look_up_all(r) == -1 || confirm(r) == -1 || send_file(r) == -1)
		return RUN_FAILED;
	rc = ask_build(&m, &list, r->cmd, &r->target, r->o->now, r->why,
	    r->whylen) == -1 ? RUN_USAGE : ask_and_show(r, &m);
	show_free(r->show);
	show_policy_free(r->policy);
	buf_free(&list);
	return rc;
}

/* Three lists, each from its own question, on one connection. */

struct gather {
	struct run	*r;
	struct metrics	*metrics;
};

static void
on_metrics(const struct msg *m, void *arg)
{
	struct gather *g = arg;

	if (m->type == M_CTL_NO)
		take_no(g->r, m);
	else
		metrics_row(g->metrics, m);
}

static int
run_metrics(struct run *r)
{
	static const enum msg_type ask[] = { M_CTL_STATUS, M_CTL_DERP_LIST,
	    M_CTL_CERT_LIST };
	struct gather g = { r, metrics_new() };
	struct msg m;
	size_t i;
	int rc = 0;

	for (i = 0; i < sizeof(ask) / sizeof(ask[0]) && rc == 0; i++) {
		msg_init(&m, ask[i]);
		rc = call(r, &m, on_metrics, &g);
	}
	/* All or nothing: half of it would look like all of it. */
	if (rc == 0)
		metrics_end(g.metrics, r->o);
	metrics_free(g.metrics);
	return rc == 0 ? RUN_OK : RUN_FAILED;
}

/* Commands that need no server, or can do without. */

static int
run_help(const struct command *cmd, struct out *o, char *why, size_t whylen)
{
	if (grammar_usage(&o->text, cmd->restc, cmd->rest))
		return RUN_OK;
	(void)snprintf(why, whylen, "help: no such command");
	return RUN_USAGE;
}

static void
run_version(struct out *o)
{
	struct buf b = { NULL, 0, 0 };
	struct json j;

	if (!o->json) {
		buf_str(&o->text, "headscalectl " HEADSCALED_VERSION "\n");
		return;
	}
	json_init(&j, &b);
	json_obj(&j);
	out_json_str(&j, "version", slice_str(HEADSCALED_VERSION));
	json_key(&j, "messages");
	json_u64(&j, MSG_TABLE_SUM);
	json_end(&j);
	out_pretty(&o->text, buf_slice_of(&b));
	buf_free(&b);
}

static void
on_candidate(const struct msg *m, void *arg)
{
	struct out *o = arg;
	struct slice name = { NULL, 0 };

	if (m->type == M_CTL_USER)
		name = m->u.ctl_user.user.name;
	else if (m->type == M_CTL_NODE)
		name = m->u.ctl_node.node.name;
	else if (m->type == M_CTL_KEY)
		name = m->u.ctl_key.prefix;
	if (name.n == 0)
		return;
	out_vis(&o->text, name);
	buf_str(&o->text, "\t\n");
}

/* Words for a shell; it is no error if there are none. */
static void
run_complete(const struct command *cmd, const char *socket, struct out *o)
{
	struct client *c;
	struct msg m;
	char why[256];
	enum arg arg;
	int i;

	/* The line that is being written may name another socket. */
	for (i = 0; i + 2 < cmd->restc; i++)
		if (strcmp(cmd->rest[i], "-s") == 0 ||
		    strcmp(cmd->rest[i], "--socket") == 0)
			socket = cmd->rest[i + 1];
	arg = grammar_complete(&o->text, cmd->restc, cmd->rest);
	if (arg != ARG_USER && arg != ARG_NODE && arg != ARG_KEY)
		return;
	if ((c = client_open(socket, why, sizeof(why))) == NULL)
		return;
	msg_init(&m, arg == ARG_USER ? M_CTL_USER_LIST : arg == ARG_NODE ?
	    M_CTL_NODE_LIST : M_CTL_KEY_LIST);
	(void)client_call(c, &m, on_candidate, o, why, sizeof(why));
	client_close(c);
}

int
run_command(const struct command *cmd, const struct run_conf *conf,
    struct out *o, char *why, size_t whylen)
{
	struct run r;
	int rc = RUN_OK;

	if ((cmd->flags & F_HELP) != 0 || cmd->act == A_HELP)
		return run_help(cmd, o, why, whylen);
	if (cmd->act == A_VERSION) {
		run_version(o);
		return RUN_OK;
	}
	if (cmd->act == A_COMPLETE) {
		run_complete(cmd, conf->socket, o);
		return RUN_OK;
	}
	if (cmd->act == A_METRICS && o->json) {
		(void)snprintf(why, whylen, "metrics: not as JSON: \"status "
		    "-j\", \"derp list -j\" and \"cert list -j\" have all "
		    "of it");
		return RUN_USAGE;
	}
	if (ask_check(cmd, o->now, why, whylen) == -1)
		return RUN_USAGE;
	memset(&r, 0, sizeof(r));
	r.cmd = cmd;
	r.conf = conf;
	r.o = o;
	r.why = why;
	r.whylen = whylen;
	if ((r.client = client_open(conf->socket, why, whylen)) == NULL)
		return RUN_FAILED;
	rc = cmd->act == A_METRICS ? run_metrics(&r) : run_question(&r);
	client_close(r.client);
	buf_free(&r.subject);
	return rc;
}
