#include <sys/types.h>
#include <sys/socket.h>

#include <arpa/inet.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "common/compat/compat.h"
#include "common/noise.h"
#include "regress/lib/sockkit.h"

#define TURNS_MAX	2000000
#define BACKLOG		200
#define CLOCK_US	2000

static void
on_kick(struct conn *c, void *arg)
{
	struct sockkit *k = arg;

	sock_kick(k->set, c);
}

static void
on_clock(void *arg)
{
	struct sockkit *k = arg;

	timer_in(&k->clock, CLOCK_US);
}

static void
on_turn(void *arg)
{
	struct sockkit *k = arg;

	sock_turn(k->set);
	if (k->over(k))
		ev_stop(k->ev);
	else if (++k->turns > TURNS_MAX)
		fail_msg("nothing happens");
}

bool
sockkit_open(struct sockkit *k, const struct net_conf *conf,
    const struct net_ops *ops, void (*on_pause)(bool, void *))
{
	struct net_ops o = *ops;

	if (noise_init() == -1)
		return false;
	o.kick = on_kick;
	o.arg = k;
	k->ev = ev_new();
	k->net = net_new(ev_env(k->ev), conf, &o);
	k->set = sock_new(k->ev, k->net, on_pause, k);
	sock_listen(k->set, 1, 3, CONN_K_PLAIN, false,
	    sockkit_listen(&k->addr));
	sock_accept(k->set, 3, true);
	timer_init(&k->clock, ev_env(k->ev), on_clock, k);
	timer_in(&k->clock, CLOCK_US);
	return true;
}

void
sockkit_close(struct sockkit *k)
{
	timer_stop(&k->clock);
	sock_free(k->set);
	net_free(k->net);
	ev_free(k->ev);
}

void
sockkit_run(struct sockkit *k, bool (*over)(void *))
{
	k->over = over;
	k->turns = 0;
	ev_run(k->ev, on_turn, k);
}

int
sockkit_listen(struct sockaddr_in *sin)
{
	socklen_t len = sizeof(*sin);
	int fd;

	memset(sin, 0, sizeof(*sin));
	sin->sin_family = AF_INET;
	sin->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	assert_int_not_equal(fd, -1);
	assert_int_equal(bind(fd, (struct sockaddr *)sin, len), 0);
	assert_int_equal(listen(fd, BACKLOG), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)sin, &len), 0);
	return fd;
}

int
sockkit_dial(const struct sockkit *k)
{
	int fd;

	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_not_equal(fd, -1);
	assert_int_equal(connect(fd, (const struct sockaddr *)&k->addr,
	    sizeof(k->addr)), 0);
	assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
	return fd;
}

uint32_t
sockkit_conns(const struct sockkit *k)
{
	uint32_t a, b, c;

	net_count(k->net, &a, &b, &c);
	return c;
}
