/* What administrators do to nodes. */

#include <stdio.h>
#include <string.h>

#include "common/ids.h"
#include "common/log.h"
#include "common/routeset.h"
#include "dbd/batch_int.h"
#include "dbd/name_int.h"
#include "dbd/objects_int.h"
#include "dbd/policy_int.h"
#include "dbd/routes_int.h"
#include "dbd/session_int.h"

static int
no(char *why, size_t n, const char *text)
{
	(void)strlcpy(why, text, n);
	return -1;
}

static struct node *
the_node(struct dbd *d, uint64_t id, char *why, size_t n)
{
	struct node *node;

	if ((node = node_find(d, id)) == NULL)
		(void)no(why, n, "no such node");
	return node;
}

static bool
tag_ok(struct slice tag)
{
	size_t i;
	char c;

	if (!slice_prefix(tag, "tag:") || tag.n == 4 || tag.n > 255)
		return false;
	for (i = 4; i < tag.n; i++) {
		c = tag.p[i];
		if (!(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') &&
		    !(i > 4 && ((c >= '0' && c <= '9') || c == '-')))
			return false;
	}
	return true;
}

int
tags_check(const struct msg_list *tags, char *why, size_t n)
{
	struct msg_list it = *tags, other;
	struct r_text tag, twin;
	uint32_t i, k;

	for (i = 0; msg_list_next(&it, MR_TEXT, &tag); i++) {
		if (!tag_ok(tag.v)) {
			(void)snprintf(why, n, "%s: a tag is \"tag:\" and "
			    "letters, digits and hyphens, a letter first",
			    log_vis(tag.v));
			return -1;
		}
		other = *tags;
		for (k = 0; k < i && msg_list_next(&other, MR_TEXT, &twin);
		    k++)
			if (slice_eq(tag.v, twin.v)) {
				(void)snprintf(why, n, "%s: given twice",
				    log_vis(tag.v));
				return -1;
			}
	}
	return 0;
}

/* One operation that changes fields. */
static void
change(struct node *n, const struct r_node *fresh, uint32_t uid,
    const char *what)
{
	struct buf b = { NULL, 0, 0 };
	struct dbd *d = n->tn->d;
	struct r_node r = *fresh;

	/* Who it is may decide what is approved for it. */
	if (r.user != n->r.user || !msg_list_eq(&r.tags, &n->r.tags))
		(void)routes_auto(n->tn, n, &r, &b);
	op_begin(d);
	node_set(n, &r);
	put_node(n);
	audit(n->tn, uid, what, n->r.id, "%s", log_vis(n->r.name));
	op_end(d);
	buf_free(&b);
}

int
op_node_rename(struct dbd *d, uint64_t id, struct slice name, uint32_t uid,
    char *why, size_t n)
{
	struct node *node, *other;
	struct r_node r;

	if ((node = the_node(d, id, why, n)) == NULL)
		return -1;
	if (!name_ok(name))
		return no(why, n, "a node's name is 1 to 63 lower-case "
		    "letters, digits and single hyphens between them");
	other = node_find_name(node->tn, name);
	if (other != NULL && other != node)
		return no(why, n, "another node has that name");
	if (node->renamed && other == node)
		return 0;
	r = node->r;
	r.name = name;
	node->renamed = true;
	change(node, &r, uid, "node.rename");
	return 0;
}

int
op_node_tag(struct dbd *d, uint64_t id, const struct msg_list *tags,
    uint32_t uid, char *why, size_t n)
{
	struct node *node;
	struct r_node r;

	if ((node = the_node(d, id, why, n)) == NULL ||
	    tags_check(tags, why, n) == -1 ||
	    policy_tags_check(node->tn, tags, why, n) == -1)
		return -1;
	if (tags->count == 0)
		return no(why, n, "give at least one tag, or move the node to "
		    "a user");
	r = node->r;
	r.tags = *tags;
	r.user = 0;
	/* Tagged nodes do not expire; one that has stays so. */
	if (!node_expired(node, env_wall(d->env)))
		r.expiry = 0;
	if (node_same(node, &r))
		return 0;
	change(node, &r, uid, "node.tag");
	expiry_arm(node);
	return 0;
}

int
op_node_move(struct dbd *d, uint64_t id, uint64_t user, uint32_t uid,
    char *why, size_t n)
{
	struct node *node;
	struct user *u;
	struct r_node r;

	if ((node = the_node(d, id, why, n)) == NULL)
		return -1;
	if ((u = user_find(d, user)) == NULL || u->tn != node->tn)
		return no(why, n, "no such user");
	r = node->r;
	r.user = user;
	memset(&r.tags, 0, sizeof(r.tags));
	/* Tagged nodes do not expire, those of users do. */
	if (node->owner == NULL && r.expiry == 0 && d->conf.node_expiry_s != 0)
		r.expiry = env_wall(d->env) + (int64_t)d->conf.node_expiry_s;
	if (node_same(node, &r))
		return 0;
	change(node, &r, uid, "node.move");
	expiry_arm(node);
	return 0;
}

int
op_node_expire(struct dbd *d, uint64_t id, int64_t at, uint32_t uid,
    char *why, size_t n)
{
	struct node *node;
	struct r_node r;
	int64_t now = env_wall(d->env);

	if ((node = the_node(d, id, why, n)) == NULL)
		return -1;
	if (at < 0)
		return no(why, n, "that time is too long ago");
	if (at >= EXPIRY_END)
		return no(why, n, "that is too far away: clients count no "
		    "further than 2199 (say never)");
	if (at != 0 && at <= now) {
		if (node_expired(node, now))
			return 0;
		at = now;
	}
	if (node->r.expiry == at)
		return 0;
	r = node->r;
	r.expiry = at;
	change(node, &r, uid, "node.expire");
	expiry_arm(node);
	return 0;
}

int
op_node_logout(struct dbd *d, uint64_t id, uint32_t uid, char *why, size_t n)
{
	return op_node_expire(d, id, env_wall(d->env), uid, why, n);
}

int
op_node_delete(struct dbd *d, uint64_t id, uint32_t uid, char *why, size_t n)
{
	struct node *node;

	if ((node = the_node(d, id, why, n)) == NULL)
		return -1;
	op_begin(d);
	audit(node->tn, uid, "node.delete", id, "%s", log_vis(node->r.name));
	del_node(node);
	op_end(d);
	return 0;
}

/* Routes. */

/* What was named, both exit routes if there is one. */
static void
add_named(struct msg_list *to, struct buf *b, const struct msg_list *named)
{
	struct msg_list it = *named;
	struct r_route r;
	bool exit = false;

	memset(to, 0, sizeof(*to));
	while (msg_list_next(&it, MR_ROUTE, &r)) {
		if (r.v.bits != 0)
			msg_list_add(to, b, MR_ROUTE, &r);
		exit = exit || r.v.bits == 0;
	}
	if (exit) {
		memset(&r, 0, sizeof(r));
		r.v.addr.family = 4;
		msg_list_add(to, b, MR_ROUTE, &r);
		r.v.addr.family = 6;
		msg_list_add(to, b, MR_ROUTE, &r);
	}
	msg_list_close(to, b);
}

static int
routes_check(const struct node *n, const struct msg_list *named, bool approve,
    char *why, size_t len)
{
	struct msg_list it = *named;
	struct routeset there;
	char text[PREFIX_TEXT];
	struct r_route r;
	int rc = 0;

	routeset_of(&there, approve ? &n->r.hostinfo.routes : &n->r.approved);
	while (rc == 0 && msg_list_next(&it, MR_ROUTE, &r)) {
		if (r.v.addr.family == 0) {
			rc = no(why, len, "that is no route");
		} else if (!routeset_has(&there, &r.v)) {
			(void)prefix_print(text, &r.v);
			(void)snprintf(why, len, "%s: %s", text, approve ?
			    "the node does not advertise it" :
			    "it is not approved");
			rc = -1;
		}
	}
	routeset_free(&there);
	return rc;
}

/* The approved ones without those named, then those if they are wanted. */
static void
approved_new(const struct node *n, const struct msg_list *named, bool approve,
    struct msg_list *list, struct buf *b)
{
	struct msg_list it = n->r.approved;
	struct routeset these, approved;
	struct r_route r;

	memset(list, 0, sizeof(*list));
	routeset_of(&these, named);
	routeset_of(&approved, &n->r.approved);
	while (msg_list_next(&it, MR_ROUTE, &r))
		if (approve || !routeset_has(&these, &r.v))
			msg_list_add(list, b, MR_ROUTE, &r);
	it = *named;
	while (approve && msg_list_next(&it, MR_ROUTE, &r))
		if (!routeset_has(&approved, &r.v))
			msg_list_add(list, b, MR_ROUTE, &r);
	msg_list_close(list, b);
	routeset_free(&these);
	routeset_free(&approved);
}

int
op_node_routes(struct dbd *d, uint64_t id, const struct msg_list *routes,
    bool approve, uint32_t uid, char *why, size_t n)
{
	struct buf b = { NULL, 0, 0 }, all = { NULL, 0, 0 };
	struct msg_list named;
	struct node *node;
	struct r_node r;
	int rc = 0;

	if ((node = the_node(d, id, why, n)) == NULL ||
	    routes_check(node, routes, approve, why, n) == -1)
		return -1;
	add_named(&named, &b, routes);
	r = node->r;
	approved_new(node, &named, approve, &r.approved, &all);
	if (r.approved.count > ROUTES_MAX)
		rc = no(why, n, "a node has at most 1024 routes");
	else if (!node_same(node, &r)) {
		if (!approve)
			routes_refuse(node, &named);
		change(node, &r, uid, approve ? "route.approve" :
		    "route.unapprove");
	}
	buf_free(&b);
	buf_free(&all);
	return rc;
}
