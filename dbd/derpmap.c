#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "dbd/batch_int.h"
#include "dbd/derpmap_int.h"
#include "dbd/out_int.h"

#define PART		60000
#define GET_US		(90 * US_PER_S)	/* fetch gives up before */
#define FIRST_US	(30 * US_PER_S)	/* after an error, then doubled, */
#define LAST_US		(3600 * US_PER_S)	/* at most */
#define SOON_US		(60 * US_PER_S)	/* least time between fetches */

/* One URL. */
struct source {
	TAILQ_ENTRY(source)	 all;
	struct dbd		*d;
	char			 url[256];
	struct buf		 body;		/* the last good one */
	struct buf		 next;		/* nobody has judged it yet */
	bool			 has_next;
	uint32_t		 round;		/* in which next was sent */
	struct buf		 coming;
	struct outreq		*req;		/* NULL: none under way */
	struct timer		 timer;
	uint64_t		 wait_us;	/* after the next error */
};
TAILQ_HEAD(source_list, source);

struct derpmaps {
	struct source_list	 sources;	/* in their order */
	struct source_list	 stale;		/* stored, not configured */
	uint16_t		 n;
	uint32_t		 round;
	uint32_t		 update_s;
	bool			 started;
};

/* Workers are told. */

static const struct buf *
shown(const struct source *s)
{
	return s->has_next ? &s->next : &s->body;
}

static void
send_source(struct worker *w, struct source *s, uint16_t k)
{
	const struct buf *b = shown(s);
	struct derpmaps *dm = w->d->derpmap;
	struct m_db_derpmap_part *p;
	struct msg m;
	size_t at = 0, n;

	do {
		n = b->n - at < PART ? b->n - at : PART;
		msg_init(&m, M_DB_DERPMAP_PART);
		p = &m.u.db_derpmap_part;
		p->round = dm->round;
		p->source = k;
		p->sources = dm->n;
		p->url = slice_str(s->url);
		p->size = (uint32_t)b->n;
		p->at = (uint32_t)at;
		p->octets = slice_mem(b->p + at, n);
		link_send(w->link, &m);
		at += n;
	} while (at < b->n);
}

static void
send_all(struct worker *w)
{
	struct source *s;
	struct msg m;
	uint16_t k = 0;

	TAILQ_FOREACH(s, &w->d->derpmap->sources, all)
		send_source(w, s, k++);
	if (k != 0)
		return;
	msg_init(&m, M_DB_DERPMAP_PART);
	m.u.db_derpmap_part.round = w->d->derpmap->round;
	link_send(w->link, &m);
}

static void
publish(struct dbd *d)
{
	struct worker *w;

	d->derpmap->round++;
	TAILQ_FOREACH(w, &d->workers, all)
		if (link_state(w->link) == MSG_RUN && !link_is_down(w->link))
			send_all(w);
}

void
derpurl_hello(struct worker *w)
{
	send_all(w);
}

/* When to ask again. */

/* 90 to 110 %. */
static uint64_t
jitter(struct dbd *d, uint64_t us)
{
	return us / 10 * 9 + us / 5 / 1000 * env_uniform(d->env, 1001);
}

static void
later(struct source *s)
{
	uint64_t us = s->d->conf.derp_update_s * US_PER_S;

	timer_in(&s->timer, jitter(s->d, us < SOON_US ? SOON_US : us));
}

static void
retry(struct source *s)
{
	timer_in(&s->timer, jitter(s->d, s->wait_us));
	s->wait_us = s->wait_us < LAST_US / 2 ? 2 * s->wait_us : LAST_US;
}

/* The answer. */

static void
failed(struct source *s, const char *why)
{
	s->d->counts.fetches_failed++;
	log_warnx("%s: %s; the DERP map of before stays",
	    log_vis(slice_str(s->url)), why);
	retry(s);
}

