/* From a command line to what is asked of the server and what is printed. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "common/ids.h"
#include "ctl/client.h"
#include "ctl/find.h"
#include "ctl/run.h"

#define NOW	1790000000LL

/* A server: the double of ctl/client.c. */

struct client {
	int	open;
};

static struct {
	struct client	 client;
	bool		 absent;
	bool		 dies;		/* in the middle of an answer */
	const char	*no;		/* refuses changes */
	bool		 no_lists;
	enum msg_type	 only;		/* it refuses no other; 0: all */
	bool		 rows;		/* status and lists of the edge */
	unsigned int	 held;		/* exposures, */
	unsigned int	 revoked;	/* and those revoked already */
	bool		 bad;		/* a policy is refused */
	bool		 alarm;
	uint32_t	 line;
	size_t		 sent;		/* octets of a policy */
	struct buf	 asked;		/* msg_print of each request */
	unsigned int	 calls;
} srv;

static struct {
	bool		 answer;
	char		 question[256];
	unsigned int	 times;
} tty;

struct client *
client_open(const char *path, char *why, size_t n)
{
	assert_string_equal(path, "/sock");
	if (srv.absent) {
		(void)strlcpy(why, "nobody there", n);
		return NULL;
	}
	srv.client.open++;
	return &srv.client;
}

void
client_close(struct client *c)
{
	if (c != NULL)
		c->open--;
}

static void
send_users(void (*fn)(const struct msg *, void *), void *arg)
{
	static const char *const name[] = { "alice", "Bob", "bobby", "17",
	    "Zed", "zed", "ZED", "eve", "Eve", "id:2", "id:88", "id:x",
	    "Kim", "kIM", "kimono" };
	struct msg m;
	size_t i;

	for (i = 0; i < sizeof(name) / sizeof(name[0]); i++) {
		msg_init(&m, M_CTL_USER);
		m.u.ctl_user.user.id = i + 1;
		m.u.ctl_user.user.name = slice_str(name[i]);
		fn(&m, arg);
	}
}

static void
send_nodes(void (*fn)(const struct msg *, void *), void *arg)
{
	static const char *const name[] = { "laptop", "laptop-1", "phone",
	    "la\033", "13", "14", "id:14" };
	struct msg m;
	size_t i;

	for (i = 0; i < sizeof(name) / sizeof(name[0]); i++) {
		msg_init(&m, M_CTL_NODE);
		m.u.ctl_node.node.id = 10 + i;
		m.u.ctl_node.node.stable_id = slice_str("n");
		m.u.ctl_node.node.name = slice_str(name[i]);
		m.u.ctl_node.user_name = slice_str("alice");
		fn(&m, arg);
	}
}

static void
send_keys(void (*fn)(const struct msg *, void *), void *arg)
{
	static const char *const name[] = { "hskey-0123456789ab",
	    "hskey-0123456789cd", "" };
	struct msg m;
	size_t i;

	for (i = 0; i < 3; i++) {
		msg_init(&m, M_CTL_KEY);
		m.u.ctl_key.id = 20 + i;
		m.u.ctl_key.prefix = slice_str(name[i]);
		fn(&m, arg);
	}
}

static void
send_held(void (*fn)(const struct msg *, void *), void *arg)
{
	struct msg m;
	unsigned int i;

	for (i = 0; i < srv.held; i++) {
		msg_init(&m, M_CTL_EXPOSED);
		m.u.ctl_exposed.revoked = i < srv.revoked;
		fn(&m, arg);
	}
}

static void
send_edge(enum msg_type to, void (*fn)(const struct msg *, void *), void *arg)
{
	struct msg m;

	if (to == M_CTL_STATUS) {
		msg_init(&m, M_CTL_PROC);
		m.u.ctl_proc.role = ROLE_KEYD;
		m.u.ctl_proc.state = HEALTH_READY;
		fn(&m, arg);
	} else if (to == M_CTL_DERP_LIST) {
		msg_init(&m, M_CTL_DERP);
		fn(&m, arg);
	} else if (to == M_CTL_CERT_LIST) {
		msg_init(&m, M_CTL_CERT);
		m.u.ctl_cert.failed = 6;
		fn(&m, arg);
	}
}

