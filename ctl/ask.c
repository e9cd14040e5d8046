#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/compat/compat.h"
#include "common/ids.h"
#include "ctl/ask.h"

#define KEY_EXPIRES	3600
#define TAGS_MAX	64
#define ROUTES_MAX	1024
#define DIFF_LINES	1000

struct asking {
	const struct command	*cmd;
	const struct target	*target;
	int64_t			 now;
	struct buf		*list;
	char			*why;
	size_t			 whylen;
};

static int
bad(struct asking *a, const char *value, const char *text)
{
	(void)snprintf(a->why, a->whylen, "%s: \"%s\" %s",
	    grammar_name(a->cmd->act), value, text);
	return -1;
}

static int
get_name(struct asking *a, struct slice *out, const char *value, size_t min,
    size_t max)
{
	*out = slice_str(value);
	if (out->n >= min && out->n <= max && utf8_ok(out->p, out->n))
		return 0;
	(void)snprintf(a->why, a->whylen, "%s: a name has %zu to %zu octets of"
	    " UTF-8", grammar_name(a->cmd->act), min, max);
	return -1;
}

static int
get_number(struct asking *a, uint64_t *out, const char *value, uint64_t max)
{
	const char *why;

	*out = 0;
	if (value == NULL)
		return 0;
	*out = (uint64_t)strtonum(value, 1, (long long)max, &why);
	return why == NULL ? 0 : bad(a, value, "is no such number");
}

/* "a,tag:b" to "tag:a", "tag:b". */
static int
get_tags(struct asking *a, struct msg_list *out, const char *value)
{
	char text[256];
	struct r_text tag;
	size_t n;

	memset(out, 0, sizeof(*out));
	buf_clear(a->list);
	for (;; value += n + 1) {
		n = strcspn(value, ",");
		if (n == 0)
			return bad(a, value, "has an empty tag");
		if (out->count == TAGS_MAX)
			return bad(a, value, "is a tag too many");
		(void)snprintf(text, sizeof(text), "%s%.*s",
		    strncmp(value, "tag:", 4) == 0 ? "" : "tag:", (int)n,
		    value);
		tag.v = slice_str(text);
		if (n > 250 || !utf8_ok(tag.v.p, tag.v.n))
			return bad(a, value, "is no tag");
		msg_list_add(out, a->list, MR_TEXT, &tag);
		if (value[n] == '\0')
			break;
	}
	msg_list_close(out, a->list);
	return 0;
}

static int
get_expires(struct asking *a, uint64_t *out)
{
	const char *value = a->cmd->arg[ARG_EXPIRES];
	int64_t s;

	*out = KEY_EXPIRES;
	if (value == NULL)
		return 0;
	*out = 0;
	if (strcmp(value, "never") == 0)
		return 0;
	if ((s = duration_parse(value)) <= 0)
		return bad(a, value, "is no duration: 30m, 24h, 7d or never");
	*out = (uint64_t)s;
	return 0;
}

/* Unix seconds; 0 never. */
static int
get_when(struct asking *a, int64_t *out)
{
	const char *value = a->cmd->arg[ARG_WHEN];
	int64_t s;

	*out = a->now;
	if (value == NULL || strcmp(value, "now") == 0)
		return 0;
	*out = 0;
	if (strcmp(value, "never") == 0)
		return 0;
	s = duration_parse(value);
	if (s == 0)
		return bad(a, value, "may mean now or never: say \"now\" or "
		    "\"never\"");
	if (s > 0 && s < INT64_MAX - a->now) {
		*out = a->now + s;
		return 0;
	}
	if (time_parse(&s, slice_str(value)) && s != 0) {
		*out = s;
		return 0;
	}
	return bad(a, value, "is no time: 24h, 2027-01-31T12:00:00Z, now or"
	    " never");
}

static int
get_routes(struct asking *a, struct msg_list *out)
{
	struct r_route r;
	int i;

	memset(out, 0, sizeof(*out));
	buf_clear(a->list);
	for (i = 0; i < a->cmd->restc; i++) {
		if (!prefix_parse(&r.v, slice_str(a->cmd->rest[i])))
			return bad(a, a->cmd->rest[i], "is no prefix like "
			    "10.0.0.0/8");
		if (i == ROUTES_MAX)
			return bad(a, a->cmd->rest[i], "is a route too many");
		msg_list_add(out, a->list, MR_ROUTE, &r);
	}
	msg_list_close(out, a->list);
	return 0;
}