static void
got(struct source *s)
{
	struct buf was = s->next;

	if (s->coming.n == s->body.n && s->body.n != 0 &&
	    memcmp(s->coming.p, s->body.p, s->body.n) == 0) {
		s->wait_us = FIRST_US;
		later(s);
		if (!s->has_next)
			return;
		/* What came in between is worth nothing any more. */
		s->has_next = false;
		buf_free(&s->next);
		publish(s->d);
		return;
	}
	later(s);
	if (s->has_next && was.n == s->coming.n &&
	    memcmp(was.p, s->coming.p, was.n) == 0)
		return;
	s->next = s->coming;
	s->coming = was;
	s->has_next = true;
	publish(s->d);
	s->round = s->d->derpmap->round;
}

static void
on_answer(void *arg, const struct msg *m)
{
	struct source *s = arg;

	if (m == NULL) {
		s->req = NULL;
		retry(s);
		return;
	}
	if (m->type == M_OUT_BODY) {
		if (m->u.out_body.octets.n > FETCHED_MAX - s->coming.n)
			outlink_broken(s->d, LINK_OVERFLOW);
		else
			buf_slice(&s->coming, m->u.out_body.octets);
		return;
	}
	s->req = NULL;
	if (m->type == M_OUT_FAILED)
		failed(s, log_vis(m->u.out_failed.text));
	else if (m->type == M_OUT_GOT && m->u.out_got.size == s->coming.n &&
	    s->coming.n != 0)
		got(s);
	else {
		retry(s);
		outlink_broken(s->d, LINK_BAD_BODY);
	}
}

static void
on_timer(void *arg)
{
	struct source *s = arg;
	struct msg m;

	if (env_ended(s->d->env) || s->req != NULL)
		return;
	msg_init(&m, M_OUT_GET);
	m.u.out_get.url = slice_str(s->url);
	m.u.out_get.max = FETCHED_MAX;
	buf_clear(&s->coming);
	/* Without a fetch nothing is lost: derpurl_out_up() asks at once. */
	s->req = outlink_ask(s->d, &m, GET_US, on_answer, s);
	if (s->req != NULL)
		s->d->counts.fetches++;
}

void
derpurl_out_up(struct dbd *d)
{
	struct source *s;

	TAILQ_FOREACH(s, &d->derpmap->sources, all)
		if (d->derpmap->started && s->req == NULL &&
		    !timer_pending(&s->timer))
			timer_in(&s->timer, 0);
}

/* What a worker thinks of it: the first word counts. */

static void
store(struct source *s)
{
	struct fetched_row row;

	row.url = slice_str(s->url);
	row.body = buf_slice_of(&s->body);
	row.at = env_wall(s->d->env);
	op_begin(s->d);
	op_check(s->d, store_put_fetched(s->d->store, &row));
	op_end(s->d);
}

void
on_derpmap_said(struct worker *w, const struct msg *m)
{
	const struct m_db_derpmap_said *a = &m->u.db_derpmap_said;
	struct derpmaps *dm = w->d->derpmap;
	struct source *s;
	struct buf was;
	uint16_t k = 0;

	if (a->round > dm->round) {
		link_violation(w->link, LINK_FORGED);
		return;
	}
	TAILQ_FOREACH(s, &dm->sources, all)
		if (k++ == a->source)
			break;
	if (s == NULL || !s->has_next || a->round < s->round)
		return;		/* it is about what was before */
	s->has_next = false;
	if (a->ok) {
		was = s->body;
		s->body = s->next;
		s->next = was;
		store(s);
		s->wait_us = FIRST_US;
		log_info("%s: a new DERP map of %zu octets",
		    log_vis(slice_str(s->url)), s->body.n);
	} else
		failed(s, "no DERP map");
	buf_free(&s->next);
}

/* Life. */

void
derpurl_init(struct dbd *d)
{
	d->derpmap = xcalloc(1, sizeof(*d->derpmap));
	TAILQ_INIT(&d->derpmap->sources);
	TAILQ_INIT(&d->derpmap->stale);
}

static void
source_free(struct source *s)
{
	timer_stop(&s->timer);
	if (s->req != NULL)
		outlink_forget(s->req);
	buf_free(&s->body);
	buf_free(&s->next);
	buf_free(&s->coming);
	free(s);
}

static void
sources_free(struct source_list *l)
{
	struct source *s;

	while ((s = TAILQ_FIRST(l)) != NULL) {
		TAILQ_REMOVE(l, s, all);
		source_free(s);
	}
}

