#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/compat/compat.h"
#include "common/ip.h"
#include "common/json_read.h"
#include "common/log.h"
#include "worker/fetch/acme.h"
#include "worker/fetch/out.h"
#include "worker/fetch/text.h"

#define GET_MS		30000
#define GET_MAX		(4 * 1024 * 1024)	/* octets of a document */
#define PROBE_MS	10000
#define PROBE_MAX	8192	/* derp.md 5.1 */
#define PART		60000	/* octets of a row */
#define TEXT		256

/* A document or a probe. */
struct job {
	LIST_ENTRY(job)		 entry;
	struct fetch_out	*out;
	uint32_t		 id;
	void			*ask;
};

struct fetch_out {
	struct env		*env;
	const struct ask_ops	*ops;
	void			*arg;
	struct link		*link;
	LIST_HEAD(jobs, job)	 jobs;
	size_t			 njobs;
	struct acme_run		*acme;
	uint32_t		 acme_id;
	uint32_t		 sign_id;	/* 0: not waited for */
	uint32_t		 ready_id;
};

/* Jobs. */

static struct job *
job_new(struct fetch_out *o, uint32_t id)
{
	struct job *j;

	j = xcalloc(1, sizeof(*j));
	j->out = o;
	j->id = id;
	LIST_INSERT_HEAD(&o->jobs, j, entry);
	o->njobs++;
	return j;
}

static void
job_free(struct job *j)
{
	LIST_REMOVE(j, entry);
	j->out->njobs--;
	free(j);
}

/* A reason, never empty. */
static void
reason(char dst[TEXT], const struct answer *a, const char *what)
{
	char text[2 * TEXT];

	if (a->status == 0)
		(void)snprintf(text, sizeof(text), "%s", a->why);
	else if (a->status >= 300 && a->status < 400)
		(void)snprintf(text, sizeof(text),
		    "HTTP %u: redirects are not followed", a->status);
	else if (what != NULL)
		(void)snprintf(text, sizeof(text), "%s", what);
	else
		(void)snprintf(text, sizeof(text), "HTTP %u", a->status);
	text_clean(dst, TEXT, slice_str(text[0] == '\0' ? "failed" : text));
}

/* Documents. */

static void
get_failed(struct fetch_out *o, uint32_t id, unsigned int status,
    const char *text)
{
	struct msg m;

	msg_init(&m, M_OUT_FAILED);
	m.id = id;
	m.u.out_failed.status = (uint16_t)status;
	m.u.out_failed.text = slice_str(text);
	link_reply(o->link, &m);
}

static void
get_done(void *tag, const struct answer *a)
{
	struct job *j = tag;
	struct fetch_out *o = j->out;
	const char *why = NULL;
	uint32_t id = j->id;
	char text[TEXT], json[80];
	struct jdoc *d;
	struct msg m;
	size_t at = 0, n;

	job_free(j);
	d = a->status != 200 ? NULL : json_read(a->body.p, a->body.n, GET_MAX,
	    &why, &at);
	if (d == NULL) {
		(void)snprintf(json, sizeof(json), "not JSON: octet %zu: %s",
		    at, why == NULL ? "" : why);
		reason(text, a, a->status == 200 ? json : NULL);
		get_failed(o, id, a->status, text);
		return;
	}
	jdoc_free(d, false);
	for (at = 0; at < a->body.n; at += n) {
		n = a->body.n - at < PART ? a->body.n - at : PART;
		msg_init(&m, M_OUT_BODY);
		m.id = id;
		m.u.out_body.octets = slice_mem(a->body.p + at, n);
		link_send(o->link, &m);
	}
	msg_init(&m, M_OUT_GOT);
	m.id = id;
	m.u.out_got.size = (uint32_t)a->body.n;
	link_reply(o->link, &m);
}

static void
get(struct fetch_out *o, uint32_t id, const struct m_out_get *m)
{
	char url[ASK_URL_MAX + 1];
	struct job *j;
	struct ask a;

	if (!text_url_ok(m->url) || !slice_copy(url, sizeof(url), m->url)) {
		get_failed(o, id, 0, "not an https URL");
		return;
	}
	memset(&a, 0, sizeof(a));
	a.method = ASK_GET;
	a.url = url;
	a.accept = "application/json";
	a.max = m->max < GET_MAX ? m->max : GET_MAX;
	a.total_ms = GET_MS;
	j = job_new(o, id);
	j->ask = o->ops->start(o->arg, &a, get_done, j);
}

/* Probes. */

static void
probed(struct fetch_out *o, uint32_t id, bool ok, uint32_t us, const char *text)
{
	struct msg m;

	msg_init(&m, M_OUT_PROBED);
	m.id = id;
	m.u.out_probed.ok = ok;
	m.u.out_probed.us = us;
	m.u.out_probed.text = slice_str(text);
	link_reply(o->link, &m);
}

static void
probe_done(void *tag, const struct answer *a)
{
	struct job *j = tag;
	struct fetch_out *o = j->out;
	uint32_t id = j->id;
	char text[TEXT];

	job_free(j);
	if (a->status >= 200 && a->status < 300) {
		probed(o, id, true, a->us, "");
		return;
	}
	reason(text, a, NULL);
	probed(o, id, false, 0, text);
}