static void
send_end(enum msg_type type, void (*fn)(const struct msg *, void *), void *arg)
{
	struct msg m;

	msg_init(&m, type);
	if (type == M_CTL_NO)
		m.u.ctl_no.text = slice_str(srv.no);
	else if (type == M_CTL_OK)
		m.u.ctl_ok.id = 77;
	else if (type == M_CTL_KEY_MADE) {
		m.u.ctl_key_made.id = 5;
		m.u.ctl_key_made.secret = slice_str("hskey-x-y");
	}
	fn(&m, arg);
}

void
client_send(struct client *c, const struct msg *m)
{
	assert_int_equal(c->open, 1);
	assert_int_equal(m->type, M_CTL_POLICY_PART);
	assert_true(msg_ok(m));
	srv.sent += m->u.ctl_policy_part.octets.n;
}

static void
send_policy(const struct msg *to, void (*fn)(const struct msg *, void *),
    void *arg)
{
	struct buf b = { NULL, 0, 0 };
	struct r_pol_text t;
	struct msg m;

	msg_init(&m, M_CTL_POLICY_VERSION);
	m.u.ctl_policy_version.version = 7;
	m.u.ctl_policy_version.kind = 2;
	m.u.ctl_policy_version.uid = 1000;
	m.u.ctl_policy_version.at = NOW - 3600;
	m.u.ctl_policy_version.size = 12;
	m.u.ctl_policy_version.in_force = !srv.alarm;
	m.u.ctl_policy_version.alarm = srv.alarm;
	m.u.ctl_policy_version.reason = slice_str("te\033st");
	if (to->type == M_CTL_POLICY_GET || to->type == M_CTL_POLICY_HISTORY)
		fn(&m, arg);
	msg_init(&m, M_CTL_POLICY_LINE);
	m.u.ctl_policy_line.octets = slice_str("{ // x\n");
	if (to->type != M_CTL_POLICY_HISTORY) {
		fn(&m, arg);
		m.u.ctl_policy_line.octets = slice_str("}\n");
		fn(&m, arg);
	}
	if (!srv.bad) {
		msg_init(&m, M_CTL_END);
		fn(&m, arg);
		return;
	}
	msg_init(&m, M_CTL_POLICY_BAD);
	m.u.ctl_policy_bad.line = srv.line;
	m.u.ctl_policy_bad.column = 7;
	m.u.ctl_policy_bad.text = slice_str("unknown \033 field");
	t.v = slice_str("and more");
	msg_list_add(&m.u.ctl_policy_bad.detail, &b, MR_POL_TEXT, &t);
	msg_list_close(&m.u.ctl_policy_bad.detail, &b);
	fn(&m, arg);
	buf_free(&b);
}

static bool
is_policy_list(enum msg_type t)
{
	return t == M_CTL_POLICY_GET || t == M_CTL_POLICY_HISTORY ||
	    t == M_CTL_POLICY_WHY || t == M_CTL_POLICY_DIFF;
}

int
client_call(struct client *c, const struct msg *m,
    void (*fn)(const struct msg *, void *), void *arg, char *why, size_t n)
{
	bool list = true;

	assert_int_equal(c->open, 1);
	assert_true(msg_ok(m));
	if (srv.calls++ > 0)
		buf_str(&srv.asked, "; ");
	msg_print(&srv.asked, m);
	if (m->type == M_CTL_USER_LIST)
		send_users(fn, arg);
	else if (m->type == M_CTL_NODE_LIST)
		send_nodes(fn, arg);
	else if (m->type == M_CTL_KEY_LIST)
		send_keys(fn, arg);
	else if ((list = m->type == M_CTL_EXPOSURE ||
	    m->type == M_CTL_STATUS || m->type == M_CTL_DERP_LIST ||
	    m->type == M_CTL_CERT_LIST) && srv.rows)
		send_edge(m->type, fn, arg);
	if (m->type == M_CTL_EXPOSURE) {
		if (m->u.ctl_exposure.revoke)
			srv.revoked = srv.held;
		send_held(fn, arg);
	}
	if (srv.dies) {
		(void)strlcpy(why, "it died", n);
		return -1;
	}
	if (srv.bad || (srv.no == NULL && is_policy_list(m->type)))
		send_policy(m, fn, arg);
	else if (srv.no != NULL && (!list || srv.no_lists) &&
	    (srv.only == 0 || srv.only == m->type))
		send_end(M_CTL_NO, fn, arg);
	else
		send_end(list ? M_CTL_END : m->type == M_CTL_KEY_CREATE ?
		    M_CTL_KEY_MADE : M_CTL_OK, fn, arg);
	return 0;
}

