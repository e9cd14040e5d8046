/*
 * Kills a process at the next write to a file: at dbd's write-ahead log that
 * is within a commit, or between it and the reply.
 *
 *	strike PID [FILE MS [US]]
 *
 * Without FILE at once.  Not later than MS after the start, and US after the
 * write.  Prints "write" or "late" and the time of the kill, seconds since
 * 1970.
 */

#include <sys/inotify.h>

#include <err.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <time.h>

#include "common/compat/compat.h"

#define NS_PER_US	1000
#define NS_PER_S	1000000000LL

static long long
now_ns(clockid_t clock)
{
	struct timespec t;

	(void)clock_gettime(clock, &t);
	return t.tv_sec * NS_PER_S + t.tv_nsec;
}

static long long
number(const char *s, const char *what, long long max)
{
	const char *why;
	long long v;

	v = strtonum(s, 0, max, &why);
	if (why != NULL)
		errx(2, "%s is %s: %s", what, why, s);
	return v;
}

/* True if somebody wrote in time. */
static bool
wait_write(const char *file, int ms)
{
	struct pollfd p;

	p.events = POLLIN;
	if ((p.fd = inotify_init1(0)) == -1 ||
	    inotify_add_watch(p.fd, file, IN_MODIFY) == -1)
		err(1, "%s", file);
	switch (poll(&p, 1, ms)) {
	case -1:
		err(1, "poll");
	case 0:
		return false;
	default:
		return true;
	}
}

int
main(int argc, char **argv)
{
	const char *said = "late";
	long long end;
	pid_t pid;

	if (argc != 2 && argc != 4 && argc != 5) {
		(void)fprintf(stderr, "usage: strike pid [file ms [us]]\n");
		return 2;
	}
	pid = (pid_t)number(argv[1], "pid", INT32_MAX);
	if (pid < 2)
		errx(2, "pid %d is not for us", pid);
	if (argc > 3 && wait_write(argv[2],
	    (int)number(argv[3], "ms", 60000))) {
		said = "write";
		end = now_ns(CLOCK_MONOTONIC) + NS_PER_US *
		    (argc > 4 ? number(argv[4], "us", 1000000) : 0);
		while (now_ns(CLOCK_MONOTONIC) < end)
			;
	}
	if (kill(pid, SIGKILL) == -1)
		err(1, "kill %d", pid);
	end = now_ns(CLOCK_REALTIME);
	(void)printf("%s %lld.%06lld\n", said, end / NS_PER_S,
	    end % NS_PER_S / NS_PER_US);
	return 0;
}
