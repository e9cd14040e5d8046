#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/compat/compat.h"
#include "common/ids.h"
#include "ctl/metrics.h"
#include "ctl/show_int.h"

#define NAME_MAX_LEN	80

/* Metrics that are no process's counters, in the order of their text. */
enum fixed {
	F_UP,
	F_STARTS,
	F_UPTIME,
	F_STREAMS,
	F_SESSIONS,
	F_CONNECTIONS,
	F_NODES,
	F_ONLINE,
	F_USERS,
	F_SEQ,
	F_REFUSED,
	F_DERP_UP,
	F_DERP_LATENCY,
	F_DERP_PROBED,
	F_DERP_DOWN,
	F_DERP_AVOID,
	F_CERT_EXPIRY,
	F_CERT_RENEW,
	F_CERT_FAILED,
	F_MAX
};

static const struct {
	const char	*name;
	const char	*type;
	const char	*help;
} fixed[F_MAX] = {
	[F_UP] = { "process_up", "gauge", "1 if the process is ready." },
	[F_STARTS] = { "process_starts_total", "counter",
	    "How often it was started." },
	[F_UPTIME] = { "process_uptime_seconds", "gauge",
	    "How long it has been there." },
	[F_STREAMS] = { "process_streams", "gauge",
	    "Map streams that are open." },
	[F_SESSIONS] = { "process_sessions", "gauge",
	    "Noise sessions that are open." },
	[F_CONNECTIONS] = { "process_connections", "gauge",
	    "TCP connections that are open." },
	[F_NODES] = { "tailnet_nodes", "gauge", "Nodes there are." },
	[F_ONLINE] = { "tailnet_nodes_online", "gauge",
	    "Nodes with a map stream." },
	[F_USERS] = { "tailnet_users", "gauge", "Users there are." },
	[F_SEQ] = { "tailnet_seq", "gauge",
	    "Number of the newest change." },
	[F_REFUSED] = { "tailnet_policy_refused", "gauge",
	    "1 if the file with the policy is not in force." },
	[F_DERP_UP] = { "derp_node_up", "gauge",
	    "1 if the relay answered the last probe." },
	[F_DERP_LATENCY] = { "derp_node_latency_seconds", "gauge",
	    "How long that took, a mean over some." },
	[F_DERP_PROBED] = { "derp_node_probed_timestamp_seconds", "gauge",
	    "When that was." },
	[F_DERP_DOWN] = { "derp_node_down_since_timestamp_seconds", "gauge",
	    "Since when it has not answered." },
	[F_DERP_AVOID] = { "derp_node_avoid", "gauge",
	    "1 if clients are told to avoid its region." },
	[F_CERT_EXPIRY] = { "certificate_expiry_timestamp_seconds", "gauge",
	    "When the certificate expires; 0: there is none yet." },
	[F_CERT_RENEW] = { "certificate_renew_timestamp_seconds", "gauge",
	    "When it is renewed." },
	[F_CERT_FAILED] = { "certificate_failures", "gauge",
	    "How many times in a row that has failed." },
};

struct family {
	char		 name[NAME_MAX_LEN];
	const char	*type;
	const char	*help;
	struct buf	 samples;
};

struct metrics {
	struct family	*list;
	size_t		 n;
	size_t		*of_count;	/* family of each counter; 0: none */
	struct buf	 labels;	/* of the row at hand */
	struct buf	 head;		/* of the sample at hand */
};

static void
add_fixed(struct metrics *m)
{
	struct family *f;

	for (; m->n < F_MAX; m->n++) {
		f = &m->list[m->n];
		(void)snprintf(f->name, sizeof(f->name), "headscaled_%s",
		    fixed[m->n].name);
		f->type = fixed[m->n].type;
		f->help = fixed[m->n].help;
	}
}

static void
add_count(struct metrics *m, const struct count *c)
{
	struct family *f = &m->list[m->n++];

	if (c->metric != NULL)
		(void)strlcpy(f->name, c->metric, sizeof(f->name));
	else
		(void)snprintf(f->name, sizeof(f->name), "headscaled_%s%s",
		    c->name, c->gauge ? "" : "_total");
	f->type = c->gauge ? "gauge" : "counter";
	f->help = c->help;
}

struct metrics *
metrics_new(void)
{
	const struct count *c;
	struct metrics *m;
	size_t i, n;

	c = count_list(&n);
	m = xcalloc(1, sizeof(*m));
	m->list = xcalloc(F_MAX + n, sizeof(m->list[0]));
	m->of_count = xcalloc(n, sizeof(m->of_count[0]));
	add_fixed(m);
	for (i = 0; i < n; i++) {
		if (c[i].metric != NULL && c[i].metric[0] == '\0')
			continue;
		if (c[i].help != NULL)
			add_count(m, &c[i]);
		m->of_count[i] = m->n - 1;
	}
	return m;
}

void
metrics_free(struct metrics *m)
{
	size_t i;

	if (m == NULL)
		return;
	for (i = 0; i < m->n; i++)
		buf_free(&m->list[i].samples);
	free(m->list);
	free(m->of_count);
	buf_free(&m->labels);
	buf_free(&m->head);
	free(m);
}

