#include <sys/queue.h>

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "regress/sim/world_int.h"

#define WALL_START	1790000000LL

static uint64_t
next_random(struct world *w)
{
	uint64_t z;

	/* splitmix64: public domain algorithm, written anew */
	z = (w->rng += 0x9e3779b97f4a7c15ULL);
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
	return z ^ (z >> 31);
}

struct world *
world_new(uint64_t seed, bool verbose)
{
	struct world *w;

	w = xcalloc(1, sizeof(*w));
	w->rng = seed * 0x2545f4914f6cdd1dULL + 1;
	w->trace = verbose ? stdout : NULL;
	w->now = 1000 * US_PER_S;
	TAILQ_INIT(&w->procs);
	TAILQ_INIT(&w->wires);
	return w;
}

void
world_trace_to(struct world *w, FILE *f)
{
	w->trace = f;
}

void
world_end(struct world *w)
{
	struct wire *x;
	unsigned int i;

	while ((x = TAILQ_FIRST(&w->wires)) != NULL)
		wire_free(x);
	for (i = 0; i < w->nfds; i++)
		free(w->fds[i].p);
	free(w->fds);
	free(w->heap);
	free(w);
}

uint64_t
world_now(const struct world *w)
{
	return w->now;
}

int64_t
world_wall(const struct world *w)
{
	return WALL_START + (int64_t)(w->now / US_PER_S) +
	    w->wall_offset / (int64_t)US_PER_S;
}

uint64_t
world_rand(struct world *w, uint64_t n)
{
	return next_random(w) % n;
}

void
world_draw(struct world *w, uint8_t *p, size_t n)
{
	while (n-- > 0)
		*p++ = (uint8_t)next_random(w);
}

bool
world_chance(struct world *w, uint64_t n)
{
	return n != 0 && next_random(w) % n == 0;
}

void
world_fail(struct world *w, const char *fmt, ...)
{
	va_list ap;

	w->failures++;
	if (w->failures > 10)
		return;
	va_start(ap, fmt);
	printf("      at %.3f s: ", (double)(w->now - 1000 * US_PER_S) / 1e6);
	vprintf(fmt, ap);
	putchar('\n');
	va_end(ap);
}

unsigned int
world_failures(const struct world *w)
{
	return w->failures;
}

unsigned long long
world_sum(const struct world *w, const void *p, size_t n)
{
	const uint8_t *at = p;
	uint64_t h = 0xcbf29ce484222325ULL;

	if (w->trace == NULL)
		return 0;
	while (n-- > 0)
		h = (h ^ *at++) * 0x100000001b3ULL;	/* FNV-1a */
	return h;
}

void
world_trace(struct world *w, const char *fmt, ...)
{
	va_list ap;

	if (w->trace == NULL)
		return;
	va_start(ap, fmt);
	fprintf(w->trace, "%10.6f ", (double)(w->now - 1000 * US_PER_S) / 1e6);
	vfprintf(w->trace, fmt, ap);
	putc('\n', w->trace);
	va_end(ap);
}

void
world_jump(struct world *w, int64_t us)
{
	w->wall_offset += us;
	w->went_back |= us < 0;
	world_trace(w, "clocks jump by %lld s",
	    (long long)(us / (int64_t)US_PER_S));
}

bool
world_went_back(const struct world *w)
{
	return w->went_back;
}

/* The event heap: by time, then by order of arrival. */

static bool
before(const struct event *a, const struct event *b)
{
	return a->at != b->at ? a->at < b->at : a->order < b->order;
}

static void
swap(struct event *a, struct event *b)
{
	struct event t = *a;

	*a = *b;
	*b = t;
}

void
world_at(struct world *w, uint64_t at, void (*fn)(void *), void *arg)
{
	size_t i;

	if (w->nheap == w->capheap) {
		w->capheap = w->capheap == 0 ? 256 : w->capheap * 2;
		w->heap = xrealloc(w->heap, w->capheap, sizeof(*w->heap));
	}
	i = w->nheap++;
	w->heap[i].at = at < w->now ? w->now : at;
	w->heap[i].order = ++w->order;
	w->heap[i].fn = fn;
	w->heap[i].arg = arg;
	while (i > 0 && before(&w->heap[i], &w->heap[(i - 1) / 2])) {
		swap(&w->heap[i], &w->heap[(i - 1) / 2]);
		i = (i - 1) / 2;
	}
}

static struct event
pop(struct world *w)
{
	struct event top = w->heap[0];
	size_t i = 0, k;

	w->heap[0] = w->heap[--w->nheap];
	for (;;) {
		k = 2 * i + 1;
		if (k >= w->nheap)
			break;
		if (k + 1 < w->nheap && before(&w->heap[k + 1], &w->heap[k]))
			k++;
		if (!before(&w->heap[k], &w->heap[i]))
			break;
		swap(&w->heap[k], &w->heap[i]);
		i = k;
	}
	return top;
}

/* Processes. */

static uint64_t
env_op_now(void *arg)
{
	struct sproc *p = arg;

	return p->world->now;
}

static int64_t
env_op_wall(void *arg)
{
	struct sproc *p = arg;

	return world_wall(p->world) * (int64_t)US_PER_S;
}

static void
env_op_random(void *arg, void *dst, size_t n)
{
	struct sproc *p = arg;
	uint8_t *d = dst;
	uint64_t r;
	size_t k;

	while (n > 0) {
		r = next_random(p->world);
		k = n < sizeof(r) ? n : sizeof(r);
		memcpy(d, &r, k);
		d += k;
		n -= k;
	}
}

static void
env_op_end(void *arg, int code, const char *why)
{
	struct sproc *p = arg;

	world_trace(p->world, "%s ends with %d: %s", p->name, code, why);
	sproc_kill(p, why);
}