void
derpurl_free(struct dbd *d)
{
	if (d->derpmap == NULL)
		return;
	sources_free(&d->derpmap->sources);
	sources_free(&d->derpmap->stale);
	free(d->derpmap);
	d->derpmap = NULL;
}

static struct source *
find(struct source_list *l, struct slice url)
{
	struct source *s;

	TAILQ_FOREACH(s, l, all)
		if (slice_eqs(url, s->url))
			return s;
	return NULL;
}

static struct source *
source_new(struct dbd *d, struct slice url)
{
	struct source *s;

	s = xcalloc(1, sizeof(*s));
	s->d = d;
	s->wait_us = FIRST_US;
	if (!slice_copy(s->url, sizeof(s->url), url))
		fatalx("URL of a DERP map too long");
	timer_init(&s->timer, d->env, on_timer, s);
	return s;
}

/* The sources are those of the configuration; what stays keeps its map. */
static void
set_sources(struct dbd *d, struct source_list *gone)
{
	struct derpmaps *dm = d->derpmap;
	struct msg_list it = d->conf.derp_urls;
	struct source *s;
	struct r_text t;

	TAILQ_INIT(gone);
	TAILQ_CONCAT(gone, &dm->sources, all);
	dm->n = 0;
	while (msg_list_next(&it, MR_TEXT, &t)) {
		if (find(&dm->sources, t.v) != NULL)
			continue;	/* twice is once */
		if ((s = find(gone, t.v)) == NULL)
			s = source_new(d, t.v);
		else
			TAILQ_REMOVE(gone, s, all);
		TAILQ_INSERT_TAIL(&dm->sources, s, all);
		dm->n++;
	}
}

/* Of a URL that was taken out while we were down, nothing is kept. */
static int
on_stored(const struct fetched_row *row, void *arg)
{
	struct dbd *d = arg;
	struct source *s;

	if ((s = find(&d->derpmap->sources, row->url)) != NULL)
		buf_slice(&s->body, row->body);
	else if (row->url.n < sizeof(s->url)) {
		s = source_new(d, row->url);
		TAILQ_INSERT_TAIL(&d->derpmap->stale, s, all);
	}
	return 0;
}

int
derpurl_load(struct dbd *d)
{
	struct source_list none;

	set_sources(d, &none);
	return store_load_fetched(d->store, on_stored, d);
}

static bool
same_sources(struct dbd *d)
{
	struct msg_list it = d->conf.derp_urls;
	struct source *s = TAILQ_FIRST(&d->derpmap->sources);
	struct r_text t;

	while (msg_list_next(&it, MR_TEXT, &t)) {
		if (s == NULL || !slice_eqs(t.v, s->url))
			return false;
		s = TAILQ_NEXT(s, all);
	}
	return s == NULL;
}

static void
start_all(struct dbd *d)
{
	struct source *s;
	/* fetch may not have heard of the same reload yet. */
	uint32_t spread = d->derpmap->started;
	bool all = d->conf.derp_update_s != d->derpmap->update_s;

	d->derpmap->started = true;
	d->derpmap->update_s = d->conf.derp_update_s;
	TAILQ_FOREACH(s, &d->derpmap->sources, all)
		if (s->req == NULL && (all || !timer_pending(&s->timer)))
			timer_in(&s->timer, spread++ * US_PER_S);
}

static void
delete_all(struct dbd *d, struct source_list *l)
{
	struct source *s;

	TAILQ_FOREACH(s, l, all) {
		op_begin(d);
		op_check(d, store_del_fetched(d->store, slice_str(s->url)));
		op_end(d);
	}
	sources_free(l);
}

void
derpurl_conf(struct dbd *d)
{
	struct source_list gone;
	struct source *s;

	delete_all(d, &d->derpmap->stale);
	if (!same_sources(d)) {
		set_sources(d, &gone);
		delete_all(d, &gone);
		publish(d);
		TAILQ_FOREACH(s, &d->derpmap->sources, all)
			if (s->has_next)
				s->round = d->derpmap->round;
	}
	start_all(d);
}