static bool
on_question(const char *question, void *arg)
{
	(void)arg;
	tty.times++;
	(void)strlcpy(tty.question, question, sizeof(tty.question));
	return tty.answer;
}

static int
setup(void **state)
{
	(void)state;
	buf_free(&srv.asked);
	memset(&srv, 0, sizeof(srv));
	memset(&tty, 0, sizeof(tty));
	return 0;
}

/* One run: "STATUS|OUTPUT|WHY". */
static const char *
run(const char *line, bool can_ask)
{
	static char text[8192];
	char copy[256], *word[16], *p, *rest = copy, why[512] = "";
	struct run_conf conf;
	struct command cmd;
	struct out o;
	int n = 0, rc;

	(void)strlcpy(copy, line, sizeof(copy));
	while ((p = strsep(&rest, " ")) != NULL && n < 16)
		word[n++] = strcmp(p, "''") == 0 ? p + 2 : p;
	assert_int_equal(grammar_parse(&cmd, n, word, why, sizeof(why)), 0);
	memset(&conf, 0, sizeof(conf));
	conf.socket = "/sock";
	conf.confirm = can_ask ? on_question : NULL;
	memset(&o, 0, sizeof(o));
	o.json = (cmd.flags & F_JSON) != 0;
	o.now = NOW;
	buf_free(&srv.asked);
	srv.calls = 0;
	rc = run_command(&cmd, &conf, &o, why, sizeof(why));
	assert_int_equal(srv.client.open, 0);
	buf_u8(&o.text, 0);
	buf_u8(&srv.asked, 0);
	buf_u8(&o.err, 0);
	(void)snprintf(text, sizeof(text), "%d|%s|%s%s", rc,
	    (const char *)o.text.p, (const char *)o.err.p,
	    rc == 0 ? "" : why);
	buf_free(&o.text);
	buf_free(&o.err);
	return text;
}

static const char *
asked(void)
{
	return (const char *)srv.asked.p;
}

struct naming {
	const char	*line;
	const char	*asked;		/* NULL: nothing but the list */
	const char	*want;
};

static void
check_names(const struct naming *t, size_t n)
{
	const char *got;

	for (; n > 0; n--, t++) {
		got = run(t->line, false);
		if (strcmp(got, t->want) != 0)
			fail_msg("%s\n\tgives\t%s\n\tnot\t%s", t->line, got,
			    t->want);
		if (t->asked == NULL)
			assert_int_equal(srv.calls, 1);	/* only looked */
		else if (strstr(asked(), t->asked) == NULL)
			fail_msg("%s asks %s", t->line, asked());
	}
}

