/* /machine/map: streams, lite updates and one-shot maps (protocol.md 3.5). */

#include <stdlib.h>
#include <string.h>

#include "common/enc.h"
#include "common/ids.h"
#include "common/log.h"
#include "worker/control/control_int.h"

#define ONCE_FRAMES	16384	/* of one map: 10,000 nodes are 200 chunks */
#define END_DELETED	2	/* DB_STREAM_END's why */
#define DEFER_QUEUE	(1 << 20)	/* octets that wait for dbd */

static struct mapstream_list *
bucket(struct control *c, uint64_t node)
{
	return &c->streams[node % HASH_SIZE];
}

static void
ms_list(struct mapstream *ms)
{
	LIST_INSERT_HEAD(bucket(ms->control, ms->node), ms, hash);
	ms->listed = true;
	ms->control->nstreams++;
}

/* Ends our half; the request must have been ended or be gone. */
static void
ms_free(struct mapstream *ms)
{
	if (ms->listed) {
		LIST_REMOVE(ms, hash);
		ms->control->nstreams--;
	}
	if (ms->stream != NULL)
		stream_close(ms->stream);
	free(ms);
}

static void
ms_tell_closed(struct mapstream *ms)
{
	struct msg m;

	if (ms->control->db == NULL || ms->generation == 0)
		return;		/* a new dbd learns it by not hearing of it */
	msg_init(&m, M_DB_MAP_CLOSE);
	m.u.db_map_close.tailnet = ms->tailnet;
	m.u.db_map_close.node = ms->node;
	m.u.db_map_close.generation = ms->generation;
	link_send(ms->control->db, &m);
}

void
map_gone(struct mapstream *ms)
{
	ms_tell_closed(ms);
	ms_free(ms);
}

/* The node is online once its first map is on its way (protocol.md 11.4). */
void
map_drained(struct mapstream *ms)
{
	struct msg m;

	if (ms->first_out && !ms->mapped) {
		ms->mapped = true;
		if (ms->control->db != NULL) {
			msg_init(&m, M_DB_MAP_STARTED);
			m.u.db_map_started.tailnet = ms->tailnet;
			m.u.db_map_started.node = ms->node;
			m.u.db_map_started.generation = ms->generation;
			link_send(ms->control->db, &m);
		}
	}
	stream_drained(ms->stream);
}

void
map_out(struct stream *s, struct frame *const *frames, size_t n, bool first,
    void *arg)
{
	struct req_head h = { 200, "application/json", -1, NULL, NULL, NULL,
	    NULL };
	struct mapstream *ms = stream_tag(s);
	size_t i;

	(void)first;
	(void)arg;
	/* not before: 200 and nothing more is a riddle (trap 20) */
	if (!ms->first_out) {
		ms->first_out = true;
		req_begin(ms->req, &h);
	}
	for (i = 0; i < n; i++)
		req_send(ms->req, frames[i]);
}

/* why: what a client is told that has not been given anything yet. */
static void
ms_finish(struct mapstream *ms, unsigned int status, const char *why)
{
	if (ms->first_out) {
		req_set_tag(ms->req, NULL);
		req_end(ms->req);
	} else
		reply_text(ms->req, status, "%s", why);
	ms_free(ms);
}

void
map_over(struct stream *s, void *arg)
{
	struct mapstream *ms = stream_tag(s);

	(void)arg;
	ms_tell_closed(ms);
	ms_finish(ms, 404, "node not found");
}

static const char *
end_reason(unsigned int why)
{
	static const char *const text[] = { "?", "newer stream",
	    "node deleted", "key replaced" };

	return text[why < 4 ? why : 0];
}

void
map_stream_end(struct control *c, const struct m_db_stream_end *e)
{
	struct mapstream *ms, *next;

	for (ms = LIST_FIRST(bucket(c, e->node)); ms != NULL; ms = next) {
		next = LIST_NEXT(ms, hash);
		if (ms->node != e->node || ms->tailnet != e->tailnet ||
		    ms->generation != e->generation)
			continue;
		log_debug("stream ended node=%llu why=\"%s\"",
		    (unsigned long long)e->node, end_reason(e->why));
		if (e->why == END_DELETED && ms->stream != NULL)
			stream_farewell(ms->stream);
		ms_finish(ms, e->why == 1 ? 409 : 404, end_reason(e->why));
	}
}

