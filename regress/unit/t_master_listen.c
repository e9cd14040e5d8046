/* Listening sockets: one for each address and slot, kept over reloads. */

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <sys/socket.h>

#include <netinet/in.h>

#ifdef __linux__
#include <linux/filter.h>
#endif

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/str.h"
#include "master/conf.h"
#include "master/listen.h"
#include "regress/lib/confkit.h"
#include "regress/lib/quiet.h"

#define SLOTS	3

struct seen {
	unsigned int	n;
	uint16_t	number[8];
	char		text[8][64];
	enum conf_kind	kind[8];
	bool		proxy[8];
	int		fd[8][SLOTS];
};

static void
on_each(const struct listening *l, void *arg)
{
	struct seen *s = arg;
	unsigned int i;

	assert_int_equal(l->nfds, l->kind == CONF_UDP ? 1 : SLOTS);
	s->number[s->n] = l->number;
	s->kind[s->n] = l->kind;
	s->proxy[s->n] = l->proxy;
	strlcpy(s->text[s->n], l->text, sizeof(s->text[0]));
	for (i = 0; i < SLOTS; i++)
		s->fd[s->n][i] = l->fds == NULL || i >= l->nfds ? -1 :
		    l->fds[i];
	s->n++;
}

static struct seen
look(const struct listeners *l, enum listen_set set)
{
	struct seen s = { 0 };

	listen_each(l, set, on_each, &s);
	return s;
}

/* A port of 127.0.0.1 that nobody has. */
static unsigned int
spare_port(void)
{
	struct sockaddr_in sin = { .sin_family = AF_INET };
	socklen_t len = sizeof(sin);
	int fd;

	sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	fd = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&sin, len), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&sin, &len), 0);
	close(fd);
	return ntohs(sin.sin_port);
}

static struct conf *
conf_with(const char *listens)
{
	char text[1024];

	snprintf(text, sizeof(text), "server_url = \"http://localhost\"\n%s",
	    listens);
	return confkit_in("/", text);
}

static struct conf *
one(unsigned int port)
{
	char text[128];

	snprintf(text, sizeof(text), "listen \"a\" { address = \"127.0.0.1\" "
	    "port = %u }\n", port);
	return conf_with(text);
}

static int
dial(unsigned int port)
{
	struct sockaddr_in sin = { .sin_family = AF_INET };
	int fd;

	sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	sin.sin_port = htons((uint16_t)port);
	fd = socket(AF_INET, SOCK_STREAM, 0);
	if (connect(fd, (struct sockaddr *)&sin, sizeof(sin)) == 0)
		return fd;
	close(fd);
	return -1;
}

/* True if who holds the socket can send connections where he likes. */
static bool
steerable(int fd)
{
#ifdef SO_ATTACH_REUSEPORT_CBPF
	struct sock_filter all = { BPF_RET | BPF_K, 0, 0, 0 };
	struct sock_fprog prog = { 1, &all };

	return setsockopt(fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &prog,
	    sizeof(prog)) == 0 || setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER,
	    &prog, sizeof(prog)) == 0;
#else
	(void)fd;
	return false;
#endif
}

