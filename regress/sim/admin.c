#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/enc.h"
#include "regress/sim/admin.h"
#include "regress/sim/routes.h"

struct admin {
	struct world	*w;
	struct host	*h;
	struct sproc	*sp;
	struct link	*l;
	bool		 done;
	struct buf	 body;
	struct msg	 reply;
	struct truth	*rows;
	size_t		 n;
	struct buf	 text;		/* of a policy */
	uint32_t	 version;	/* of it */
	bool		 in_force;
	bool		 setting;	/* a policy is on its way, */
	unsigned int	 port;		/* which allows this */
	uint32_t	 acked;
	unsigned int	 acked_port;
};

struct admin *
admin_new(struct world *w, struct host *h, struct sproc *sp)
{
	struct admin *a;

	a = xcalloc(1, sizeof(*a));
	a->w = w;
	a->h = h;
	a->sp = sp;
	return a;
}

void
admin_free(struct admin *a)
{
	link_free(a->l);
	buf_free(&a->body);
	buf_free(&a->text);
	free(a->rows);
	free(a);
}

static void
join(char *dst, size_t n, const char *text)
{
	if (dst[0] != '\0')
		strlcat(dst, ",", n);
	strlcat(dst, text, n);
}

/* Those that the simulation knows, and one bit for all others. */
static unsigned int
mask(const struct msg_list *list)
{
	struct msg_list it = *list;
	char text[PREFIX_TEXT];
	unsigned int got = 0, k;
	struct r_route r;

	while (msg_list_next(&it, MR_ROUTE, &r)) {
		(void)prefix_print(text, &r.v);
		for (k = 0; k < ROUTES; k++)
			if (strcmp(text, route_text(k)) == 0)
				break;
		got |= k == ROUTES ? ROUTES_OTHER : 1u << k;
	}
	return got;
}

static void
row(struct admin *a, const struct m_ctl_node *m)
{
	struct msg_list it = m->node.endpoints;
	char text[IPPORT_TEXT + 4];
	struct r_addr e;
	struct truth *t;

	a->rows = xrealloc(a->rows, a->n + 1, sizeof(*a->rows));
	t = &a->rows[a->n++];
	memset(t, 0, sizeof(*t));
	t->id = m->node.id;
	slice_copy(t->name, sizeof(t->name), m->node.name);
	key_print(t->key, KEY_NODE, m->node.node_key);
	key_print(t->disco, KEY_DISCO, m->node.disco_key);
	while (msg_list_next(&it, MR_ADDR, &e)) {
		ipport_print(text, &e.v);
		join(t->endpoints, sizeof(t->endpoints), text);
	}
	ip_print(text, &m->node.ip4);
	join(t->addr, sizeof(t->addr), text);
	ip_print(text, &m->node.ip6);
	join(t->addr, sizeof(t->addr), text);
	t->online = m->node.online;
	t->published = m->node.published;
	t->ephemeral = m->node.ephemeral;
	t->expiry = m->node.expiry;
	t->key_id = m->key_id;
	t->user = m->node.user;
	t->advertised = mask(&m->node.hostinfo.routes);
	t->approved = mask(&m->node.approved);
	t->primary = mask(&m->node.primary);
}

static void
on_msg(struct link *l, const struct msg *m, void *tag, void *arg)
{
	struct admin *a = arg;

	(void)l;
	if (tag == &a->setting) {
		a->setting = false;
		if (m->type == M_CTL_OK) {
			a->acked = (uint32_t)m->u.ctl_ok.id;
			a->acked_port = a->port;
			if (a->port == 0)
				world_fail(a->w, "a wrong policy was taken");
		}
		return;
	}
	if (m->type == M_CTL_POLICY_VERSION) {
		a->version = m->u.ctl_policy_version.version;
		a->in_force = m->u.ctl_policy_version.in_force;
		return;
	}
	if (m->type == M_CTL_POLICY_LINE) {
		buf_slice(&a->text, m->u.ctl_policy_line.octets);
		return;
	}
	if (m->type == M_CTL_NODE) {
		row(a, &m->u.ctl_node);
		return;
	}
	if (msg_class(m->type) != MSG_REPLY)
		return;
	buf_clear(&a->body);
	msg_encode(&a->body, m);
	if (msg_decode(&a->reply, m->type, a->body.p, a->body.n) == -1)
		abort();
	a->done = true;
}

static void
on_down(struct link *l, enum link_why why, void *arg)
{
	struct admin *a = arg;

	(void)why;
	a->setting = false;
	if (a->l == l)
		a->l = NULL;
	link_free(l);
}