struct sproc *
sproc_new(struct world *w, const char *name, void (*turn)(void *), void *arg)
{
	static const struct env_ops ops = { env_op_now, env_op_wall,
	    env_op_random, env_op_end };
	struct sproc *p;

	p = xcalloc(1, sizeof(*p));
	p->world = w;
	strlcpy(p->name, name, sizeof(p->name));
	p->turn = turn;
	p->arg = arg;
	p->env = env_new(&ops, p);
	TAILQ_INSERT_TAIL(&w->procs, p, entry);
	return p;
}

struct env *
sproc_env(struct sproc *p)
{
	return p->env;
}

const char *
sproc_name(const struct sproc *p)
{
	return p->name;
}

bool
sproc_is_dead(const struct sproc *p)
{
	return p->dying;
}

void
sproc_on_death(struct sproc *p, void (*fn)(struct sproc *, const char *,
    void *), void *arg)
{
	p->on_death = fn;
	p->death_arg = arg;
}

void
sproc_kill(struct sproc *p, const char *why)
{
	if (p->dying)
		return;
	p->dying = true;
	p->world->any_dying = true;
	strlcpy(p->how, why, sizeof(p->how));
}

void
sproc_kill_after(struct sproc *p, unsigned int sends)
{
	p->sends_left = sends;
	p->limited = true;
}

void
sproc_hang(struct sproc *p, uint64_t us)
{
	p->hung_until = p->world->now + us;
	world_trace(p->world, "%s hangs for %.3f s", p->name,
	    (double)us / 1e6);
}

bool
sproc_hangs(const struct sproc *p)
{
	return p->world->now < p->hung_until;
}

uint64_t
sproc_wakes(const struct sproc *p)
{
	return p->hung_until;
}

void
sproc_touch(struct sproc *p)
{
	if (p == NULL)
		return;		/* it died of what it was given */
	p->touched = true;
	p->world->any_touched = true;
}

void
sproc_free(struct sproc *p)
{
	if (env_timers(p->env) != 0)
		world_fail(p->world, "%s leaves %zu timers without an owner",
		    p->name, env_timers(p->env));
	else
		env_free(p->env);
	TAILQ_REMOVE(&p->world->procs, p, entry);
	free(p);
}

/* Whoever was doomed while something of its own was running dies now. */
static void
bury(struct world *w)
{
	struct sproc *p, *next;

	while (w->any_dying) {
		w->any_dying = false;
		for (p = TAILQ_FIRST(&w->procs); p != NULL; p = next) {
			next = TAILQ_NEXT(p, entry);
			if (!p->dying || p->buried)
				continue;
			p->buried = true;
			world_trace(w, "%s dies: %s", p->name, p->how);
			wires_cut(w, p);
			if (p->on_death != NULL)
				p->on_death(p, p->how, p->death_arg);
			/* the list may have changed */
			w->any_dying = true;
			break;
		}
	}
}

static void
turns(struct world *w)
{
	struct sproc *p, *next;

	bury(w);
	while (w->any_touched) {
		w->any_touched = false;
		for (p = TAILQ_FIRST(&w->procs); p != NULL; p = next) {
			next = TAILQ_NEXT(p, entry);
			if (!p->touched || p->dying || sproc_hangs(p))
				continue;
			p->touched = false;
			if (p->turn != NULL)
				p->turn(p->arg);
		}
		bury(w);
	}
}

/* The live process whose timer is due first; NULL if none. */
static struct sproc *
first_timer(struct world *w, uint64_t *at)
{
	struct sproc *p, *best = NULL;
	uint64_t t;

	*at = ENV_NEVER;
	TAILQ_FOREACH(p, &w->procs, entry) {
		if (p->dying)
			continue;
		t = env_next(p->env);
		if (t < p->hung_until)
			t = p->hung_until;
		if (t < *at) {
			*at = t;
			best = p;
		}
	}
	return best;
}

void
world_run(struct world *w, uint64_t until)
{
	struct sproc *p;
	struct event e;
	uint64_t at;

	for (;;) {
		turns(w);
		p = first_timer(w, &at);
		if (w->nheap > 0 && w->heap[0].at <= at) {
			if (w->heap[0].at > until)
				break;
			e = pop(w);
			w->now = e.at;
			e.fn(e.arg);
			continue;
		}
		if (p == NULL || at > until)
			break;
		if (at > w->now)
			w->now = at;
		env_run(p->env);
		sproc_touch(p);
	}
	if (w->now < until)
		w->now = until;
}

/* Sealed memory. */

int
sim_seal(struct world *w, const void *p, size_t n)
{
	unsigned int i;

	for (i = 0; i < w->nfds; i++)
		if (w->fds[i].p == NULL)
			break;
	if (i == w->nfds)
		w->fds = xrealloc(w->fds, ++w->nfds, sizeof(*w->fds));
	w->fds[i].p = xmalloc(n == 0 ? 1 : n);
	memcpy(w->fds[i].p, p, n);
	w->fds[i].n = n;
	return SIM_FD_BASE + (int)i;
}

unsigned int
sim_sealed(const struct world *w)
{
	unsigned int i, n = 0;

	for (i = 0; i < w->nfds; i++)
		n += w->fds[i].p != NULL;
	return n;
}

void *
sim_open(struct world *w, int fd, size_t *n)
{
	unsigned int i = (unsigned int)(fd - SIM_FD_BASE);
	void *p;

	if (fd < SIM_FD_BASE || i >= w->nfds)
		return NULL;
	p = w->fds[i].p;
	*n = w->fds[i].n;
	w->fds[i].p = NULL;
	return p;
}