/* derp.md 5.1 and 10.1: what a client does whose UDP is blocked. */
static void
probe(struct fetch_out *o, uint32_t id, const struct m_out_probe *m)
{
	char url[ASK_URL_MAX + 1], ip4[16], ip6[IP_TEXT];
	struct job *j;
	struct ask a;
	struct ip ip;
	bool six;

	six = ip_parse(&ip, m->host) && ip.family == 6;
	if ((!six && !dns_name_ok(m->host)) || m->port == 0 ||
	    !slice_copy(ip4, sizeof(ip4), m->ip4) ||
	    !slice_copy(ip6, sizeof(ip6), m->ip6)) {
		probed(o, id, false, 0, "no such host and port can be");
		return;
	}
	(void)snprintf(url, sizeof(url),
	    six ? "https://[%.*s]:%u/derp/latency-check" :
	    "https://%.*s:%u/derp/latency-check", SLICE_FMT(m->host),
	    m->port);
	memset(&a, 0, sizeof(a));
	a.method = ASK_GET;
	a.url = url;
	a.max = PROBE_MAX;
	a.total_ms = PROBE_MS;
	a.ip4 = ip4;
	a.ip6 = ip6;
	a.insecure = m->insecure;
	j = job_new(o, id);
	j->ask = o->ops->start(o->arg, &a, probe_done, j);
}

/* Certificates. */

static void
on_sign(void *arg, enum acme_form form, struct slice url, struct slice nonce,
    struct slice account, struct slice der)
{
	struct fetch_out *o = arg;
	struct msg m;

	msg_init(&m, M_OUT_ACME_SIGN);
	m.u.out_acme_sign.form = (uint8_t)form;
	m.u.out_acme_sign.url = url;
	m.u.out_acme_sign.nonce = nonce;
	m.u.out_acme_sign.account = account;
	m.u.out_acme_sign.der = der;
	o->sign_id = link_request(o->link, &m, NULL, 0);
}

static void
on_challenge(void *arg, bool up, struct slice name, struct slice token)
{
	struct fetch_out *o = arg;
	struct msg m;
	uint32_t id;

	if (o->link == NULL)
		return;
	msg_init(&m, M_OUT_ACME_CHALLENGE);
	m.u.out_acme_challenge.up = up;
	m.u.out_acme_challenge.name = name;
	m.u.out_acme_challenge.token = token;
	id = link_request(o->link, &m, NULL, 0);
	if (up)
		o->ready_id = id;
	else
		link_forget(o->link, id);
}

/* No answer of dbd's belongs to a run any more. */
static void
forget(struct fetch_out *o)
{
	if (o->sign_id != 0)
		link_forget(o->link, o->sign_id);
	if (o->ready_id != 0)
		link_forget(o->link, o->ready_id);
	o->sign_id = o->ready_id = 0;
}

static void
on_end(void *arg, const struct acme_end *e)
{
	struct fetch_out *o = arg;
	struct msg m;

	forget(o);
	if (e->why == NULL) {
		msg_init(&m, M_OUT_ACME_OK);
		m.u.out_acme_ok.account = slice_str(e->account);
		m.u.out_acme_ok.chain = e->chain;
	} else {
		log_info("certificate: %s", log_vis(slice_str(e->why)));
		msg_init(&m, M_OUT_ACME_FAILED);
		m.u.out_acme_failed.account = slice_str(e->account);
		m.u.out_acme_failed.retry_s = e->retry_s;
		m.u.out_acme_failed.text = slice_str(e->why);
	}
	m.id = o->acme_id;
	link_reply(o->link, &m);
	acme_run_free(o->acme);
	o->acme = NULL;
}

static const struct acme_ops acme_ops = { on_sign, on_challenge, on_end };

/* The link. */

void
fetch_out_msg(struct fetch_out *o, const struct msg *m, void *tag)
{
	(void)tag;
	switch (m->type) {
	case M_OUT_GET:
		get(o, m->id, &m->u.out_get);
		break;
	case M_OUT_PROBE:
		probe(o, m->id, &m->u.out_probe);
		break;
	case M_OUT_ACME_RUN:		/* its credit is one */
		o->acme_id = m->id;
		o->acme = acme_run_new(o->env, o->ops, o->arg, &acme_ops, o,
		    &m->u.out_acme_run);
		break;
	case M_OUT_ACME_SIGNED:
		o->sign_id = 0;
		if (o->acme != NULL)
			acme_run_signed(o->acme, m->u.out_acme_signed.body);
		break;
	case M_OUT_ACME_NO:
		if (m->id == o->sign_id)
			o->sign_id = 0;
		else
			o->ready_id = 0;
		if (o->acme != NULL)
			acme_run_refused(o->acme, m->u.out_acme_no.text);
		break;
	case M_OUT_ACME_READY:
		o->ready_id = 0;
		if (o->acme != NULL)
			acme_run_ready(o->acme);
		break;
	default:
		break;
	}
}

static void
stop_all(struct fetch_out *o)
{
	struct job *j;

	o->link = NULL;
	while ((j = LIST_FIRST(&o->jobs)) != NULL) {
		o->ops->stop(o->arg, j->ask);
		job_free(j);
	}
	o->sign_id = o->ready_id = 0;
	acme_run_free(o->acme);
	o->acme = NULL;
}

void
fetch_out_link(struct fetch_out *o, struct link *l)
{
	stop_all(o);
	o->link = l;
}

size_t
fetch_out_busy(const struct fetch_out *o)
{
	return o->njobs + (o->acme != NULL);
}

struct fetch_out *
fetch_out_new(struct env *env, const struct ask_ops *ops, void *arg)
{
	struct fetch_out *o;

	o = xcalloc(1, sizeof(*o));
	o->env = env;
	o->ops = ops;
	o->arg = arg;
	LIST_INIT(&o->jobs);
	return o;
}

void
fetch_out_free(struct fetch_out *o)
{
	if (o == NULL)
		return;
	stop_all(o);
	free(o);
}
