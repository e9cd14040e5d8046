/*
 * Pairs of clients: each bounces a window of packets to the other, so that
 * nothing need be lost, or one sends to the other at a rate.
 */

#include <stdlib.h>
#include <string.h>

#include "common/compat/compat.h"
#include "common/log.h"
#include "regress/lib/derpload_int.h"

#define RECV		5
#define SILENCE		200000000ULL	/* ns: a window that is lost */
#define DRAIN		300000000ULL	/* ns after the last packet */
#define WAITS_MAX	(128 * 1024)	/* octets that need not be sent */
#define TICK		1000		/* us between bursts, about */
#define PATIENCE	30000000000ULL	/* ns to log in */

struct pairs {
	struct dl	*dl;
	const struct dl_step *step;
	struct dl_conn	**c;		/* of 2 * pairs, partners adjacent */
	unsigned int	 n, up;
	const char	*why;		/* a connection ended */
	bool		 on;		/* packets go */
	uint64_t	 from, to;	/* ns: what is measured */
	uint64_t	 due;		/* packets at a rate, since begun */
	uint64_t	 begun;
	unsigned int	 turn;
	uint64_t	 sent, got;	/* in that time */
	uint64_t	 lost, late, blocked, stalls, strange;
	struct dl_hist	 hist;
};

static uint64_t
get_be(const uint8_t *p)
{
	uint64_t v = 0;
	unsigned int i;

	for (i = 0; i < 8; i++)
		v = v << 8 | p[i];
	return v;
}

static bool
is_measured(const struct pairs *s, uint64_t at)
{
	return at >= s->from && at < s->to;
}

static void
send_one(struct pairs *s, struct dl_conn *c, uint64_t now)
{
	struct dl_of *of = dl_of(c);

	dl_send(c, dl_pub(of->peer), s->step->size, of->tx++, now);
	if (is_measured(s, now))
		s->sent++;
}

static void
on_up(struct dl_conn *c, void *arg)
{
	struct pairs *s = arg;

	(void)c;
	s->up++;
}

static void
on_gone(struct dl_conn *c, const char *why, void *arg)
{
	struct pairs *s = arg;

	(void)c;
	s->why = why;
}

static void
on_frame(struct dl_conn *c, uint8_t type, const uint8_t *p, size_t n,
    void *arg)
{
	struct pairs *s = arg;
	struct dl_of *of = dl_of(c);
	uint64_t now, seq, at, more = 1;

	if (type != RECV)
		return;
	if (n != 32 + s->step->size ||
	    memcmp(p, dl_pub(of->peer), 32) != 0) {
		s->strange++;
		return;
	}
	now = dl_now();
	seq = get_be(p + 32);
	at = get_be(p + 40);
	of->at = now;
	if (seq < of->rx) {
		s->late++;
		more = 0;
	} else {
		more += seq - of->rx;
		of->rx = seq + 1;
	}
	if (is_measured(s, at)) {
		s->got++;
		dl_hist_add(&s->hist, now - at);
	}
	if (s->step->window == 0 || !s->on)
		return;
	/* What was lost on the way is made good: the window keeps its size. */
	while (more-- > 0)
		send_one(s, c, now);
}

static bool
log_in(struct pairs *s)
{
	unsigned int begun = 0;
	uint64_t begin = dl_now();

	while (s->up < s->n && s->why == NULL) {
		while (begun < s->n && begun - s->up < s->step->in_flight) {
			s->c[begun] = dl_login(s->dl, s->dl->pool.n + begun);
			begun++;
		}
		dl_poll(s->dl, 100000);
		if (dl_now() - begin > PATIENCE)
			s->why = "no login";
	}
	for (begun = 0; begun < s->n && s->why == NULL; begun++)
		dl_of(s->c[begun])->peer = s->c[begun ^ 1];
	return s->why == NULL;
}

/* Half of the window begins at either end. */
static void
open_windows(struct pairs *s, uint64_t now)
{
	struct dl_of *of;
	unsigned int i, k, n;

	for (i = 0; i < s->n; i++) {
		of = dl_of(s->c[i]);
		if (of->at != 0 && (now - of->at < SILENCE ||
		    now - dl_of(of->peer)->at < SILENCE))
			continue;
		if (of->at != 0 && (i & 1) == 0)
			s->stalls++;
		of->at = now;
		n = (s->step->window + (i & 1)) / 2;
		for (k = 0; k < n; k++)
			send_one(s, s->c[i], now);
	}
}

