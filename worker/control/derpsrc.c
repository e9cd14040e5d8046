/* The DERP map: fetched ones, that of a file, and our own region. */

#include <stdlib.h>
#include <string.h>

#include "common/json.h"
#include "common/log.h"
#include "worker/control/derp_int.h"
#include "worker/tailnet/derpmap.h"

#define SOURCES_MAX	8
#define BODY_MAX	(1024 * 1024)
#define TELL_MAX	1000	/* relays that dbd is told of */
#define BOOTSTRAP_MAX	65536	/* octets, more or less */

struct source {
	char		 url[256];
	struct derpmap	*map;		/* NULL: none yet, or a bad one */
	bool		 said;		/* dbd is to be told what it is: */
	bool		 ok;
};

struct derpsrc {
	struct source	 now[SOURCES_MAX];
	size_t		 n;
	struct source	 next[SOURCES_MAX];	/* that are coming */
	uint16_t	 at;			/* the one that is */
	uint16_t	 of;
	uint32_t	 size;			/* octets that it is to have */
	struct buf	 body;			/* those so far */
	struct derpmap	*file;			/* NULL: none */
	struct buf	 own;			/* encoded record relay */
	struct buf	 avoid;			/* list of derp_region: */
	uint32_t	 navoid;
	struct buf	 told;			/* relays, as dbd knows them */
};

static struct msg_list
avoided(const struct derpsrc *d)
{
	struct msg_list l = { d->avoid.p, d->avoid.n, d->navoid };

	return l;
}

/* What dbd is told: which relays there are to be looked after. */
static void
tell(struct control *c, struct msg_list it)
{
	struct derpsrc *d = c->derpsrc;
	uint16_t n = 0;
	struct msg m;

	if (c->db == NULL || (it.n == d->told.n && (it.n == 0 ||
	    memcmp(it.p, d->told.p, it.n) == 0)))
		return;
	buf_clear(&d->told);
	buf_put(&d->told, it.p, it.n);
	msg_init(&m, M_DB_DERP_NODE);
	while (n < TELL_MAX && msg_list_next(&it, MR_DERP_NODE,
	    &m.u.db_derp_node.node)) {
		link_send(c->db, &m);
		n++;
	}
	msg_init(&m, M_DB_DERP_NODES);
	m.u.db_derp_nodes.count = n;
	link_send(c->db, &m);
}

/* Addresses for clients whose DNS is dead (derp.md 5.3). */

struct literal {
	bool		 ours;		/* of the host that server_url names */
	struct slice	 host;
	struct slice	 text;
	struct ip	 ip;
};

struct literals {
	struct literal	*v;
	size_t		 n;
	size_t		 cap;
};

static void
literal_add(struct literals *l, struct slice ours, struct slice host,
    struct slice text)
{
	struct literal *t;
	struct ip ip, name;

	/* "none" and nothing are none. */
	if (host.n == 0 || ip_parse(&name, host) || !ip_parse(&ip, text))
		return;
	if (l->n == l->cap) {
		l->cap = l->cap == 0 ? 64 : 2 * l->cap;
		l->v = xrealloc(l->v, l->cap, sizeof(l->v[0]));
	}
	t = &l->v[l->n++];
	t->ours = slice_eq(host, ours);
	t->host = host;
	t->text = text;
	t->ip = ip;
}

static int
literal_cmp(const void *va, const void *vb)
{
	const struct literal *a = va, *b = vb;
	int c;

	if (a->ours != b->ours)
		return a->ours ? -1 : 1;
	if ((c = slice_cmp(a->host, b->host)) != 0)
		return c;
	if (a->ip.family != b->ip.family)
		return a->ip.family < b->ip.family ? -1 : 1;
	return memcmp(a->ip.b, b->ip.b, sizeof(a->ip.b));
}

/* Ours first: what is too much is left out behind. */
static void
bootstrap_put(struct buf *b, const struct literals *l)
{
	const struct literal *t, *last = NULL;
	struct json j;
	size_t i;

	buf_clear(b);
	json_init(&j, b);
	json_obj(&j);
	for (i = 0; i < l->n; i++) {
		t = &l->v[i];
		if (last != NULL && literal_cmp(last, t) == 0)
			continue;
		if (last == NULL || !slice_eq(last->host, t->host)) {
			if (last != NULL)
				json_end(&j);
			last = NULL;
			if (b->n > BOOTSTRAP_MAX)
				break;
			json_keys(&j, t->host);
			json_arr(&j);
		}
		json_str(&j, t->text);
		last = t;
	}
	if (last != NULL)
		json_end(&j);
	json_end(&j);
}

static void
bootstrap_make(struct control *c, const struct r_relay *own,
    struct msg_list it)
{
	struct literals l = { NULL, 0, 0 };
	struct r_derp_node n;

	literal_add(&l, own->host, own->host, own->ip4);
	literal_add(&l, own->host, own->host, own->ip6);
	while (msg_list_next(&it, MR_DERP_NODE, &n)) {
		literal_add(&l, own->host, n.host, n.ip4);
		literal_add(&l, own->host, n.host, n.ip6);
	}
	if (l.n != 0)
		qsort(l.v, l.n, sizeof(l.v[0]), literal_cmp);
	bootstrap_put(&c->bootstrap, &l);
	free(l.v);
}