/* Where a port may stand behind a name; NULL: there is none. */
static const char *
port_of(const char *dst)
{
	const char *colon = strrchr(dst, ':');
	struct ip ip;

	if (colon == NULL || colon[1] == '\0' ||
	    strspn(colon + 1, "0123456789") != strlen(colon + 1))
		return NULL;
	/* The end of an IPv6 address looks like one. */
	return ip_parse(&ip, slice_str(dst)) ? NULL : colon + 1;
}

/* "web:80", "[fd7a::1]:80", "tag:db". */
static int
get_dst(struct asking *a, struct slice *dst, uint16_t *port)
{
	const char *text = a->cmd->arg[ARG_DST], *p = port_of(text);
	uint64_t n = 0;

	*dst = slice_str(text);
	if (p != NULL) {
		if (get_number(a, &n, p, UINT16_MAX) == -1)
			return -1;
		dst->n = (size_t)(p - 1 - text);
	}
	if (dst->n > 2 && dst->p[0] == '[' && dst->p[dst->n - 1] == ']') {
		dst->p++;
		dst->n -= 2;
	}
	*port = (uint16_t)n;
	if (dst->n > 0 && dst->n <= 255 && utf8_ok(dst->p, dst->n))
		return 0;
	return bad(a, text, "names nothing");
}

/* Builders, one for each command. */

static int
user_add(struct asking *a, struct msg *m)
{
	const char *display = a->cmd->arg[ARG_DISPLAY];

	msg_init(m, M_CTL_USER_ADD);
	if (get_name(a, &m->u.ctl_user_add.name, a->cmd->arg[ARG_NAME], 1,
	    255) == -1)
		return -1;
	return get_name(a, &m->u.ctl_user_add.display, display == NULL ? "" :
	    display, 0, 255);
}

static int
user_rename(struct asking *a, struct msg *m)
{
	msg_init(m, M_CTL_USER_RENAME);
	m->u.ctl_user_rename.id = a->target->user;
	return get_name(a, &m->u.ctl_user_rename.name, a->cmd->arg[ARG_NAME],
	    1, 255);
}

static int
user_delete(struct asking *a, struct msg *m)
{
	msg_init(m, M_CTL_USER_DELETE);
	m->u.ctl_user_delete.id = a->target->user;
	return 0;
}

static int
user_role(struct asking *a, struct msg *m)
{
	static const char *const name[] = { [USER_MEMBER] = "member",
	    [USER_ADMIN] = "admin", [USER_OWNER] = "owner" };
	const char *value = a->cmd->arg[ARG_ROLE];
	uint8_t i;

	msg_init(m, M_CTL_USER_ROLE);
	m->u.ctl_user_role.id = a->target->user;
	for (i = 0; i <= USER_OWNER; i++)
		if (strcmp(name[i], value) == 0) {
			m->u.ctl_user_role.role = i;
			return 0;
		}
	return bad(a, value, "is no role: owner, admin or member");
}

static int
key_create(struct asking *a, struct msg *m)
{
	struct m_ctl_key_create *k = &m->u.ctl_key_create;
	const char *tags = a->cmd->arg[ARG_TAGS];

	msg_init(m, M_CTL_KEY_CREATE);
	if (a->cmd->arg[ARG_USER] == NULL && tags == NULL) {
		(void)snprintf(a->why, a->whylen, "keys create: whose nodes "
		    "will they be? --user or --tags is needed");
		return -1;
	}
	k->user = a->target->user;
	k->reusable = (a->cmd->flags & F_REUSABLE) != 0;
	k->ephemeral = (a->cmd->flags & F_EPHEMERAL) != 0;
	if (get_expires(a, &k->expires_s) == -1)
		return -1;
	return tags == NULL ? 0 : get_tags(a, &k->tags, tags);
}

static int
key_expire(struct asking *a, struct msg *m)
{
	msg_init(m, M_CTL_KEY_EXPIRE);
	m->u.ctl_key_expire.id = a->target->key;
	return 0;
}

static int
key_delete(struct asking *a, struct msg *m)
{
	msg_init(m, M_CTL_KEY_DELETE);
	m->u.ctl_key_delete.id = a->target->key;
	return 0;
}

static int
node_rename(struct asking *a, struct msg *m)
{
	msg_init(m, M_CTL_NODE_RENAME);
	m->u.ctl_node_rename.id = a->target->node;
	return get_name(a, &m->u.ctl_node_rename.name, a->cmd->arg[ARG_NAME],
	    1, 63);
}

static int
node_tag(struct asking *a, struct msg *m)
{
	msg_init(m, M_CTL_NODE_TAG);
	m->u.ctl_node_tag.id = a->target->node;
	return get_tags(a, &m->u.ctl_node_tag.tags, a->cmd->arg[ARG_TAGS]);
}

