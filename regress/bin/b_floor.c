/*
 * What the kernel takes for an update at least: two processes, as two workers
 * do, write a record to each of their connections on loopback, one write(2)
 * each and nothing else, and a third one reads them.  Prints the writers' CPU
 * time for a round, in milliseconds.
 *
 *	b_floor [connections [octets [rounds [pause between them in ms]]]]
 */

#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <err.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define WRITERS		2
#define CONNS_MAX	8192
#define OCTETS_MAX	4096

struct writer {
	pid_t	 pid;
	int	 order;			/* an octet: write */
	int	 told;			/* a long long: ns of a round */
};

static unsigned long
number(int argc, char **argv, int i, unsigned long else_is, unsigned long max)
{
	unsigned long n = else_is;

	if (i < argc)
		n = strtoul(argv[i], NULL, 10);
	if (n == 0 || n > max)
		errx(2, "usage: b_floor [connections [octets [rounds "
		    "[pause in ms]]]]");
	return n;
}

static long long
cpu_ns(void)
{
	struct rusage ru;

	if (getrusage(RUSAGE_SELF, &ru) == -1)
		err(1, "getrusage");
	return (ru.ru_utime.tv_sec + ru.ru_stime.tv_sec) * 1000000000LL +
	    (ru.ru_utime.tv_usec + ru.ru_stime.tv_usec) * 1000LL;
}

/* A connection: fd[0] is written to, fd[1] read from. */
static void
dial(int lfd, int fd[2])
{
	struct sockaddr_in sin;
	socklen_t len = sizeof(sin);
	int on = 1;

	if (getsockname(lfd, (struct sockaddr *)&sin, &len) == -1 ||
	    (fd[1] = socket(AF_INET, SOCK_STREAM, 0)) == -1 ||
	    connect(fd[1], (struct sockaddr *)&sin, len) == -1 ||
	    (fd[0] = accept(lfd, NULL, NULL)) == -1 ||
	    setsockopt(fd[0], IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) == -1)
		err(1, "a connection");
}

static void
write_all(const int *fd, size_t n, size_t octets)
{
	static const char text[OCTETS_MAX];
	size_t i;

	for (i = 0; i < n; i++)
		if (write(fd[i], text, octets) != (ssize_t)octets)
			err(1, "write");
}

/* Until its orders end; how it sleeps and wakes is part of what it costs. */
static void
writer_run(const int *fd, size_t n, size_t octets, int order, int told)
{
	long long before = cpu_ns(), now;
	char c;

	while (read(order, &c, 1) == 1) {
		write_all(fd, n, octets);
		now = cpu_ns();
		before = now - before;
		if (write(told, &before, sizeof(before)) == -1)
			err(1, "write");
		before = now;
	}
	_exit(0);
}

static void
writer_start(struct writer *w, const int *fd, size_t n, size_t octets)
{
	int order[2], told[2];

	if (pipe(order) == -1 || pipe(told) == -1)
		err(1, "pipe");
	if ((w->pid = fork()) == -1)
		err(1, "fork");
	if (w->pid == 0) {
		close(order[1]);
		writer_run(fd, n, octets, order[0], told[1]);
	}
	close(order[0]);
	close(told[1]);
	w->order = order[1];
	w->told = told[0];
}

static void
read_all(int ep, size_t octets)
{
	static char text[65536];
	struct epoll_event got[64];
	int i, n;
	ssize_t len;

	while (octets > 0) {
		if ((n = epoll_wait(ep, got, 64, 10000)) <= 0)
			errx(1, "what was written does not come");
		for (i = 0; i < n; i++) {
			len = read(got[i].data.fd, text, sizeof(text));
			if (len <= 0 || (size_t)len > octets)
				errx(1, "something else came");
			octets -= (size_t)len;
		}
	}
}

/* The writers' CPU time, ns. */
static long long
round_run(struct writer *w, int ep, size_t octets)
{
	long long sum = 0, one;
	int i;

	for (i = 0; i < WRITERS; i++)
		if (write(w[i].order, "w", 1) != 1)
			err(1, "write");
	read_all(ep, octets);
	for (i = 0; i < WRITERS; i++) {
		if (read(w[i].told, &one, sizeof(one)) != sizeof(one))
			errx(1, "a writer ended");
		sum += one;
	}
	return sum;
}

static int
open_all(int *to, size_t conns)
{
	struct epoll_event want = { .events = EPOLLIN };
	struct sockaddr_in sin = { .sin_family = AF_INET };
	struct rlimit rl;
	size_t i;
	int ep, lfd, fd[2];

	if (getrlimit(RLIMIT_NOFILE, &rl) == 0) {
		rl.rlim_cur = rl.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &rl);
	}
	sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if ((lfd = socket(AF_INET, SOCK_STREAM, 0)) == -1 ||
	    bind(lfd, (struct sockaddr *)&sin, sizeof(sin)) == -1 ||
	    listen(lfd, 16) == -1 || (ep = epoll_create1(0)) == -1)
		err(1, "a listener");
	for (i = 0; i < conns; i++) {
		dial(lfd, fd);
		to[i] = fd[0];
		want.data.fd = fd[1];
		if (epoll_ctl(ep, EPOLL_CTL_ADD, fd[1], &want) == -1)
			err(1, "epoll_ctl");
	}
	return ep;
}

int
main(int argc, char **argv)
{
	static int to[CONNS_MAX];
	struct writer w[WRITERS];
	size_t conns, octets, rounds, i, half;
	unsigned long pause;
	long long sum = 0;
	int ep;

	conns = number(argc, argv, 1, 1000, CONNS_MAX);
	octets = number(argc, argv, 2, 250, OCTETS_MAX);
	rounds = number(argc, argv, 3, 20, 1000);
	pause = number(argc, argv, 4, 600, 10000);
	ep = open_all(to, conns);
	half = conns / WRITERS;
	writer_start(&w[0], to, half, octets);
	writer_start(&w[1], to + half, conns - half, octets);
	(void)round_run(w, ep, conns * octets);
	for (i = 0; i < rounds; i++) {
		(void)usleep((useconds_t)(pause * 1000));
		sum += round_run(w, ep, conns * octets);
	}
	printf("%.2f\n", (double)sum / (double)rounds / 1e6);
	/* The second one holds the first one's pipe, too. */
	for (i = 0; i < WRITERS; i++)
		close(w[i].order);
	for (i = 0; i < WRITERS; i++)
		(void)waitpid(w[i].pid, NULL, 0);
	return 0;
}