static void
test_slots(void **state)
{
	unsigned int port = spare_port(), i, k, got = 0;
	struct listeners *l = listen_new(SLOTS);
	struct conf *c = one(port);
	struct seen s;
	char why[256], text[128];
	int fd[60], a, v;
	socklen_t len = sizeof(v);

	(void)state;
	if (!listen_stage(l, c, true, why, sizeof(why)))
		fail_msg("%s", why);
	assert_int_equal(look(l, LISTEN_NOW).n, 0);
	listen_commit(l);
	s = look(l, LISTEN_NOW);
	assert_int_equal(s.n, 1);
	assert_int_equal(look(l, LISTEN_ADDED).n, 1);
	snprintf(text, sizeof(text), "127.0.0.1:%u", port);
	assert_string_equal(s.text[0], text);
	listen_print(l, false, text, sizeof(text));
	assert_string_equal(s.text[0], text);
	listen_print(l, true, text, sizeof(text));
	assert_string_equal("", text);
	for (i = 0; i < SLOTS; i++) {
		assert_true(s.fd[0][i] > 2);
		assert_true(fcntl(s.fd[0][i], F_GETFD) & FD_CLOEXEC);
		assert_true(fcntl(s.fd[0][i], F_GETFL) & O_NONBLOCK);
		assert_int_equal(getsockopt(s.fd[0][i], SOL_SOCKET,
		    SO_ACCEPTCONN, &v, &len), 0);
		assert_int_equal(v, 1);
		assert_false(steerable(s.fd[0][i]));
	}
	/* All that come are in one of the backlogs, whoever accepts. */
	for (k = 0; k < 60; k++)
		fd[k] = dial(port);
	for (i = 0; i < SLOTS; i++)
		while ((a = accept(s.fd[0][i], NULL, NULL)) != -1) {
			got++;
			close(a);
		}
	assert_int_equal(got, 60);
	for (k = 0; k < 60; k++)
		close(fd[k]);
	conf_free(c);
	listen_free(l);
	assert_int_equal(dial(port), -1);
}

static void
test_reload(void **state)
{
	unsigned int p1 = spare_port(), p2 = spare_port();
	struct listeners *l = listen_new(SLOTS);
	struct conf *a = one(p1), *b = one(p2), *ab;
	struct seen s, t;
	char why[256], text[256];

	(void)state;
	snprintf(text, sizeof(text),
	    "listen \"a\" { address = \"127.0.0.1\" port = %u }\n"
	    "listen \"b\" { address = \"127.0.0.1\" port = %u }\n", p1, p2);
	ab = conf_with(text);
	assert_true(listen_stage(l, a, true, why, sizeof(why)));
	listen_commit(l);
	s = look(l, LISTEN_NOW);
	/* More: what was there keeps its number and its sockets. */
	assert_true(listen_stage(l, ab, false, why, sizeof(why)));
	assert_int_equal(look(l, LISTEN_NOW).n, 1);
	listen_commit(l);
	t = look(l, LISTEN_NOW);
	assert_int_equal(t.n, 2);
	assert_int_equal(t.number[0], s.number[0]);
	assert_memory_equal(t.fd[0], s.fd[0], sizeof(s.fd[0]));
	t = look(l, LISTEN_ADDED);
	assert_int_equal(t.n, 1);
	assert_int_not_equal(t.number[0], s.number[0]);
	assert_int_equal(look(l, LISTEN_REMOVED).n, 0);
	/* Thought better of: nothing has changed. */
	assert_true(listen_stage(l, b, false, why, sizeof(why)));
	listen_discard(l);
	assert_int_equal(look(l, LISTEN_NOW).n, 2);
	assert_int_equal(look(l, LISTEN_ADDED).n, 0);
	/* Less. */
	assert_true(listen_stage(l, b, false, why, sizeof(why)));
	listen_commit(l);
	t = look(l, LISTEN_REMOVED);
	assert_int_equal(t.n, 1);
	assert_int_equal(t.number[0], s.number[0]);
	assert_int_equal(t.fd[0][0], -1);
	assert_int_equal(look(l, LISTEN_NOW).n, 1);
	assert_int_equal(dial(p1), -1);
	/* Back: a new number, so that nobody takes it for the old one. */
	assert_true(listen_stage(l, ab, false, why, sizeof(why)));
	listen_commit(l);
	t = look(l, LISTEN_ADDED);
	assert_int_equal(t.n, 1);
	assert_int_not_equal(t.number[0], s.number[0]);
	conf_free(a);
	conf_free(b);
	conf_free(ab);
	listen_free(l);
}