static int
node_move(struct asking *a, struct msg *m)
{
	msg_init(m, M_CTL_NODE_MOVE);
	m->u.ctl_node_move.id = a->target->node;
	m->u.ctl_node_move.user = a->target->user;
	return 0;
}

static int
node_expire(struct asking *a, struct msg *m)
{
	msg_init(m, M_CTL_NODE_EXPIRE);
	m->u.ctl_node_expire.id = a->target->node;
	return get_when(a, &m->u.ctl_node_expire.at);
}

static int
node_logout(struct asking *a, struct msg *m)
{
	msg_init(m, M_CTL_NODE_LOGOUT);
	m->u.ctl_node_logout.id = a->target->node;
	return 0;
}

static int
node_delete(struct asking *a, struct msg *m)
{
	msg_init(m, M_CTL_NODE_DELETE);
	m->u.ctl_node_delete.id = a->target->node;
	return 0;
}

static int
node_routes(struct asking *a, struct msg *m)
{
	msg_init(m, M_CTL_NODE_ROUTES);
	m->u.ctl_node_routes.id = a->target->node;
	m->u.ctl_node_routes.approve = a->cmd->act == A_ROUTE_APPROVE;
	return get_routes(a, &m->u.ctl_node_routes.routes);
}

static int
get_reason(struct asking *a, struct slice *out)
{
	const char *value = a->cmd->arg[ARG_REASON];

	*out = slice_str(value);
	if (out->n <= 255 && utf8_ok(out->p, out->n))
		return 0;
	(void)snprintf(a->why, a->whylen, "%s: a reason has at most 255 octets "
	    "of UTF-8", grammar_name(a->cmd->act));
	return -1;
}

static int
policy_set(struct asking *a, struct msg *m)
{
	msg_init(m, M_CTL_POLICY_SET);
	return get_reason(a, &m->u.ctl_policy_set.reason);
}

static int
policy_check(struct asking *a, struct msg *m)
{
	msg_init(m, M_CTL_POLICY_CHECK);
	m->u.ctl_policy_check.tests = a->cmd->act == A_POLICY_TEST;
	return 0;
}

static int
policy_diff(struct asking *a, struct msg *m)
{
	uint64_t n;

	msg_init(m, M_CTL_POLICY_DIFF);
	if (get_number(a, &n, a->cmd->arg[ARG_LINES], 100000) == -1)
		return -1;
	m->u.ctl_policy_diff.lines = n == 0 ? DIFF_LINES : (uint32_t)n;
	return 0;
}

static int
policy_why(struct asking *a, struct msg *m)
{
	struct m_ctl_policy_why *w = &m->u.ctl_policy_why;

	msg_init(m, M_CTL_POLICY_WHY);
	if (get_name(a, &w->src, a->cmd->arg[ARG_SRC], 1, 255) == -1)
		return -1;
	return get_dst(a, &w->dst, &w->port);
}

static int
policy_get(struct asking *a, struct msg *m)
{
	uint64_t n;

	msg_init(m, M_CTL_POLICY_GET);
	if (get_number(a, &n, a->cmd->arg[ARG_VERSION], UINT32_MAX) == -1)
		return -1;
	m->u.ctl_policy_get.version = (uint32_t)n;
	return 0;
}

static int
policy_rollback(struct asking *a, struct msg *m)
{
	uint64_t n;

	msg_init(m, M_CTL_POLICY_ROLLBACK);
	if (get_number(a, &n, a->cmd->arg[ARG_VERSION], UINT32_MAX) == -1)
		return -1;
	m->u.ctl_policy_rollback.version = (uint32_t)n;
	return get_reason(a, &m->u.ctl_policy_rollback.reason);
}

static int
exposure(struct asking *a, struct msg *m)
{
	struct m_ctl_exposure *e = &m->u.ctl_exposure;
	uint64_t slot;

	msg_init(m, M_CTL_EXPOSURE);
	e->revoke = (a->cmd->flags & F_REVOKE) != 0;
	if (get_number(a, &slot, a->cmd->arg[ARG_SLOT], UINT16_MAX) == -1 ||
	    get_number(a, &e->generation, a->cmd->arg[ARG_GENERATION],
	    INT64_MAX) == -1)
		return -1;
	e->slot = (uint16_t)slot;
	if (e->generation == 0 || e->slot != 0)
		return 0;
	return bad(a, a->cmd->arg[ARG_GENERATION], "is of which worker? "
	    "--slot is needed");
}

