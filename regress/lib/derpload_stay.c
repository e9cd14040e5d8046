/* Steps of clients who come, stay or go: logins, idle ones, storms. */

#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "regress/lib/derpload_int.h"

#define KEEPALIVE	6
#define STORM_KEYS	2048	/* each may log in but now and then */
#define PATIENCE	30000000000ULL	/* ns for the next login */
#define TICK		100000		/* us */

struct stay {
	struct dl	*dl;
	const struct dl_step *step;
	bool		 storm;
	unsigned int	 begun, up, failed;
	unsigned int	 other;		/* frames but keep-alives */
	uint64_t	 last;		/* ns: the last login */
	const char	*why;
	struct dl_hist	 hist;
};

static void
on_up(struct dl_conn *c, void *arg)
{
	struct stay *s = arg;
	struct dl_pool *pool = &s->dl->pool;

	s->last = dl_now();
	dl_hist_add(&s->hist, s->last - dl_begun(c));
	s->up++;
	dl_of(c)->at = s->last;
	if (s->storm)
		dl_close(c);
	else
		pool->c[pool->n++] = c;
}

static void
on_frame(struct dl_conn *c, uint8_t type, const uint8_t *p, size_t n,
    void *arg)
{
	struct stay *s = arg;
	struct dl_of *of = dl_of(c);
	uint64_t now;

	(void)p;
	(void)n;
	if (type != KEEPALIVE) {
		s->other++;
		return;
	}
	now = dl_now();
	if (of->widest < now - of->at)
		of->widest = now - of->at;
	of->at = now;
	of->keepalives++;
}

static void
on_gone(struct dl_conn *c, const char *why, void *arg)
{
	struct stay *s = arg;
	struct dl_pool *pool = &s->dl->pool;
	unsigned int i;

	s->why = why;
	s->failed++;
	for (i = 0; i < pool->n; i++)
		if (pool->c[i] == c)
			pool->c[i] = pool->c[--pool->n];
}

static struct stay *
stay_new(struct dl *dl, const struct dl_step *step)
{
	struct stay *s = calloc(1, sizeof(*s));
	struct dl_ops ops = { on_up, on_frame, on_gone, s };

	if (s == NULL)
		fatal("calloc");
	s->dl = dl;
	s->step = step;
	dl_set_ops(dl, &ops);
	return s;
}

static void
print_times(const struct stay *s, double seconds)
{
	printf(", \"seconds\": %.3f, \"per_s\": %.1f, \"failed\": %u, "
	    "\"p50_us\": %.0f, \"p99_us\": %.0f, \"max_us\": %.0f",
	    seconds, seconds > 0 ? s->up / seconds : 0, s->failed,
	    dl_hist_us(&s->hist, 0.5), dl_hist_us(&s->hist, 0.99),
	    (double)s->hist.max / 1e3);
	if (s->why != NULL)
		printf(", \"why\": \"%s\"", s->why);
}

bool
dl_step_login(struct dl *dl, const struct dl_step *step)
{
	struct stay *s = stay_new(dl, step);
	struct dl_pool *pool = &dl->pool;
	struct dl_usage a, b;
	unsigned int first = pool->n, n = step->clients;
	uint64_t fast = dl_fast(dl), begin;
	bool ok;

	pool->c = realloc(pool->c, (first + n) * sizeof(struct dl_conn *));
	if (pool->c == NULL)
		fatal("realloc");
	(void)dl_key(dl, first + n - 1);
	dl_usage(dl, &a, true);
	s->last = begin = dl_now();
	while (s->up + s->failed < n && dl_now() - s->last < PATIENCE) {
		while (s->begun < n &&
		    s->begun - s->up - s->failed < step->in_flight)
			(void)dl_login(dl, first + s->begun++);
		dl_poll(dl, TICK);
	}
	dl_usage(dl, &b, true);
	dl_close_begun(dl);
	ok = s->up == n;
	printf("{\"step\": \"%s\", \"clients\": %u, \"fast\": %llu",
	    step->name, s->up, (unsigned long long)(dl_fast(dl) - fast));
	print_times(s, (double)(s->last - begin) / 1e9);
	dl_usage_print(&a, &b, s->up);
	printf(", \"pss_before_kb\": %llu, \"pss_kb\": %llu}\n",
	    (unsigned long long)dl_usage_pss(&a),
	    (unsigned long long)dl_usage_pss(&b));
	free(s);
	return ok;
}