void
map_resume(struct control *c)
{
	struct m_db_resume *r;
	struct mapstream *ms;
	struct msg m;
	size_t i;

	for (i = 0; i < HASH_SIZE; i++)
		LIST_FOREACH(ms, &c->streams[i], hash) {
			msg_init(&m, M_DB_RESUME);
			r = &m.u.db_resume;
			r->tailnet = ms->tailnet;
			r->node = ms->node;
			r->stream = ms->number;
			r->generation = ms->generation;
			r->h2 = ms->h2;
			r->mapped = ms->mapped;
			memcpy(r->node_key, ms->sc.node_key, KEY_LEN);
			r->ticket = ms->ticket;
			link_send(c->db, &m);
		}
}

void
map_shutdown(struct control *c)
{
	struct mapstream *ms;
	size_t i;

	for (i = 0; i < HASH_SIZE; i++)
		while ((ms = LIST_FIRST(&c->streams[i])) != NULL)
			ms_finish(ms, 503, "the server is shutting down");
}

/* What dbd said was no; the request is answered, or its client gone. */
static void
map_refused(struct task *t, const struct msg *m)
{
	if (t->req == NULL)
		return;
	if (m->type == M_DB_LITE_NO)
		reply_text(t->req, m->u.db_lite_no.status, "%.*s",
		    SLICE_FMT(m->u.db_lite_no.text));
	else
		reply_text(t->req, m->u.db_map_no.status, "%.*s",
		    SLICE_FMT(m->u.db_map_no.text));
}

static void
lite_done(struct task *t, const struct msg *m)
{
	/* no body: only the status counts, and a load test looks */
	struct req_head h = { 200, NULL, -1, NULL, NULL, NULL, NULL };

	if (m->type == M_DB_LITE_NO &&
	    m->u.db_lite_no.status == LITE_LATER) {
		task_later(t);
		return;
	}
	if (m->type != M_DB_LITE_OK) {
		map_refused(t, m);
		return;
	}
	if (t->req == NULL)
		return;
	req_set_tag(t->req, NULL);
	req_reply(t->req, &h, NULL, 0);
}

static void
answer_once(struct mapstream *ms)
{
	struct req_head h = { 200, "application/json", -1, NULL, NULL, NULL,
	    NULL };
	struct frame **f;
	size_t i, n;

	f = xcalloc(ONCE_FRAMES, sizeof(*f));
	n = map_once(ms->control->tailnets, &ms->sc, f, ONCE_FRAMES);
	if (n == 0)
		reply_text(ms->req, 404, "node not found");
	else {
		req_set_tag(ms->req, NULL);
		req_begin(ms->req, &h);
		for (i = 0; i < n; i++) {
			req_send(ms->req, f[i]);
			frame_unref(f[i]);
		}
		req_end(ms->req);
	}
	free(f);
}

static void
open_done(struct task *t, const struct msg *m)
{
	struct mapstream *ms = t->ms;

	t->ms = NULL;
	if (m->type != M_DB_MAP_OK) {
		map_refused(t, m);
		free(ms);
		return;
	}
	ms->req = t->req;
	ms->tailnet = ms->sc.tailnet = m->u.db_map_ok.tailnet;
	ms->node = ms->sc.node = m->u.db_map_ok.node;
	ms->generation = m->u.db_map_ok.generation;
	if (ms->req == NULL) {
		map_gone(ms);
		return;
	}
	if (ms->once) {
		answer_once(ms);
		free(ms);
		return;
	}
	ms->stream = stream_open(ms->control->tailnets, &ms->sc, ms);
	if (ms->stream == NULL) {
		/* deleted in the meantime: its removal is ahead of this */
		reply_text(ms->req, 404, "node not found");
		map_gone(ms);
		return;
	}
	ms_list(ms);
	req_set_tag(ms->req, ms);
}