/* A label of the row, whose text others may have chosen. */
static void
label(struct metrics *m, const char *name, struct slice value)
{
	struct buf b = { NULL, 0, 0 };
	size_t i;

	buf_printf(&m->labels, "%s%s=\"", m->labels.n == 0 ? "" : ",", name);
	out_vis(&b, value);
	for (i = 0; i < b.n; i++) {
		if (b.p[i] == '\\' || b.p[i] == '"')
			buf_u8(&m->labels, '\\');
		buf_u8(&m->labels, b.p[i]);
	}
	buf_u8(&m->labels, '"');
	buf_free(&b);
}

/* Each once: two of a name make all of the text worthless to its reader. */
static void
put_text(struct metrics *m, size_t family, const char *more, const char *value)
{
	struct family *f = &m->list[family];
	struct buf *h = &m->head;

	buf_clear(h);
	buf_printf(h, "%s{%.*s%s%s} ", f->name,
	    SLICE_FMT(buf_slice_of(&m->labels)), more == NULL ? "" : ",",
	    more == NULL ? "" : more);
	if (f->samples.n != 0 &&
	    memmem(f->samples.p, f->samples.n, h->p, h->n) != NULL)
		return;
	buf_put(&f->samples, h->p, h->n);
	buf_printf(&f->samples, "%s\n", value);
}

static void
put(struct metrics *m, size_t family, const char *more, uint64_t value)
{
	char text[24];

	(void)snprintf(text, sizeof(text), "%llu", (unsigned long long)value);
	put_text(m, family, more, text);
}

static void
put_time(struct metrics *m, size_t family, int64_t at)
{
	char text[24];

	(void)snprintf(text, sizeof(text), "%lld", (long long)at);
	put_text(m, family, NULL, text);
}

/* Rows. */

static void
row_proc(struct metrics *m, const struct m_ctl_proc *p)
{
	const struct count *c;
	char slot[8];
	uint64_t v;
	size_t i, n;

	label(m, "role", slice_str(role_name(p->role)));
	(void)snprintf(slot, sizeof(slot), "%u", p->slot);
	label(m, "slot", slice_str(slot));
	put(m, F_UP, NULL, p->state == HEALTH_READY ||
	    p->state == HEALTH_FULL);
	put(m, F_STARTS, NULL, p->starts);
	put(m, F_UPTIME, NULL, p->uptime_s);
	if (p->role == ROLE_WORKER) {
		put(m, F_STREAMS, NULL, p->streams);
		put(m, F_SESSIONS, NULL, p->sessions);
		put(m, F_CONNECTIONS, NULL, p->conns);
	}
	c = count_list(&n);
	for (i = 0; i < n; i++)
		if (m->of_count[i] != 0 && count_get(&c[i], p, &v))
			put(m, m->of_count[i], c[i].label, v);
}

static void
row_summary(struct metrics *m, const struct m_ctl_summary *t)
{
	label(m, "tailnet", t->name);
	put(m, F_NODES, NULL, t->nodes);
	put(m, F_ONLINE, NULL, t->online);
	put(m, F_USERS, NULL, t->users);
	put(m, F_SEQ, NULL, t->seq);
	put(m, F_REFUSED, NULL, t->refused.n != 0);
}

/* Of what is not known there is no sample. */
static void
row_derp(struct metrics *m, const struct m_ctl_derp *r)
{
	char text[24];

	(void)snprintf(text, sizeof(text), "%u", r->region);
	label(m, "region", slice_str(text));
	label(m, "code", r->code);
	label(m, "node", r->node);
	label(m, "host", r->host);
	put(m, F_DERP_AVOID, NULL, r->avoid);
	if (r->stun_only || r->probed == 0)
		return;
	put(m, F_DERP_UP, NULL, r->ok);
	put_time(m, F_DERP_PROBED, r->probed);
	if (!r->ok) {
		put_time(m, F_DERP_DOWN, r->down_since);
		return;
	}
	(void)snprintf(text, sizeof(text), "%u.%06u", r->us / 1000000,
	    r->us % 1000000);
	put_text(m, F_DERP_LATENCY, NULL, text);
}

static void
row_cert(struct metrics *m, const struct m_ctl_cert *r)
{
	struct msg_list it = r->names;
	struct buf names = { NULL, 0, 0 };
	struct r_text t;

	while (msg_list_next(&it, MR_TEXT, &t)) {
		if (names.n != 0)
			buf_u8(&names, ',');
		buf_slice(&names, t.v);
	}
	label(m, "names", buf_slice_of(&names));
	buf_free(&names);
	put_time(m, F_CERT_EXPIRY, r->not_after);
	put_time(m, F_CERT_RENEW, r->renew);
	put(m, F_CERT_FAILED, NULL, r->failed);
}

void
metrics_row(struct metrics *m, const struct msg *msg)
{
	buf_clear(&m->labels);
	if (msg->type == M_CTL_PROC)
		row_proc(m, &msg->u.ctl_proc);
	else if (msg->type == M_CTL_SUMMARY)
		row_summary(m, &msg->u.ctl_summary);
	else if (msg->type == M_CTL_DERP)
		row_derp(m, &msg->u.ctl_derp);
	else if (msg->type == M_CTL_CERT)
		row_cert(m, &msg->u.ctl_cert);
}

void
metrics_end(const struct metrics *m, struct out *o)
{
	const struct family *f;
	size_t i;

	for (i = 0; i < m->n; i++) {
		f = &m->list[i];
		if (f->samples.n == 0)
			continue;
		buf_printf(&o->text, "# HELP %s %s\n# TYPE %s %s\n", f->name,
		    f->help, f->name, f->type);
		buf_put(&o->text, f->samples.p, f->samples.n);
	}
	buf_str(&o->text, "# EOF\n");
}