/* Another server has the port: with SO_REUSEPORT, so that a bind would do. */
static void
test_taken(void **state)
{
	unsigned int port = spare_port();
	struct listeners *l = listen_new(SLOTS);
	struct conf *c = one(port);
	struct sockaddr_in sin = { .sin_family = AF_INET };
	char why[256], text[256];
	int fd, on = 1;

	(void)state;
	sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	sin.sin_port = htons((uint16_t)port);
	fd = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on,
	    sizeof(on)), 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&sin, sizeof(sin)), 0);
	assert_int_equal(listen(fd, 1), 0);
	assert_false(listen_stage(l, c, false, why, sizeof(why)));
	snprintf(text, sizeof(text), "c:2: another program listens on "
	    "127.0.0.1:%u", port);
	assert_string_equal(why, text);
	assert_int_equal(look(l, LISTEN_NOW).n, 0);
	close(fd);
	assert_true(listen_stage(l, c, false, why, sizeof(why)));
	conf_free(c);
	listen_free(l);
}

static void
test_wildcard(void **state)
{
	unsigned int port = spare_port(), i;
	struct listeners *l = listen_new(SLOTS);
	struct conf *c;
	struct seen s;
	char why[256], text[256];
	int fd;

	(void)state;
	/* An address that no host has, besides: all or nothing. */
	snprintf(text, sizeof(text),
	    "listen \"a\" { address = \"*\" port = %u }\n"
	    "listen \"b\" { address = \"192.0.2.1\" port = %u }\n", port,
	    port);
	c = conf_with(text);
	assert_false(listen_stage(l, c, true, why, sizeof(why)));
	snprintf(text, sizeof(text), "c:3: cannot listen on 192.0.2.1:%u: %s",
	    port, strerror(EADDRNOTAVAIL));
	assert_string_equal(why, text);
	assert_int_equal(look(l, LISTEN_NOW).n, 0);
	conf_free(c);
	snprintf(text, sizeof(text),
	    "listen \"a\" { address = \"*\" port = %u }\n", port);
	c = conf_with(text);
	assert_true(listen_stage(l, c, true, why, sizeof(why)));
	listen_commit(l);
	s = look(l, LISTEN_NOW);
	/* Both families, or one where the host has but one. */
	assert_in_range(s.n, 1, 2);
	for (i = 0; i < s.n; i++)
		assert_true(strncmp(s.text[i], "0.0.0.0:", 8) == 0 ||
		    strncmp(s.text[i], "[::]:", 5) == 0);
	fd = dial(port);
	assert_true(fd != -1);
	close(fd);
	conf_free(c);
	listen_free(l);
}

/* Another kind: workers are told of a new one, clients notice nothing. */
static void
test_kind(void **state)
{
	unsigned int port = spare_port(), i;
	struct listeners *l = listen_new(SLOTS);
	struct conf *a = one(port), *b;
	struct seen s, t;
	char why[256], text[256];
	int fd;

	(void)state;
	assert_true(listen_stage(l, a, true, why, sizeof(why)));
	listen_commit(l);
	s = look(l, LISTEN_NOW);
	assert_int_equal(s.kind[0], CONF_PLAIN);
	fd = dial(port);		/* waits in a backlog */
	snprintf(text, sizeof(text), "tls { self_signed = on }\n"
	    "proxies = { 10.0.0.1 }\nlisten \"a\" { address = \"127.0.0.1\" "
	    "port = %u tls = either proxy_protocol = on }\n", port);
	b = conf_with(text);
	assert_true(listen_stage(l, b, false, why, sizeof(why)));
	assert_int_equal(look(l, LISTEN_NOW).kind[0], CONF_PLAIN);
	listen_commit(l);
	t = look(l, LISTEN_REMOVED);
	assert_int_equal(t.n, 1);
	assert_int_equal(t.number[0], s.number[0]);
	t = look(l, LISTEN_ADDED);
	assert_int_equal(t.n, 1);
	assert_int_not_equal(t.number[0], s.number[0]);
	assert_int_equal(t.kind[0], CONF_EITHER);
	assert_true(t.proxy[0]);
	assert_int_equal(look(l, LISTEN_NOW).n, 1);
	for (i = 0; i < SLOTS; i++)
		if (accept(t.fd[0][i], NULL, NULL) != -1)
			break;
	assert_true(i < SLOTS);
	close(fd);
	conf_free(a);
	conf_free(b);
	listen_free(l);
	assert_int_equal(dial(port), -1);
}

