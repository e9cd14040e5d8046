#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "dbd/store_sqlite_int.h"

#define TAGS_MAX	64
#define TAGS_TEXT	(TAGS_MAX * (3 * 255 + 1))
#define ENDPOINTS_MAX	32
#define ENDPOINTS_TEXT	(ENDPOINTS_MAX * IPPORT_TEXT)
#define ROUTES_MAX	1024
#define HOSTINFO_MAX	MSG_MAX

/* The blob is this number and one hostinfo record in its encoding. */
#define HOSTINFO_VERSION 1

static void
hostinfo_enc(struct buf *b, const struct r_hostinfo *hi)
{
	buf_clear(b);
	buf_u16(b, HOSTINFO_VERSION);
	msg_rec_encode(b, MR_HOSTINFO, hi);
}

static bool
hostinfo_dec(struct r_hostinfo *hi, struct slice s)
{
	struct rd r;

	rd_init(&r, s.p, s.n);
	if (rd_u16(&r) != HOSTINFO_VERSION)
		return false;
	return msg_rec_decode(hi, MR_HOSTINFO, r.p, rd_left(&r)) == 0;
}

/*
 * Routes.  The order in which a client advertises is in its hostinfo; here
 * stand both lists for whoever looks, and the order of the approved ones.
 */

struct route {
	char		text[PREFIX_TEXT];
	uint32_t	advertised;
	uint32_t	approved;	/* 0, or its place from 1 */
	uint32_t	elected;	/* the node carries it */
	uint32_t	refused;	/* an administrator took it back */
};

enum route_list { ADVERTISED, APPROVED, ELECTED, REFUSED };

struct routes {
	struct route	*v;
	size_t		 n;
};

static int
route_cmp(const void *a, const void *b)
{
	const struct route *x = a, *y = b;

	return strcmp(x->text, y->text);
}

static void
routes_take(struct routes *rs, const struct msg_list *list,
    enum route_list kind)
{
	struct msg_list it = *list;
	struct r_route r;
	struct route *to;
	uint32_t place = 0;

	while (msg_list_next(&it, MR_ROUTE, &r)) {
		if (r.v.addr.family == 0)
			continue;
		to = &rs->v[rs->n++];
		memset(to, 0, sizeof(*to));
		(void)prefix_print(to->text, &r.v);
		if (kind == APPROVED)
			to->approved = ++place;
		else if (kind == ELECTED)
			to->elected = 1;
		else if (kind == REFUSED)
			to->refused = 1;
		else
			to->advertised = 1;
	}
}

/* Sorted, one for each prefix.  The caller frees v. */
static void
routes_of(struct routes *rs, const struct node_row *row)
{
	const struct r_node *node = &row->node;
	struct route *last, *r;
	size_t i, n = 0;

	memset(rs, 0, sizeof(*rs));
	n = node->hostinfo.routes.count + node->approved.count +
	    node->primary.count + row->refused.count;
	if (n == 0)
		return;
	rs->v = xcalloc(n, sizeof(rs->v[0]));
	n = 0;
	routes_take(rs, &node->hostinfo.routes, ADVERTISED);
	routes_take(rs, &node->approved, APPROVED);
	routes_take(rs, &node->primary, ELECTED);
	routes_take(rs, &row->refused, REFUSED);
	qsort(rs->v, rs->n, sizeof(rs->v[0]), route_cmp);
	for (i = 0; i < rs->n; i++) {
		r = &rs->v[i];
		last = n == 0 ? NULL : &rs->v[n - 1];
		if (last == NULL || strcmp(last->text, r->text) != 0) {
			rs->v[n++] = *r;
			continue;
		}
		last->advertised |= r->advertised;
		last->elected |= r->elected;
		last->refused |= r->refused;
		if (last->approved == 0 || (r->approved != 0 &&
		    r->approved < last->approved))
			last->approved = r->approved;
	}
	rs->n = n;
}