static void
test_names(void **state)
{
	static const struct naming t[] = {
		{ "users rename alice x", "CTL_USER_RENAME id=0 id=1 "
		    "name=\"x\"", "0|user alice renamed to x\n|" },
		{ "users rename ALICE x", "id=0 id=1 ",
		    "0|user alice renamed to x\n|" },
		{ "users rename bob x", "id=0 id=2 ",
		    "0|user Bob renamed to x\n|" },
		{ "users rename al x", "id=0 id=1 ",
		    "0|user alice renamed to x\n|" },
		{ "users rename 2 x", "id=0 id=2 ",
		    "0|user Bob renamed to x\n|" },
		{ "users rename 17 x", "id=0 id=4 ",
		    "0|user 17 renamed to x\n|" },
		{ "users rename bo x", NULL,
		    "1||bo: which user: Bob (id:2), bobby (id:3)?" },
		{ "users rename alcie x", NULL,
		    "1||alcie: no such user; did you mean alice?" },
		{ "users rename zzzz x", NULL, "1||zzzz: no such user" },
		{ "users rename 99 x", NULL, "1||99: no such user" },
		{ "users rename '' x", NULL, "1||: no such user" },
		{ "nodes rename laptop x", "CTL_NODE_RENAME id=0 id=10 ",
		    "0|node laptop renamed to x\n|" },
		{ "nodes rename laptop- x", "id=0 id=11 ",
		    "0|node laptop-1 renamed to x\n|" },
		{ "nodes rename la x", NULL, "1||la: which node: laptop "
		    "(id:10), laptop-1 (id:11), la\\033 (id:13)?" },
		{ "nodes move phone alice", "CTL_NODE_MOVE id=0 id=12 user=1",
		    "0|node phone moved\n|" },
		{ "users role bob admin", "CTL_USER_ROLE id=0 id=2 role=1",
		    "0|user Bob is admin now\n|" },
		{ "routes approve phone 10.0.0.0/8", "CTL_NODE_ROUTES id=0 "
		    "id=12 approve=true", "0|node phone: routes approved\n|" },
		{ "routes unapprove phone ::/0", "CTL_NODE_ROUTES id=0 "
		    "id=12 approve=false",
		    "0|node phone: routes not approved any more\n|" },
		{ "nodes tag 12 a", "CTL_NODE_TAG id=0 id=12 tags=[1 ",
		    "0|node phone tagged\n|" },
		/* Who is called 13 has the id 14. */
		{ "nodes delete -y 13", NULL, "1||13: which node: id:13 "
		    "(la\\033), or id:14 (whose name it is)?" },
		{ "nodes delete -y id:13", "CTL_NODE_DELETE id=0 id=13",
		    "0|node la\\033 deleted\n|" },
		{ "nodes rename la\033 x", "CTL_NODE_RENAME id=0 id=13 ",
		    "0|node la\\033 renamed to x\n|" },
		{ "nodes delete -y 14", NULL, "1||14: which node: id:14 "
		    "(13), or id:15 (whose name it is)?" },
		{ "nodes delete -y id:14", "CTL_NODE_DELETE id=0 id=14",
		    "0|node 13 deleted\n|" },
		{ "nodes delete -y id:16", "CTL_NODE_DELETE id=0 id=16",
		    "0|node id:14 deleted\n|" },
		{ "nodes delete -y id:99", NULL, "1||id:99: no such node" },
		{ "nodes delete -y id:", NULL, "1||id:: no such node; if "
		    "id:14 is meant, say so: with -y only a whole name will "
		    "do" },
		{ "users delete -y 4", "CTL_USER_DELETE id=0 id=4",
		    "0|user 17 deleted\n|" },
		{ "nodes expire phone never", "CTL_NODE_EXPIRE id=0 id=12 "
		    "at=0", "0|node phone: key expires never\n|" },
		{ "nodes expire phone 1h", "CTL_NODE_EXPIRE id=0 id=12 "
		    "at=1790003600", "0|node phone: key expires "
		    "2026-09-21T15:13:20Z\n|" },
		{ "nodes expire phone", "CTL_NODE_EXPIRE id=0 id=12 "
		    "at=1790000000", "0|node phone: key expires "
		    "2026-09-21T14:13:20Z\n|" },
		{ "keys delete -y 21", "CTL_KEY_DELETE id=0 id=21",
		    "0|key hskey-0123456789cd deleted\n|" },
		{ "keys expire -y hskey-0123456789ab", "CTL_KEY_EXPIRE id=0 "
		    "id=20", "0|key hskey-0123456789ab expired\n|" },
		{ "keys expire -y hskey-0123456789a", NULL, "1||"
		    "hskey-0123456789a: no such key; if hskey-0123456789ab is"
		    " meant, say so: with -y only a whole name will do" },
		{ "nodes delete -y ph", NULL, "1||ph: no such node; if phone "
		    "is meant, say so: with -y only a whole name will do" },
		{ "nodes expire -y ph never", "CTL_NODE_EXPIRE id=0 id=12 ",
		    "0|node phone: key expires never\n|" },
		{ "keys expire -y hskey-0123456789cd-5ec2e7", "CTL_KEY_EXPIRE"
		    " id=0 id=21", "0|key hskey-0123456789cd expired\n|" },
		{ "keys expire -y 22", "CTL_KEY_EXPIRE id=0 id=22",
		    "0|key  expired\n|" },
		{ "keys expire -y hskey-", NULL, "1||hskey-: which key: "
		    "hskey-0123456789ab (id:20), "
		    "hskey-0123456789cd (id:21)?" },
		{ "keys expire -y hskey-ffff", NULL,
		    "1||hskey-ffff: no such key" },
	};

	(void)state;
	check_names(t, sizeof(t) / sizeof(t[0]));
}