static int
cert_renew(struct asking *a, struct msg *m)
{
	msg_init(m, M_CTL_CERT_RENEW);
	m->u.ctl_cert_renew.revoke = (a->cmd->flags & F_REVOKE) != 0;
	return 0;
}

static int
verbose(struct asking *a, struct msg *m)
{
	msg_init(m, M_CTL_VERBOSE);
	m->u.ctl_verbose.verbose = a->cmd->act == A_LOG_VERBOSE;
	return 0;
}

static int
plain(struct asking *a, struct msg *m)
{
	static const enum msg_type type[] = {
		[A_USER_LIST] = M_CTL_USER_LIST,
		[A_KEY_LIST] = M_CTL_KEY_LIST,
		[A_NODE_LIST] = M_CTL_NODE_LIST,
		[A_NODE_SHOW] = M_CTL_NODE_LIST,
		[A_ROUTE_LIST] = M_CTL_NODE_LIST,
		[A_POLICY_HISTORY] = M_CTL_POLICY_HISTORY,
		[A_DERP_LIST] = M_CTL_DERP_LIST,
		[A_CERT_LIST] = M_CTL_CERT_LIST,
		[A_STATUS] = M_CTL_STATUS,
		[A_METRICS] = M_CTL_STATUS,
		[A_RELOAD] = M_CTL_RELOAD,
	};

	msg_init(m, type[a->cmd->act]);
	return 0;
}

int
ask_build(struct msg *m, struct buf *list, const struct command *cmd,
    const struct target *target, int64_t now, char *why, size_t whylen)
{
	static int (*const build[])(struct asking *, struct msg *) = {
		[A_USER_ADD] = user_add,
		[A_USER_LIST] = plain,
		[A_USER_RENAME] = user_rename,
		[A_USER_DELETE] = user_delete,
		[A_USER_ROLE] = user_role,
		[A_KEY_CREATE] = key_create,
		[A_KEY_LIST] = plain,
		[A_KEY_EXPIRE] = key_expire,
		[A_KEY_DELETE] = key_delete,
		[A_NODE_LIST] = plain,
		[A_NODE_SHOW] = plain,
		[A_NODE_RENAME] = node_rename,
		[A_NODE_TAG] = node_tag,
		[A_NODE_MOVE] = node_move,
		[A_NODE_EXPIRE] = node_expire,
		[A_NODE_LOGOUT] = node_logout,
		[A_NODE_DELETE] = node_delete,
		[A_ROUTE_LIST] = plain,
		[A_ROUTE_APPROVE] = node_routes,
		[A_ROUTE_UNAPPROVE] = node_routes,
		[A_POLICY_SET] = policy_set,
		[A_POLICY_GET] = policy_get,
		[A_POLICY_CHECK] = policy_check,
		[A_POLICY_TEST] = policy_check,
		[A_POLICY_DIFF] = policy_diff,
		[A_POLICY_WHY] = policy_why,
		[A_POLICY_HISTORY] = plain,
		[A_POLICY_ROLLBACK] = policy_rollback,
		[A_DERP_LIST] = plain,
		[A_CERT_LIST] = plain,
		[A_CERT_RENEW] = cert_renew,
		[A_STATUS] = plain,
		[A_METRICS] = plain,
		[A_EXPOSURE] = exposure,
		[A_RELOAD] = plain,
		[A_LOG_VERBOSE] = verbose,
		[A_LOG_BRIEF] = verbose,
	};
	struct asking a = { cmd, target, now, list, why, whylen };

	return build[cmd->act](&a, m);
}

int
ask_check(const struct command *cmd, int64_t now, char *why, size_t whylen)
{
	static const struct target none;
	struct buf list = { NULL, 0, 0 };
	struct msg m;
	int rc;

	rc = ask_build(&m, &list, cmd, &none, now, why, whylen);
	buf_free(&list);
	return rc;
}

bool
ask_destroys(const struct command *cmd, int64_t now)
{
	char why[8];
	struct asking a = { cmd, NULL, now, NULL, why, sizeof(why) };
	int64_t at;

	switch (cmd->act) {
	case A_KEY_EXPIRE:
	case A_NODE_LOGOUT:
		return true;
	case A_NODE_EXPIRE:
		return get_when(&a, &at) == 0 && at != 0 && at <= now;
	default:
		return ask_deletes(cmd);
	}
}

bool
ask_deletes(const struct command *cmd)
{
	switch (cmd->act) {
	case A_USER_DELETE:
	case A_KEY_DELETE:
	case A_NODE_DELETE:
		return true;
	case A_EXPOSURE:
	case A_CERT_RENEW:
		return (cmd->flags & F_REVOKE) != 0;
	default:
		return false;
	}
}
