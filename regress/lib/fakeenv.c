#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "regress/lib/fakeenv.h"

struct fakeenv {
	struct env	*env;
	uint64_t	 now;
	int64_t		 wall;		/* microseconds */
	uint64_t	 seed;
	uint64_t	 drawn;
	struct buf	 fed;
	int		 code;
	char		 why[256];
};

static uint64_t
fake_now(void *arg)
{
	const struct fakeenv *f = arg;

	return f->now;
}

static int64_t
fake_wall(void *arg)
{
	const struct fakeenv *f = arg;

	return f->wall;
}

/* A counter through a mixing function (splitmix64). */
static uint64_t
draw(struct fakeenv *f)
{
	uint64_t v;

	f->seed += 0x9e3779b97f4a7c15ULL;
	v = f->seed;
	v = (v ^ v >> 30) * 0xbf58476d1ce4e5b9ULL;
	v = (v ^ v >> 27) * 0x94d049bb133111ebULL;
	return v ^ v >> 31;
}

static void
fake_random(void *arg, void *p, size_t n)
{
	struct fakeenv *f = arg;
	uint8_t *to = p;
	size_t i, part;
	uint64_t v = 0;

	f->drawn += n;
	part = n < f->fed.n ? n : f->fed.n;
	if (part != 0) {
		memcpy(to, f->fed.p, part);
		buf_drain(&f->fed, part);
		to += part;
		n -= part;
	}
	for (i = 0; i < n; i++) {
		if (i % 8 == 0)
			v = draw(f);
		to[i] = (uint8_t)(v >> i % 8 * 8);
	}
}

static void
fake_end(void *arg, int code, const char *why)
{
	struct fakeenv *f = arg;

	if (f->code != -1)
		return;
	f->code = code;
	(void)snprintf(f->why, sizeof(f->why), "%s", why == NULL ? "" : why);
}

static const struct env_ops fake_ops = {
	.now = fake_now,
	.wall = fake_wall,
	.random = fake_random,
	.end = fake_end
};

struct fakeenv *
fakeenv_new(uint64_t seed)
{
	struct fakeenv *f;

	f = xcalloc(1, sizeof(*f));
	f->now = FAKEENV_NOW;
	f->wall = FAKEENV_WALL * (int64_t)US_PER_S;
	f->seed = seed;
	f->code = -1;
	f->env = env_new(&fake_ops, f);
	return f;
}

void
fakeenv_free(struct fakeenv *f)
{
	if (f == NULL)
		return;
	env_free(f->env);
	buf_free(&f->fed);
	free(f);
}

struct env *
fakeenv_env(struct fakeenv *f)
{
	return f->env;
}

static void
move(struct fakeenv *f, uint64_t to)
{
	if (to <= f->now)
		return;
	f->wall += (int64_t)(to - f->now);
	f->now = to;
}

void
fakeenv_advance(struct fakeenv *f, uint64_t us)
{
	uint64_t end = f->now + us;

	while (f->code == -1 && env_next(f->env) <= end) {
		move(f, env_next(f->env));
		env_run(f->env);
	}
	move(f, end);
}

void
fakeenv_drift(struct fakeenv *f, uint64_t us)
{
	move(f, f->now + us);
}

void
fakeenv_leap(struct fakeenv *f, uint64_t us)
{
	move(f, f->now + us);
	env_run(f->env);
}

void
fakeenv_set_wall(struct fakeenv *f, int64_t s)
{
	f->wall = s * (int64_t)US_PER_S;
}

void
fakeenv_feed(struct fakeenv *f, const void *p, size_t n)
{
	buf_put(&f->fed, p, n);
}

uint64_t
fakeenv_drawn(const struct fakeenv *f)
{
	return f->drawn;
}

int
fakeenv_code(const struct fakeenv *f)
{
	return f->code;
}

const char *
fakeenv_why(const struct fakeenv *f)
{
	return f->why;
}