/* The same octet by octet, nearly so, and what looks like an id. */
static void
test_alike(void **state)
{
	static const struct naming t[] = {
		/* Octet by octet, whatever stands before and behind. */
		{ "users delete -y zed", "CTL_USER_DELETE id=0 id=6",
		    "0|user zed deleted\n|" },
		{ "users delete -y ZED", "CTL_USER_DELETE id=0 id=7",
		    "0|user ZED deleted\n|" },
		{ "keys create -u eve", "CTL_KEY_CREATE id=0 user=8 ",
		    "0|hskey-x-y\n|" },
		{ "users rename Eve x", "id=0 id=9 ",
		    "0|user Eve renamed to x\n|" },
		/* Else the one that is like it: not if there are several, */
		{ "users rename zeD x", NULL, "1||zeD: which user: Zed (id:5),"
		    " zed (id:6), ZED (id:7)?" },
		{ "users rename kim x", NULL,
		    "1||kim: which user: Kim (id:13), kIM (id:14)?" },
		{ "users rename ze x", NULL, "1||ze: which user: Zed (id:5), "
		    "zed (id:6), ZED (id:7)?" },
		/* and not where nobody is asked. */
		{ "users delete -y ALICE", NULL, "1||ALICE: no such user; if "
		    "alice is meant, say so: with -y only an exact name will "
		    "do" },
		{ "users delete -y zeD", NULL, "1||zeD: which user: Zed (id:5)"
		    ", zed (id:6), ZED (id:7)?" },
		/* id: and a number is no name. */
		{ "users delete -y id:2", "CTL_USER_DELETE id=0 id=2",
		    "0|user Bob deleted\n|" },
		{ "users delete -y id:10", "CTL_USER_DELETE id=0 id=10",
		    "0|user id:2 deleted\n|" },
		{ "users delete -y id:88", NULL,
		    "1||id:88: no such user; id:11 has this name" },
		{ "users delete -y id:x", "CTL_USER_DELETE id=0 id=12",
		    "0|user id:x deleted\n|" },
	};

	(void)state;
	check_names(t, sizeof(t) / sizeof(t[0]));
}

static void
test_changes(void **state)
{
	(void)state;
	assert_string_equal(run("users add carol", false),
	    "0|user carol added, id 77\n|");
	assert_string_equal(run("users add carol -j", false),
	    "0|{\n  \"id\": 77\n}\n|");
	assert_string_equal(run("keys create -u alice", false),
	    "0|hskey-x-y\n|");
	assert_non_null(strstr(asked(), "CTL_KEY_CREATE id=0 user=1 "));
	assert_string_equal(run("keys create -j --tags a", false), "0|{\n"
	    "  \"id\": 5,\n  \"key\": \"hskey-x-y\",\n  \"expires\": null\n}"
	    "\n|");
	assert_int_equal(srv.calls, 1);		/* nobody to look up */
	assert_string_equal(run("reload", false), "0|configuration read\n|");
	/* All but the policy of its file: that is not enough. */
	srv.bad = true;
	srv.line = 0;
	assert_string_equal(run("reload", false), "1||reload: the "
	    "configuration is in force, but not its policy: unknown \\033 "
	    "field\n\tand more\n");
	srv.bad = false;
	assert_string_equal(run("log verbose", false), "0|done\n|");
}

/* A wrong number of a worker must not look as if all were well. */
static void
test_revoke(void **state)
{
	static const char line[] = "worker exposure -y --slot 9 --revoke";

	(void)state;
	assert_string_equal(run(line, false), "0||worker exposure: there was "
	    "nothing to revoke a moment before: no such worker had held "
	    "anything\n");
	assert_string_equal(asked(), "CTL_EXPOSURE id=0 slot=9 generation=0 "
	    "revoke=false; CTL_EXPOSURE id=0 slot=9 generation=0 revoke=true");
	srv.held = 3;
	srv.revoked = 2;
	assert_null(strstr(run(line, false), "nothing"));
	assert_non_null(strstr(run(line, false), "|worker exposure: there was "
	    "nothing to revoke a moment before: all of it was revoked "
	    "already\n"));
	assert_null(strstr(run("worker exposure", false), "nothing"));
	srv.dies = true;
	assert_string_equal(run(line, false), "1||it died");
	assert_int_equal(srv.calls, 1);
	srv.dies = false;
	srv.no = "\033 no";
	srv.no_lists = true;
	assert_string_equal(run(line, false),
	    "1||worker exposure: \\033 no");
	assert_int_equal(srv.calls, 1);
}