static void
print_idle(const struct stay *s, uint64_t now)
{
	const struct dl_pool *pool = &s->dl->pool;
	struct dl_of *of;
	unsigned int i, least = UINT32_MAX, most = 0;
	uint64_t all = 0, widest = 0;

	for (i = 0; i < pool->n; i++) {
		of = dl_of(pool->c[i]);
		all += of->keepalives;
		if (least > of->keepalives)
			least = of->keepalives;
		if (most < of->keepalives)
			most = of->keepalives;
		if (of->widest < now - of->at)
			of->widest = now - of->at;
		if (widest < of->widest)
			widest = of->widest;
	}
	printf("{\"step\": \"%s\", \"clients\": %u, \"dropped\": %u, "
	    "\"keepalives\": %llu, \"least\": %u, \"most\": %u, "
	    "\"widest_s\": %.2f, \"other_frames\": %u", s->step->name, pool->n,
	    s->failed, (unsigned long long)all, pool->n == 0 ? 0 : least, most,
	    (double)widest / 1e9, s->other);
}

bool
dl_step_idle(struct dl *dl, const struct dl_step *step)
{
	struct stay *s = stay_new(dl, step);
	struct dl_usage a, b;
	unsigned int i;
	uint64_t end, now;
	bool ok;

	for (i = 0; i < dl->pool.n; i++) {
		dl_of(dl->pool.c[i])->keepalives = 0;
		dl_of(dl->pool.c[i])->widest = 0;
	}
	dl_usage(dl, &a, false);
	end = a.at + (uint64_t)(step->seconds * 1e9);
	while ((now = dl_now()) < end)
		dl_poll(dl, (end - now) / 1000 < TICK ?
		    (end - now) / 1000 + 1 : TICK);
	dl_usage(dl, &b, true);
	print_idle(s, now);
	if (s->why != NULL)
		printf(", \"why\": \"%s\"", s->why);
	dl_usage_print(&a, &b, 0);
	printf(", \"pss_kb\": %llu}\n", (unsigned long long)dl_usage_pss(&b));
	ok = s->failed == 0;
	free(s);
	return ok;
}

bool
dl_step_storm(struct dl *dl, const struct dl_step *step, bool get)
{
	struct stay *s = stay_new(dl, step);
	struct dl_usage a, b;
	uint64_t fast = dl_fast(dl), end = 0;
	bool warm = false, ok;

	s->storm = true;
	(void)dl_key(dl, STORM_KEYS);
	dl_usage(dl, &a, false);
	end = a.at + (uint64_t)dl_conf(dl)->warm_ms * 1000000;
	while (dl_now() < end || !warm) {
		if (dl_now() >= end) {
			warm = true;
			s->begun -= s->up + s->failed;
			s->up = s->failed = 0;
			memset(&s->hist, 0, sizeof(s->hist));
			fast = dl_fast(dl);
			dl_usage(dl, &a, false);
			end = a.at + (uint64_t)(step->seconds * 1e9);
		}
		while (s->begun - s->up - s->failed < step->in_flight) {
			if (get)
				(void)dl_get(dl);
			else
				(void)dl_login(dl, s->begun % STORM_KEYS);
			s->begun++;
		}
		dl_poll(dl, TICK);
	}
	dl_usage(dl, &b, false);
	dl_close_begun(dl);
	ok = s->up > 0 && s->failed == 0;
	printf("{\"step\": \"%s\", \"logins\": %u, \"fast\": %llu",
	    step->name, s->up, (unsigned long long)(dl_fast(dl) - fast));
	print_times(s, (double)(b.at - a.at) / 1e9);
	dl_usage_print(&a, &b, s->up);
	printf("}\n");
	free(s);
	return ok;
}