/* What is due by now, shared out; each pair's at once. */
static void
send_due(struct pairs *s, uint64_t now)
{
	uint64_t n, all, share;
	struct dl_conn *c;
	unsigned int i;

	all = (uint64_t)((double)(now - s->begun) * s->step->rate / 1e9);
	n = all - s->due;
	s->due = all;
	for (i = 0; i < s->n && n > 0; i += 2) {
		share = n / ((s->n - i) / 2);
		if (share * ((s->n - i) / 2) < n)
			share++;
		n -= share;
		c = s->c[s->turn];
		s->turn = (s->turn + 2) % s->n;
		while (share-- > 0) {
			if (dl_waits(c) > WAITS_MAX)
				s->blocked++;
			else
				send_one(s, c, now);
		}
		dl_flush(c);
	}
}

static void
run(struct pairs *s, uint64_t until)
{
	uint64_t now, next = 0;

	while ((now = dl_now()) < until && s->why == NULL) {
		if (s->on && now >= next) {
			if (s->step->window > 0) {
				open_windows(s, now);
				next = now + SILENCE / 4;
			} else {
				send_due(s, now);
				/* Never in step with somebody else's. */
				next = now + TICK * 500 +
				    arc4random_uniform(TICK * 1000);
			}
		}
		now = dl_now();
		dl_poll(s->dl, next > now && next - now < 100000000 ?
		    (next - now) / 1000 : s->on ? 0 : 10000);
	}
}

static void
print(const struct pairs *s, const struct dl_usage *a,
    const struct dl_usage *b)
{
	double seconds = (double)(s->to - s->from) / 1e9;

	printf("{\"step\": \"%s\", \"seconds\": %.3f, \"sent\": %llu, "
	    "\"packets\": %llu, \"per_s\": %.0f, \"mbit_s\": %.1f, "
	    "\"loss\": %.5f, \"late\": %llu, \"strange\": %llu, "
	    "\"blocked\": %llu, \"stalls\": %llu", s->step->name, seconds,
	    (unsigned long long)s->sent, (unsigned long long)s->got,
	    (double)s->got / seconds,
	    (double)s->got * s->step->size * 8 / seconds / 1e6,
	    s->sent == 0 ? 0 : 1 - (double)s->got / (double)s->sent,
	    (unsigned long long)s->late, (unsigned long long)s->strange,
	    (unsigned long long)s->blocked, (unsigned long long)s->stalls);
	printf(", \"p50_us\": %.1f, \"p90_us\": %.1f, \"p99_us\": %.1f, "
	    "\"p999_us\": %.1f, \"max_us\": %.1f", dl_hist_us(&s->hist, 0.5),
	    dl_hist_us(&s->hist, 0.9), dl_hist_us(&s->hist, 0.99),
	    dl_hist_us(&s->hist, 0.999), (double)s->hist.max / 1e3);
	dl_usage_print(a, b, (double)s->got);
	printf("}\n");
}

bool
dl_step_pairs(struct dl *dl, const struct dl_step *step)
{
	struct pairs *s = calloc(1, sizeof(*s));
	struct dl_ops ops = { on_up, on_frame, on_gone, s };
	struct dl_usage a, b;
	unsigned int i;
	bool ok;

	if (s == NULL || (s->c = calloc(2 * step->pairs,
	    sizeof(struct dl_conn *))) == NULL)
		fatal("calloc");
	s->dl = dl;
	s->step = step;
	s->n = 2 * step->pairs;
	dl_set_ops(dl, &ops);
	if (log_in(s)) {
		s->on = true;
		s->begun = dl_now();
		run(s, s->begun + (uint64_t)dl_conf(dl)->warm_ms * 1000000);
		dl_usage(dl, &a, false);
		s->from = a.at;
		s->to = a.at + (uint64_t)(step->seconds * 1e9);
		run(s, s->to);
		dl_usage(dl, &b, false);
		s->on = false;
		run(s, dl_now() + DRAIN);
		print(s, &a, &b);
	}
	if ((ok = s->why == NULL && s->strange == 0)) {
		for (i = 0; i < s->n; i++)
			dl_close(s->c[i]);
	} else {
		log_warnx("%s: %s", step->name, s->why == NULL ?
		    "strange packets" : s->why);
		dl_close_begun(dl);
	}
	free(s->c);
	free(s);
	return ok;
}