/* 1 if the table holds exactly these, 0 if not, -1 on error. */
static int
routes_same(struct store *s, const struct node_row *row,
    const struct routes *rs)
{
	const struct route *r;
	struct slice prefix;
	struct query q;
	size_t n = 0;
	bool same = true;
	int rc;

	q_init(&q, s, ST_ROUTE_LIST, "routes of node", "SELECT prefix,"
	    " advertised, approved, elected, refused FROM routes"
	    " WHERE tailnet_id = ? AND node_id = ? ORDER BY prefix");
	q_u64(&q, row->tailnet);
	q_u64(&q, row->node.id);
	while ((rc = q_row(&q)) == 1 && same) {
		r = n < rs->n ? &rs->v[n++] : NULL;
		prefix = q_get_text(&q, 1, PREFIX_TEXT);
		same = r != NULL && slice_eqs(prefix, r->text) &&
		    q_get_u64(&q) == r->advertised &&
		    q_get_u64(&q) == r->approved &&
		    q_get_u64(&q) == r->elected &&
		    q_get_u64(&q) == r->refused;
	}
	return q_end(&q, rc == -1 ? -1 : same && n == rs->n);
}

static int
routes_write(struct store *s, const struct node_row *row,
    const struct routes *rs)
{
	struct query q;
	size_t i;

	q_init(&q, s, ST_ROUTE_CLEAR, "clear routes",
	    "DELETE FROM routes WHERE tailnet_id = ? AND node_id = ?");
	q_u64(&q, row->tailnet);
	q_u64(&q, row->node.id);
	if (q_write(&q) == -1)
		return -1;
	for (i = 0; i < rs->n; i++) {
		q_init(&q, s, ST_ROUTE_ADD, "add route",
		    "INSERT INTO routes (tailnet_id, node_id, prefix,"
		    " advertised, approved, elected, refused)"
		    " VALUES (?, ?, ?, ?, ?, ?, ?)");
		q_u64(&q, row->tailnet);
		q_u64(&q, row->node.id);
		q_text(&q, slice_str(rs->v[i].text));
		q_u64(&q, rs->v[i].advertised);
		q_u64(&q, rs->v[i].approved);
		q_u64(&q, rs->v[i].elected);
		q_u64(&q, rs->v[i].refused);
		if (q_write(&q) == -1)
			return -1;
	}
	return 0;
}

static int
routes_put(struct store *s, const struct node_row *row)
{
	struct routes rs;
	int rc;

	routes_of(&rs, row);
	if ((rc = routes_same(s, row, &rs)) == 0)
		rc = routes_write(s, row, &rs);
	free(rs.v);
	return rc == -1 ? -1 : 0;
}

static bool
route_read(struct store *s, struct query *q, struct node_row *row)
{
	struct r_node *node = &row->node;
	bool approved, elected, refused;
	struct r_route r;

	if (!prefix_parse(&r.v, q_get_text(q, 1, PREFIX_TEXT)))
		return false;
	approved = q_get_u64(q) != 0;
	elected = q_get_bool(q);
	refused = q_get_bool(q);
	if (approved)
		msg_list_add(&node->approved, &s->approved, MR_ROUTE, &r);
	if (approved && elected)
		msg_list_add(&node->primary, &s->primary, MR_ROUTE, &r);
	if (refused)
		msg_list_add(&row->refused, &s->refused, MR_ROUTE, &r);
	return !q->bad && node->approved.count <= ROUTES_MAX &&
	    row->refused.count <= ROUTES_MAX;
}

static int
routes_load(struct store *s, struct node_row *row)
{
	struct r_node *node = &row->node;
	struct query q;
	int rc;

	memset(&node->approved, 0, sizeof(node->approved));
	memset(&node->primary, 0, sizeof(node->primary));
	memset(&row->refused, 0, sizeof(row->refused));
	buf_clear(&s->approved);
	buf_clear(&s->primary);
	buf_clear(&s->refused);
	q_init(&q, s, ST_ROUTE_LOAD, "load routes", "SELECT prefix,"
	    " approved, elected, refused FROM routes WHERE tailnet_id = ?"
	    " AND node_id = ? AND (approved > 0 OR refused > 0)"
	    " ORDER BY approved, prefix");
	q_u64(&q, row->tailnet);
	q_u64(&q, node->id);
	while ((rc = q_row(&q)) == 1)
		if (!route_read(s, &q, row)) {
			log_warnx("store: node %llu: bad routes",
			    (unsigned long long)node->id);
			return q_end(&q, -1);
		}
	msg_list_close(&node->approved, &s->approved);
	msg_list_close(&node->primary, &s->primary);
	msg_list_close(&row->refused, &s->refused);
	return q_end(&q, rc);
}

