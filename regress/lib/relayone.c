#include "common/log.h"
#include "regress/lib/relayone.h"

int
ro_setup(void **state)
{
	*state = rk_new(1, NULL);
	return 0;
}

int
ro_teardown(void **state)
{
	rk_free(*state);
	return 0;
}

struct rkclient *
ro_in(struct rk *rk, uint32_t who)
{
	return rk_login(&rk->worker[0], who);
}

const struct relay_counters *
ro_num(const struct rk *rk)
{
	return rk_count(&rk->worker[0]);
}

void
ro_byte(struct rkclient *x, const struct rkclient *dst, uint8_t what)
{
	rk_send(x, dst->pub, &what, 1);
}

void
ro_disco(struct rkclient *x, const struct rkclient *dst, size_t n,
    uint8_t what)
{
	uint8_t b[200] = { 0x54, 0x53, 0xf0, 0x9f, 0x92, 0xac };

	if (n == 0 || n > sizeof(b))
		fatalx("relayone: a disco packet of %zu octets", n);
	b[n - 1] = what;
	rk_send(x, dst->pub, b, n);
}

bool
ro_last(struct rkclient *x, uint8_t what)
{
	struct slice s;
	uint8_t type;

	return rk_next(x, &type, &s) && type == 5 && s.n > 32 &&
	    (uint8_t)s.p[s.n - 1] == what;
}