static bool
connected(struct admin *a)
{
	struct link_conf conf = { .kind = LINK_CTL, .self = ROLE_CTL,
	    .peer = ROLE_DBD, .on_msg = on_msg, .on_down = on_down,
	    .arg = a };
	struct msg m;

	if (a->l != NULL && !link_is_down(a->l))
		return true;
	link_free(a->l);
	a->l = host_ctl(a->h, a->sp, &conf);
	if (a->l == NULL)
		return false;
	msg_init(&m, M_CTL_HELLO);
	m.u.ctl_hello.table = MSG_TABLE_SUM;
	a->done = false;
	link_request(a->l, &m, NULL, 0);
	world_run(a->w, world_now(a->w) + US_PER_S);
	if (!a->done || a->l == NULL || a->reply.type != M_CTL_OK)
		return false;
	link_set_state(a->l, MSG_RUN);
	return true;
}

const struct msg *
admin_ask(struct admin *a, const struct msg *m)
{
	unsigned int i;

	if (!connected(a))
		return NULL;
	a->done = false;
	a->n = 0;
	link_request(a->l, m, NULL, 0);
	for (i = 0; i < 200 && !a->done && a->l != NULL; i++)
		world_run(a->w, world_now(a->w) + US_PER_S / 10);
	return a->done ? &a->reply : NULL;
}

const char *
admin_key(struct admin *a, uint64_t user, bool reusable, bool ephemeral,
    uint64_t *id)
{
	static char text[4][256];
	static unsigned int turn;
	const struct msg *r;
	struct msg m;
	char *dst = text[turn++ % 4];

	dst[0] = '\0';
	msg_init(&m, M_CTL_KEY_CREATE);
	m.u.ctl_key_create.user = user;
	m.u.ctl_key_create.reusable = reusable;
	m.u.ctl_key_create.ephemeral = ephemeral;
	if ((r = admin_ask(a, &m)) == NULL || r->type != M_CTL_KEY_MADE)
		return dst;
	slice_copy(dst, 256, r->u.ctl_key_made.secret);
	if (id != NULL)
		*id = r->u.ctl_key_made.id;
	return dst;
}

uint64_t
admin_user(struct admin *a, const char *name)
{
	const struct msg *r;
	struct msg m;

	msg_init(&m, M_CTL_USER_ADD);
	m.u.ctl_user_add.name = slice_str(name);
	if ((r = admin_ask(a, &m)) == NULL || r->type != M_CTL_OK)
		return 0;
	return r->u.ctl_ok.id;
}

struct truth *
admin_nodes(struct admin *a, size_t *n)
{
	const struct msg *m;
	struct truth *rows;
	struct msg ask;

	*n = 0;
	msg_init(&ask, M_CTL_NODE_LIST);
	m = admin_ask(a, &ask);
	if (m == NULL || m->type != M_CTL_END)
		return NULL;
	rows = a->rows != NULL ? a->rows : xcalloc(1, sizeof(*rows));
	*n = a->n;
	a->rows = NULL;
	a->n = 0;
	return rows;
}

void
admin_policy(struct admin *a, unsigned int port)
{
	char text[512];
	struct msg m;

	if (a->setting || !connected(a))
		return;
	(void)snprintf(text, sizeof(text), port == 0 ? "{\"acls\": [" :
	    "{\"acls\": [{\"action\": \"accept\", \"src\": [\"*\"], "
	    "\"dst\": [\"*:%u\"]}], " ROUTES_APPROVERS "}", port);
	msg_init(&m, M_CTL_POLICY_PART);
	m.u.ctl_policy_part.octets = slice_str(text);
	link_send(a->l, &m);
	msg_init(&m, M_CTL_POLICY_SET);
	a->setting = true;
	a->port = port;
	(void)link_request(a->l, &m, &a->setting, 0);
}

uint32_t
admin_acked(const struct admin *a, unsigned int *port)
{
	*port = a->acked_port;
	return a->acked;
}

int
admin_port(struct admin *a, uint32_t version, uint32_t *got, bool *in_force)
{
	const char *p;
	struct msg m;

	buf_clear(&a->text);
	msg_init(&m, M_CTL_POLICY_GET);
	m.u.ctl_policy_get.version = version;
	if (admin_ask(a, &m) == NULL || a->reply.type != M_CTL_END)
		return -1;
	*got = a->version;
	*in_force = a->in_force;
	buf_u8(&a->text, 0);
	p = strstr((const char *)a->text.p, "*:");
	return p == NULL ? 0 : (int)strtol(p + 2, NULL, 10);
}