/* Nodes. */

#define NODE_COLUMNS	"tailnet_id, id, name, node_key, stable_id, user_id," \
	" ip4, ip6, machine_key, disco_key, nl_key, created, expiry," \
	" last_seen, online, ephemeral, published, mapped, renamed," \
	" capver, home_derp, key_id, tags, endpoints, hostinfo"

static bool
node_lists(struct store *s, struct query *q, struct r_node *n)
{
	struct slice tags, endpoints, hostinfo;

	tags = q_get_text(q, 0, TAGS_TEXT);
	endpoints = q_get_text(q, 0, ENDPOINTS_TEXT);
	hostinfo = q_get_blob(q, HOSTINFO_MAX);
	return !q->bad &&
	    tags_dec(&n->tags, &s->tags, tags, TAGS_MAX) &&
	    endpoints_dec(&n->endpoints, &s->endpoints, endpoints,
	    ENDPOINTS_MAX) && hostinfo_dec(&n->hostinfo, hostinfo);
}

static int
node_read(struct store *s, struct query *q, struct node_row *row)
{
	struct r_node *n = &row->node;

	memset(row, 0, sizeof(*row));
	row->tailnet = q_get_id(q);
	n->id = q_get_id(q);
	n->name = q_get_text(q, 1, 63);
	q_get_fix(q, n->node_key, KEY_LEN);
	n->stable_id = q_get_text(q, 1, 32);
	n->user = q_get_id(q);
	q_get_ip(q, &n->ip4, 4);
	q_get_ip(q, &n->ip6, 6);
	q_get_fix(q, n->machine_key, KEY_LEN);
	q_get_fix(q, n->disco_key, KEY_LEN);
	q_get_fix(q, row->nl_key, KEY_LEN);
	n->created = q_get_i64(q);
	n->expiry = q_get_i64(q);
	n->last_seen = q_get_i64(q);
	n->online = q_get_bool(q);
	n->ephemeral = q_get_bool(q);
	n->published = q_get_bool(q);
	row->mapped = q_get_bool(q);
	row->renamed = q_get_bool(q);
	n->capver = (uint16_t)q_get_max(q, UINT16_MAX);
	n->home_derp = (uint16_t)q_get_max(q, UINT16_MAX);
	row->key_id = q_get_id(q);
	if (node_lists(s, q, n) && routes_load(s, row) == 0 &&
	    msg_rec_ok(MR_NODE, n))
		return 0;
	log_warnx("store: node %llu cannot be read",
	    (unsigned long long)n->id);
	return -1;
}

int
store_load_nodes(struct store *s, int (*fn)(const struct node_row *, void *),
    void *arg)
{
	struct node_row row;
	struct query q;
	int rc;

	q_init(&q, s, ST_NODE_LOAD, "load nodes", "SELECT " NODE_COLUMNS
	    " FROM nodes ORDER BY tailnet_id, id");
	while ((rc = q_row(&q)) == 1)
		if (node_read(s, &q, &row) == -1 || fn(&row, arg) == -1)
			return q_end(&q, -1);
	return q_end(&q, rc);
}

