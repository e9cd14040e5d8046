#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "dbd/batch_int.h"

#define SPARE_MAX	(256 * 1024)	/* memory kept between turns */
#define SECRET_ROOM	1024		/* so that no copy is left by growing */

void
batch_reply(struct dbd *d, struct link *l, const struct msg *m)
{
	struct out *o;

	if (m->fd != -1)
		fatalx("%s: a descriptor cannot wait", msg_name(m->type));
	if (d->nouts == d->outs_cap) {
		d->outs_cap = d->outs_cap == 0 ? 64 : d->outs_cap * 2;
		d->outs = xrealloc(d->outs, d->outs_cap, sizeof(*d->outs));
	}
	o = &d->outs[d->nouts++];
	memset(o, 0, sizeof(*o));
	o->link = l;
	o->type = m->type;
	o->id = m->id;
	if (msg_is_secret(m->type)) {
		(void)buf_room(&o->own, SECRET_ROOM);
		msg_encode(&o->own, m);
		return;
	}
	o->at = d->outs_body.n;
	msg_encode(&d->outs_body, m);
	o->n = d->outs_body.n - o->at;
}

void
batch_log(struct dbd *d, const char *fmt, ...)
{
	char line[512];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	buf_put(&d->lines, line, strlen(line) + 1);
}

static void
lines_say(struct dbd *d)
{
	const char *p = (const char *)d->lines.p;
	size_t at;

	for (at = 0; at < d->lines.n; at += strlen(p + at) + 1)
		log_info("%s", p + at);
	buf_clear(&d->lines);
	if (d->lines.cap > SPARE_MAX)
		buf_free(&d->lines);
}

void
batch_forget(struct dbd *d, const struct link *l)
{
	size_t i;

	for (i = 0; i < d->nouts; i++)
		if (d->outs[i].link == l) {
			d->outs[i].link = NULL;
			buf_wipe(&d->outs[i].own);
		}
}

static void
out_send(struct dbd *d, struct out *o)
{
	bool secret = msg_is_secret(o->type);
	const uint8_t *p = secret ? o->own.p : d->outs_body.p + o->at;
	struct msg m;

	if (msg_decode(&m, o->type, p, secret ? o->own.n : o->n) == -1)
		fatalx("%s: own encoding", msg_name(o->type));
	m.id = o->id;
	if (msg_class(o->type) == MSG_REPLY)
		link_reply(o->link, &m);
	else
		link_send(o->link, &m);
	if (secret) {
		wipe(&m, sizeof(m));
		buf_wipe(&o->own);
	}
}

/* To one that says its hello: answers to it, and nothing else. */
static bool
too_early(const struct out *o)
{
	return link_state(o->link) == MSG_SETUP &&
	    msg_class(o->type) != MSG_REPLY;
}

void
outs_send(struct dbd *d)
{
	struct buf kept = { NULL, 0, 0 };
	struct out *o;
	size_t i, left = 0;

	lines_say(d);
	if (d->nouts == 0)
		return;
	for (i = 0; i < d->nouts; i++) {
		o = &d->outs[i];
		if (o->link == NULL)
			continue;
		if (!too_early(o)) {
			out_send(d, o);
			continue;
		}
		d->outs[left] = *o;
		d->outs[left++].at = kept.n;
		buf_put(&kept, d->outs_body.p + o->at, o->n);
	}
	d->nouts = left;
	if (left != 0 || d->outs_body.cap > SPARE_MAX) {
		buf_free(&d->outs_body);
		d->outs_body = kept;
	} else
		buf_clear(&d->outs_body);
}

void
outs_free(struct dbd *d)
{
	size_t i;

	for (i = 0; i < d->nouts; i++)
		buf_wipe(&d->outs[i].own);
	free(d->outs);
	d->outs = NULL;
	d->nouts = d->outs_cap = 0;
	buf_free(&d->outs_body);
	buf_free(&d->lines);
}