static void
test_lists(void **state)
{
	(void)state;
	assert_non_null(strstr(run("users list", false), "0|ID  NAME"));
	assert_non_null(strstr(run("keys list", false), "0|ID  KEY"));
	assert_non_null(strstr(run("nodes list -j", false), "\"la\\u001b\""));
	assert_non_null(strstr(run("nodes list", false), "12  phone"));
	assert_non_null(strstr(run("nodes show phone", false),
	    "0|name           phone\nid             12 (n)\n"));
	assert_null(strstr(run("nodes show phone", false), "laptop"));
	assert_string_equal(run("worker exposure", false), "0||");
	assert_string_equal(run("status -j", false), "0|{\n"
	    "  \"processes\": [],\n  \"tailnets\": []\n}\n|");
}

/* Three questions; what lacks one of them is not passed off as the whole. */
static void
test_metrics(void **state)
{
	static const enum msg_type ask[] = { M_CTL_STATUS, M_CTL_DERP_LIST,
	    M_CTL_CERT_LIST };
	const char *got;
	unsigned int i;

	(void)state;
	srv.rows = true;
	got = run("metrics", false);
	assert_ptr_equal(strstr(got, "0|# HELP headscaled_process_up 1 if the "
	    "process is ready.\n# TYPE headscaled_process_up gauge\n"
	    "headscaled_process_up{role=\"keyd\",slot=\"0\"} 1\n"), got);
	assert_non_null(strstr(got, "\nheadscaled_derp_node_avoid{"));
	assert_non_null(strstr(got, "\nheadscaled_certificate_failures"
	    "{names=\"\"} 6\n"));
	assert_non_null(strstr(got, "\n# EOF\n|"));
	assert_string_equal(asked(), "CTL_STATUS id=0; CTL_DERP_LIST id=0; "
	    "CTL_CERT_LIST id=0");
	srv.no = "the \033 store";
	srv.no_lists = true;
	for (i = 0; i < 3; i++) {
		srv.only = ask[i];
		assert_string_equal(run("metrics", false),
		    "1||metrics: the \\033 store");
		assert_int_equal(srv.calls, i + 1);
	}
	srv.no = NULL;
	srv.dies = true;
	assert_string_equal(run("metrics", false), "1||it died");
	assert_int_equal(srv.calls, 1);
	srv.absent = true;
	assert_string_equal(run("metrics", false), "1||nobody there");
	assert_memory_equal(run("metrics -j", false),
	    "2||metrics: not as JSON: ", 25);
}

static void
test_asking(void **state)
{
	static const struct {
		const char	*line;
		const char	*question;
		bool		 unasked;	/* without a terminal */
	} t[] = {
		{ "users delete alice", "This deletes user alice and its "
		    "keys.  Go on?", false },
		{ "nodes delete phone", "This deletes node phone.  Go on?",
		    false },
		{ "nodes logout phone", "This logs out node phone.  Go on?",
		    true },
		{ "nodes expire phone", "This logs out node phone.  Go on?",
		    true },
		{ "keys delete 20", "This deletes key hskey-0123456789ab.  "
		    "Go on?", false },
		{ "keys expire 20", "This makes key hskey-0123456789ab "
		    "useless for ever.  Go on?", true },
		{ "worker exposure --revoke", "This logs out all nodes that "
		    "the worker has held.  Go on?", false },
	};
	unsigned int calls, more;
	char want[256];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		tty.answer = false;
		(void)run(t[i].line, true);
		assert_string_equal(tty.question, t[i].question);
		assert_true(srv.calls <= 1);	/* a look, no change */
		calls = srv.calls;
		assert_non_null(strstr(run(t[i].line, true),
		    ": nothing was done"));
		if (!t[i].unasked)
			assert_non_null(strstr(run(t[i].line, false),
			    ": nobody to ask: say -y if it is meant"));
		assert_int_equal(srv.calls, calls);
		if (t[i].unasked) {
			assert_memory_equal(run(t[i].line, false), "0|", 2);
			assert_int_equal(srv.calls, calls + 1);
		}
		/* What will be revoked is counted before. */
		more = strstr(t[i].line, "--revoke") == NULL ? 1 : 2;
		tty.answer = true;
		assert_memory_equal(run(t[i].line, true), "0|", 2);
		assert_int_equal(srv.calls, calls + more);
		tty.times = 0;
		(void)snprintf(want, sizeof(want), "-y %s", t[i].line);
		assert_memory_equal(run(want, true), "0|", 2);
		assert_int_equal(tty.times, 0);
	}
	/* These lose nothing. */
	assert_memory_equal(run("nodes expire phone 1h", true), "0|", 2);
	assert_memory_equal(run("nodes rename phone x", true), "0|", 2);
	assert_memory_equal(run("worker exposure", true), "0|", 2);
	assert_int_equal(tty.times, 0);
}