static struct conf *
with_stun(unsigned int port, const char *stun)
{
	char text[512];

	snprintf(text, sizeof(text), "listen \"a\" { address = \"127.0.0.1\" "
	    "port = %u }\nderp { server { enabled = on plain = on "
	    "stun_listen = \"%s\" } }\n", port, stun);
	return conf_with(text);
}

/* One socket an address, which no other program can share. */
static void
test_udp(void **state)
{
	struct sockaddr_in sin = { .sin_family = AF_INET };
	unsigned int port = spare_port(), i, udp = 0;
	struct listeners *l = listen_new(SLOTS);
	char why[256], text[256], stun[64];
	socklen_t len = sizeof(int);
	struct conf *a, *b;
	struct seen s, t;
	int fd, v, on = 1;

	(void)state;
	snprintf(stun, sizeof(stun), "0.0.0.0:%u", port);
	a = with_stun(port, stun);
	assert_true(listen_stage(l, a, true, why, sizeof(why)));
	listen_commit(l);
	s = look(l, LISTEN_NOW);
	assert_in_range(s.n, 2, 3);
	for (i = 0; i < s.n; i++) {
		if (s.kind[i] != CONF_UDP)
			continue;
		udp++;
		assert_int_equal(getsockopt(s.fd[i][0], SOL_SOCKET, SO_TYPE,
		    &v, &len), 0);
		assert_int_equal(v, SOCK_DGRAM);
		assert_true(fcntl(s.fd[i][0], F_GETFL) & O_NONBLOCK);
		assert_false(steerable(s.fd[i][0]));
		assert_int_equal(getsockopt(s.fd[i][0], SOL_SOCKET,
		    SO_REUSEADDR, &v, &len), 0);
		assert_int_equal(v, 0);
	}
	assert_int_equal(udp, s.n - 1);
	listen_print(l, true, text, sizeof(text));
	assert_memory_equal(text, stun, strlen(stun));
	fd = socket(AF_INET, SOCK_DGRAM, 0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on,
	    sizeof(on)), 0);
	sin.sin_port = htons((uint16_t)port);
	assert_int_equal(bind(fd, (struct sockaddr *)&sin, sizeof(sin)), -1);
	/* The same again is the same socket; another address is another. */
	assert_true(listen_stage(l, a, false, why, sizeof(why)));
	listen_commit(l);
	assert_int_equal(look(l, LISTEN_ADDED).n, 0);
	snprintf(stun, sizeof(stun), "127.0.0.1:%u", spare_port());
	b = with_stun(port, stun);
	assert_true(listen_stage(l, b, false, why, sizeof(why)));
	listen_commit(l);
	t = look(l, LISTEN_ADDED);
	assert_int_equal(t.n, 1);
	assert_string_equal(t.text[0], stun);
	assert_int_equal(look(l, LISTEN_REMOVED).n, udp);
	/* Taken: said with its place, and nothing has changed. */
	assert_int_equal(bind(fd, (struct sockaddr *)&sin, sizeof(sin)), 0);
	assert_false(listen_stage(l, a, false, why, sizeof(why)));
	snprintf(text, sizeof(text), "c:3: cannot listen on UDP 0.0.0.0:%u: %s",
	    port, strerror(EADDRINUSE));
	assert_string_equal(why, text);
	assert_int_equal(look(l, LISTEN_NOW).n, 2);
	close(fd);
	conf_free(a);
	conf_free(b);
	listen_free(l);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_slots),
		cmocka_unit_test(test_reload),
		cmocka_unit_test(test_taken),
		cmocka_unit_test(test_wildcard),
		cmocka_unit_test(test_kind),
		cmocka_unit_test(test_udp)
	};

	quiet_log();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