/* URLs in their order, the file over them, our own region over all. */
static void
join(struct control *c, bool tell_only)
{
	struct msg_list none = { NULL, 0, 0 }, avoid = avoided(c->derpsrc);
	const struct derpmap *src[SOURCES_MAX + 1];
	struct derpsrc *d = c->derpsrc;
	struct r_relay own = { 0 };
	struct derpmap *all;
	size_t i;

	if (d->own.n != 0 && msg_rec_decode(&own, MR_RELAY, d->own.p,
	    d->own.n) == -1)
		fatalx("own copy does not decode");
	for (i = 0; i < d->n; i++)
		src[i] = d->now[i].map;
	src[i++] = d->file;
	all = derpmap_join(src, i, &own, &avoid);
	tell(c, all == NULL ? none : derpmap_nodes(all));
	if (tell_only) {
		derpmap_free(all);
		return;
	}
	bootstrap_make(c, &own, all == NULL ? none : derpmap_nodes(all));
	tailnets_derpmap(c->tailnets, all);
}

void
control_derpmap(struct control *c, struct derpmap *map)
{
	derpmap_free(c->derpsrc->file);
	c->derpsrc->file = map;
	join(c, false);
}

void
derpsrc_region(struct control *c, const struct r_relay *own)
{
	struct derpsrc *d = c->derpsrc;

	buf_clear(&d->own);
	msg_rec_encode(&d->own, MR_RELAY, own);
	join(c, false);
}

void
derpsrc_avoid(struct control *c, const struct m_db_derp_avoid *m)
{
	struct derpsrc *d = c->derpsrc;
	struct msg_list was = avoided(d);

	if (msg_list_eq(&was, &m->regions))
		return;
	buf_clear(&d->avoid);
	buf_put(&d->avoid, m->regions.p, m->regions.n);
	d->navoid = m->regions.count;
	join(c, false);
}

/* Fetched maps. */

static void
sources_clear(struct source *s, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		derpmap_free(s[i].map);
	memset(s, 0, SOURCES_MAX * sizeof(s[0]));
}

/* What this URL had before. */
static struct derpmap *
former(struct derpsrc *d, const char *url)
{
	struct derpmap *map;
	size_t i;

	for (i = 0; i < d->n; i++)
		if (strcmp(d->now[i].url, url) == 0) {
			map = d->now[i].map;
			d->now[i].map = NULL;
			return map;
		}
	return NULL;
}

static void
judge(struct derpsrc *d, struct source *s)
{
	char name[256], why[400];

	(void)strlcpy(name, log_vis(slice_str(s->url)), sizeof(name));
	s->map = derpmap_parse_remote(d->body.p, d->body.n, name, why,
	    sizeof(why));
	s->said = true;
	s->ok = s->map != NULL;
	if (!s->ok)
		log_warnx("%s; what it was before stays", why);
}

static void
in_force(struct control *c, uint32_t round)
{
	struct derpsrc *d = c->derpsrc;
	struct msg m;
	uint16_t i;

	for (i = 0; i < d->of; i++)
		if (d->next[i].said && !d->next[i].ok)
			d->next[i].map = former(d, d->next[i].url);
	sources_clear(d->now, d->n);
	memcpy(d->now, d->next, sizeof(d->now));
	d->n = d->of;
	memset(d->next, 0, sizeof(d->next));
	d->at = d->of = 0;
	join(c, false);
	for (i = 0; i < d->n && c->db != NULL; i++) {
		if (!d->now[i].said)
			continue;
		msg_init(&m, M_DB_DERPMAP_SAID);
		m.u.db_derpmap_said.round = round;
		m.u.db_derpmap_said.source = i;
		m.u.db_derpmap_said.ok = d->now[i].ok;
		link_send(c->db, &m);
	}
}

static void
forget_coming(struct derpsrc *d)
{
	sources_clear(d->next, d->of);
	buf_free(&d->body);
	d->at = d->of = 0;
}

int
derpsrc_part(struct control *c, const struct m_db_derpmap_part *p)
{
	struct derpsrc *d = c->derpsrc;
	struct source *s;

	if (p->source == 0 && p->at == 0) {
		forget_coming(d);
		d->of = p->sources;
	}
	if (p->sources > SOURCES_MAX || p->size > BODY_MAX) {
		d->of = 0;
		return -1;
	}
	if (p->at == 0)
		d->size = p->size;
	if (p->sources != d->of || p->source != d->at || p->size != d->size ||
	    p->at != d->body.n || p->octets.n > d->size - d->body.n)
		return -1;
	if (d->of == 0) {
		if (p->size != 0)
			return -1;
		in_force(c, p->round);
		return 0;
	}
	s = &d->next[d->at];
	if (p->source >= d->of || !slice_copy(s->url, sizeof(s->url), p->url))
		return -1;
	buf_slice(&d->body, p->octets);
	if (d->body.n < p->size)
		return p->octets.n == 0 ? -1 : 0;
	if (p->size != 0)
		judge(d, s);
	buf_free(&d->body);
	if (++d->at == d->of)
		in_force(c, p->round);
	return 0;
}

/* Life. */

void
derpsrc_db_link(struct control *c)
{
	forget_coming(c->derpsrc);
	buf_clear(&c->derpsrc->told);
	if (c->db != NULL)
		join(c, true);
}

void
derpsrc_init(struct control *c)
{
	c->derpsrc = xcalloc(1, sizeof(*c->derpsrc));
	buf_str(&c->bootstrap, "{}");
}

void
derpsrc_free(struct control *c)
{
	struct derpsrc *d = c->derpsrc;

	forget_coming(d);
	sources_clear(d->now, d->n);
	derpmap_free(d->file);
	buf_free(&d->own);
	buf_free(&d->avoid);
	buf_free(&d->told);
	free(d);
	c->derpsrc = NULL;
}