static void
test_failures(void **state)
{
	(void)state;
	srv.absent = true;
	assert_string_equal(run("status", false), "1||nobody there");
	srv.absent = false;
	srv.dies = true;
	assert_string_equal(run("nodes list", false), "1||it died");
	assert_string_equal(run("nodes rename phone x", false),
	    "1||it died");
	assert_string_equal(run("keys create --tags a", false),
	    "1||it died");
	srv.dies = false;
	srv.no = "not \033[2J today";
	assert_string_equal(run("users add x", false),
	    "1||users add: not \\033[2J today");
	srv.no_lists = true;
	assert_string_equal(run("nodes rename phone x", false),
	    "1||nodes rename: not \\033[2J today");
	assert_string_equal(run("status", false),
	    "1||status: not \\033[2J today");
	/* Values are checked before anybody is asked. */
	srv.absent = true;
	assert_memory_equal(run("keys create", false), "2||keys create: ",
	    15);
	assert_memory_equal(run("nodes expire x y", false), "2||", 3);
}

static void
test_without_server(void **state)
{
	(void)state;
	srv.absent = true;
	assert_memory_equal(run("version", false), "0|headscalectl ", 15);
	assert_non_null(strstr(run("version -j", false), "\"version\": \""));
	assert_memory_equal(run("help", false), "0|usage: ", 9);
	assert_non_null(strstr(run("help nodes delete", false),
	    "nodes delete NODE"));
	assert_memory_equal(run("help frob", false), "2|usage", 7);
	assert_non_null(strstr(run("keys create -h", false),
	    "0|usage: headscalectl"));
	assert_string_equal(run("complete nodes sh", false),
	    "0|show\tshow all of one node\n|");
	assert_string_equal(run("complete nodes show ''", false), "0||");
	srv.absent = false;
	assert_string_equal(run("complete nodes show ''", false),
	    "0|laptop\t\nlaptop-1\t\nphone\t\nla\\033\t\n13\t\n14\t\n"
	    "id:14\t\n|");
	assert_string_equal(run("complete keys create --user ''", false),
	    "0|alice\t\nBob\t\nbobby\t\n17\t\nZed\t\nzed\t\nZED\t\neve\t\n"
	    "Eve\t\nid:2\t\nid:88\t\nid:x\t\nKim\t\nkIM\t\nkimono\t\n|");
	assert_string_equal(run("complete keys delete ''", false),
	    "0|hskey-0123456789ab\t\nhskey-0123456789cd\t\n|");
}