/* Both statements that write a node take the same parameters. */
static int
node_write(struct store *s, enum stmt stmt, const char *sql,
    const struct node_row *row)
{
	const struct r_node *n = &row->node;
	char ip4[IP_TEXT], ip6[IP_TEXT];
	struct query q;

	q_init(&q, s, stmt, "put node", sql);
	q_u64(&q, row->tailnet);
	q_u64(&q, n->id);
	q_text(&q, n->name);
	q_blob(&q, n->node_key, KEY_LEN);
	q_text(&q, n->stable_id);
	q_id(&q, n->user);
	q_ip(&q, &n->ip4, ip4);
	q_ip(&q, &n->ip6, ip6);
	q_blob(&q, n->machine_key, KEY_LEN);
	q_blob(&q, n->disco_key, KEY_LEN);
	q_blob(&q, row->nl_key, KEY_LEN);
	q_i64(&q, n->created);
	q_i64(&q, n->expiry);
	q_i64(&q, n->last_seen);
	q_u64(&q, n->online);
	q_u64(&q, n->ephemeral);
	q_u64(&q, n->published);
	q_u64(&q, row->mapped);
	q_u64(&q, row->renamed);
	q_u64(&q, n->capver);
	q_u64(&q, n->home_derp);
	q_id(&q, row->key_id);
	q_text(&q, buf_slice_of(&s->tags));
	q_text(&q, buf_slice_of(&s->endpoints));
	q_blob(&q, s->hostinfo.p, s->hostinfo.n);
	return q_write(&q);
}

#define NODE_SET	"machine_key = ?9, disco_key = ?10, nl_key = ?11," \
	" created = ?12, expiry = ?13, last_seen = ?14, online = ?15," \
	" ephemeral = ?16, published = ?17, mapped = ?18, renamed = ?19," \
	" capver = ?20, home_derp = ?21, key_id = ?22, tags = ?23," \
	" endpoints = ?24, hostinfo = ?25"

int
store_put_node(struct store *s, const struct node_row *row)
{
	const struct r_node *n = &row->node;

	if (n->id == 0 || !msg_rec_ok(MR_NODE, n) || n->ip4.family == 6 ||
	    n->ip6.family == 4) {
		log_warnx("store: put node: out of bounds");
		return -1;
	}
	tags_enc(&s->tags, &n->tags);
	endpoints_enc(&s->endpoints, &n->endpoints);
	hostinfo_enc(&s->hostinfo, &n->hostinfo);
	/* Most often nothing changes that stands in an index: half the cost. */
	if (node_write(s, ST_NODE_SAME, "UPDATE nodes SET " NODE_SET
	    " WHERE tailnet_id = ?1 AND id = ?2 AND name = ?3"
	    " AND node_key = ?4 AND stable_id = ?5 AND user_id IS ?6"
	    " AND ip4 IS ?7 AND ip6 IS ?8", row) == -1)
		return -1;
	if (sqlite3_changes(s->db) == 0 && node_write(s, ST_NODE_PUT,
	    "INSERT INTO nodes (" NODE_COLUMNS ") VALUES (?1, ?2, ?3, ?4,"
	    " ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17,"
	    " ?18, ?19, ?20, ?21, ?22, ?23, ?24, ?25) ON CONFLICT"
	    " (tailnet_id, id) DO UPDATE SET name = ?3, node_key = ?4,"
	    " stable_id = ?5, user_id = ?6, ip4 = ?7, ip6 = ?8, " NODE_SET,
	    row) == -1)
		return -1;
	return routes_put(s, row);
}

int
store_del_node(struct store *s, uint64_t tailnet, uint64_t id)
{
	struct query q;

	q_init(&q, s, ST_NODE_DEL, "delete node",
	    "DELETE FROM nodes WHERE tailnet_id = ? AND id = ?");
	q_u64(&q, tailnet);
	q_u64(&q, id);
	return q_write(&q);
}

int
store_put_seen(struct store *s, uint64_t tailnet, uint64_t node, bool online,
    int64_t last_seen)
{
	struct query q;

	q_init(&q, s, ST_NODE_SEEN, "put seen", "UPDATE nodes SET online = ?,"
	    " last_seen = ? WHERE tailnet_id = ? AND id = ?");
	q_u64(&q, online);
	q_i64(&q, last_seen);
	q_u64(&q, tailnet);
	q_u64(&q, node);
	return q_write(&q);
}