static void
send_open(struct control *c, struct req *r, const struct mapreq *q)
{
	const struct session *se = req_session(r);
	struct m_db_map_open *o;
	struct mapstream *ms;
	struct task *t;
	struct msg m;

	msg_init(&m, M_DB_MAP_OPEN);
	o = &m.u.db_map_open;
	o->ticket = se->ticket;
	o->stream = ++c->stream_number;
	o->h2 = req_stream_id(r);
	memcpy(o->node_key, q->node_key, sizeof(o->node_key));
	o->capver = q->version;
	memcpy(o->disco_key, q->disco_key, sizeof(o->disco_key));
	o->endpoints = q->endpoints;
	o->hostinfo = q->hostinfo;
	o->has_hostinfo = q->has_hostinfo;
	o->home_derp = q->home_derp;
	/* there is no stream that changes nothing (protocol.md 3.5) */
	o->once = !q->stream || q->read_only;
	o->read_only = q->read_only;
	if ((t = task_new(c, r, &m, open_done)) == NULL)
		return;
	c->count.opens++;
	ms = xcalloc(1, sizeof(*ms));
	ms->tag = TAG_STREAM;
	ms->control = c;
	ms->ticket = se->ticket;
	ms->number = o->stream;
	ms->h2 = o->h2;
	ms->once = o->once;
	memcpy(ms->sc.node_key, q->node_key, sizeof(ms->sc.node_key));
	ms->sc.capver = q->version;
	ms->sc.compress = true;
	ms->sc.omit_peers = q->omit_peers;
	t->ms = ms;
	req_set_tag(r, t);
	req_forget(r);		/* a stream may live for weeks */
	task_go(t);
}

static void
send_lite(struct control *c, struct req *r, const struct mapreq *q)
{
	struct m_db_map_lite *l;
	struct task *t;
	struct msg m;

	msg_init(&m, M_DB_MAP_LITE);
	l = &m.u.db_map_lite;
	l->ticket = req_session(r)->ticket;
	l->h2 = req_stream_id(r);
	memcpy(l->node_key, q->node_key, sizeof(l->node_key));
	l->capver = q->version;
	memcpy(l->disco_key, q->disco_key, sizeof(l->disco_key));
	l->endpoints = q->endpoints;
	l->hostinfo = q->hostinfo;
	l->has_hostinfo = q->has_hostinfo;
	l->home_derp = q->home_derp;
	if ((t = task_new(c, r, &m, lite_done)) == NULL)
		return;
	c->count.lites++;
	req_set_tag(r, t);
	req_forget(r);
	task_go(t);
}

void
map_admit(struct control *c, struct req *r, const struct mapreq *q)
{
	if (!q->stream && q->omit_peers && !q->read_only)
		send_lite(c, r, q);
	else
		send_open(c, r, q);
}

void
map_defer(struct control *c, const struct req *r, const struct mapreq *q,
    int seconds)
{
	struct msg m;

	/* no more than a courtesy: a flood of it is not passed on */
	if (c->db == NULL || link_queued(c->db) >= DEFER_QUEUE)
		return;
	msg_init(&m, M_DB_MAP_DEFER);
	m.u.db_map_defer.ticket = req_session(r)->ticket;
	memcpy(m.u.db_map_defer.node_key, q->node_key, KEY_LEN);
	m.u.db_map_defer.seconds = (uint32_t)seconds;
	link_send(c->db, &m);
}

void
refuse_busy(struct control *c, struct req *r, const struct mapreq *q,
    int seconds)
{
	struct req_head h = { 503, "text/plain; charset=utf-8", seconds, NULL,
	    NULL, NULL, NULL };
	static const char text[] = "busy, come back later\n";

	c->count.refused++;
	if (q != NULL)
		map_defer(c, r, q, seconds);
	req_reply(r, &h, text, sizeof(text) - 1);
}

void
map_request(struct control *c, struct req *r)
{
	struct mapreq q;
	const char *why;
	int verdict;

	if (mapreq_parse(&q, req_body(r), &why) == -1) {
		reply_text(r, 400, "%s", why);
		mapreq_free(&q);
		return;
	}
	if (q.version < CAPVER_MIN) {
		reply_text(r, 400, "this server needs Tailscale 1.80 or later "
		    "(capability version %d, this client has %u): please "
		    "update", CAPVER_MIN, q.version);
		mapreq_free(&q);
		return;
	}
	if (q.endpoints_cut)
		log_debug("node says too many endpoints key=%s kept=%u",
		    log_key(q.node_key), q.endpoints.count);
	verdict = overload_verdict(c, &q);
	if (verdict > 0)
		refuse_busy(c, r, &q, verdict);
	else if (verdict < 0)
		overload_hold(c, r, &q);
	else
		map_admit(c, r, &q);
	mapreq_free(&q);
}