static void
test_policy(void **state)
{
	char path[] = "/tmp/t_ctl_run.XXXXXX", line[128], want[256];
	int fd;

	(void)state;
	assert_true((fd = mkstemp(path)) != -1);
	assert_int_equal(write(fd, "0123456789", 10), 10);
	(void)snprintf(line, sizeof(line), "policy set %s", path);
	assert_string_equal(run(line, false), "0|version 77 is in force\n|");
	assert_int_equal(srv.sent, 10);
	(void)snprintf(line, sizeof(line), "policy set -j %s", path);
	assert_string_equal(run(line, false), "0|{\n  \"ok\": true,\n"
	    "  \"version\": 77\n}\n|");
	(void)snprintf(line, sizeof(line), "policy check %s", path);
	(void)snprintf(want, sizeof(want), "0|%s: it can be set\n|", path);
	assert_string_equal(run(line, false), want);
	/* Refused: file, line and column where an editor looks for them. */
	srv.bad = true;
	srv.line = 3;
	(void)snprintf(want, sizeof(want), "1||%s:3:7: unknown \\033 field\n"
	    "\tand more\n", path);
	assert_string_equal(run(line, false), want);
	srv.line = 0;
	(void)snprintf(want, sizeof(want), "1||%s: unknown \\033 field\n"
	    "\tand more\n", path);
	assert_string_equal(run(line, false), want);
	assert_string_equal(run("policy rollback 3", false),
	    "1||version 3: unknown \\033 field\n\tand more\n");
	(void)snprintf(line, sizeof(line), "policy check -j %s", path);
	assert_non_null(strstr(run(line, false), "\"ok\": false,"));
	srv.bad = false;
	/* More than a policy may have. */
	assert_int_equal(ftruncate(fd, 1024 * 1024), 0);
	srv.sent = 0;
	assert_memory_equal(run(line, false), "0|", 2);
	assert_int_equal(srv.sent, 1024 * 1024);
	assert_int_equal(ftruncate(fd, 1024 * 1024 + 1), 0);
	(void)snprintf(want, sizeof(want), "1||%s: a policy has at most "
	    "1048576 octets", path);
	assert_string_equal(run(line, false), want);
	(void)close(fd);
	(void)unlink(path);
	(void)snprintf(want, sizeof(want), "1||%s: No such file or directory",
	    path);
	assert_string_equal(run(line, false), want);
}

static void
test_policy_rows(void **state)
{
	(void)state;
	assert_string_equal(run("policy get", false), "0|{ // x\n}\n|");
	assert_string_equal(run("policy get 7 -j", false), "0|{\n"
	    "  \"version\": 7,\n  \"text\": \"{ // x\\n}\\n\"\n}\n|");
	assert_string_equal(run("policy why a b", false), "0|{ // x\n}\n|");
	assert_string_equal(run("policy why a b -j", false), "0|{\n"
	    "  \"lines\": [\n    \"{ // x\",\n    \"}\"\n  ]\n}\n|");
	assert_string_equal(run("policy history", false),
	    "0|VERSION  SET            BY  OCTETS  STATE     REASON\n"
	    "      7  60m ago  uid 1000      12  in force  te\\033st\n|");
	assert_non_null(strstr(run("policy history -j", false),
	    "\"uid\": 1000,"));
	srv.alarm = true;
	assert_non_null(strstr(run("policy history", false),
	    "12  not compiled  te"));
	assert_non_null(strstr(run("policy history -j", false),
	    "\"alarm\": true,"));
}

/* Many that begin alike are not all named. */
static void
test_many(void **state)
{
	struct find *f;
	char why[256];
	uint64_t id;
	int i;

	(void)state;
	f = find_new(FIND_NODE, "web", false);
	for (i = 1; i <= 9; i++) {
		(void)snprintf(why, sizeof(why), "web-%d", i);
		find_row(f, (uint64_t)i, slice_str(why));
	}
	assert_int_equal(find_result(f, &id, why, sizeof(why)), -1);
	assert_string_equal(why, "web: which node: web-1 (id:1), web-2 (id:2), "
	    "web-3 (id:3), web-4 (id:4), web-5 (id:5) ...?");
	assert_string_equal(find_name(f), "");
	/* A short buffer is no harm. */
	assert_int_equal(find_result(f, &id, why, 10), -1);
	assert_string_equal(why, "web: whic");
	find_row(f, 10, slice_str("WEB"));
	assert_int_equal(find_result(f, &id, why, sizeof(why)), 0);
	assert_int_equal(id, 10);
	find_free(f);
	find_free(NULL);
}

static int
group_end(void **state)
{
	(void)state;
	buf_free(&srv.asked);
	return 0;
}

int
main(void)
{
#define T(f)	cmocka_unit_test_setup(f, setup)
	const struct CMUnitTest tests[] = {
		T(test_names), T(test_alike), T(test_changes),
		T(test_revoke), T(test_lists),
		T(test_metrics), T(test_asking), T(test_failures),
		T(test_without_server), T(test_policy), T(test_policy_rows),
		T(test_many),
	};

	return cmocka_run_group_tests(tests, NULL, group_end);
}
