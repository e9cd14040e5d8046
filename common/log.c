#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "common/compat/compat.h"
#include "common/enc.h"
#include "common/log.h"

#define LINE_MAX_LEN	1024
#define VIS_IN		200
#define VIS_OUT		(4 * VIS_IN + 4)
#define NTURN		8

static struct {
	const char	*name;
	int		 fd;
	pid_t		 pid;		/* 0: ask each time */
	bool		 to_syslog;
	int		 verbose;
	unsigned int	 lost;
	void		(*capture)(int, const char *, void *);
	void		*capture_arg;
} lg = { "headscaled", STDERR_FILENO, 0, false, 0, 0, NULL, NULL };

void
log_init(const char *name, int fd, bool to_syslog, int verbose)
{
	lg.name = name;
	lg.fd = fd;
	lg.to_syslog = to_syslog;
	lg.verbose = verbose;
	if (to_syslog)		/* in local time: its files can be opened now */
		tzset();
}

void
log_keep_pid(void)
{
	lg.pid = getpid();
}

void
log_move(int fd)
{
	if (!lg.to_syslog) {
		(void)close(fd);
		return;
	}
	/* That one stays taken: no other descriptor should become it. */
	if (lg.fd != STDERR_FILENO)
		(void)close(lg.fd);
	lg.fd = fd;
}

void
log_verbose(int v)
{
	lg.verbose = v;
}

int
log_is_verbose(void)
{
	return lg.verbose;
}

void
log_capture(void (*f)(int, const char *, void *), void *arg)
{
	lg.capture = f;
	lg.capture_arg = arg;
}

/* A line is one line, whatever came into it. */
static void
flatten(char *s)
{
	for (; *s != '\0'; s++)
		if ((unsigned char)*s < ' ' || *s == 0x7f)
			*s = '?';
}

static bool
put(int level, const char *text)
{
	char stamp[32], line[LINE_MAX_LEN + 160];
	struct tm tm;
	time_t now;
	long pid;
	int n;

	now = time(NULL);
	pid = (long)(lg.pid != 0 ? lg.pid : getpid());
	if (lg.to_syslog) {
		if (localtime_r(&now, &tm) == NULL ||
		    strftime(stamp, sizeof(stamp), "%b %e %T", &tm) == 0)
			stamp[0] = '\0';
		n = snprintf(line, sizeof(line), "<%d>%s %s[%ld]: %s",
		    LOG_DAEMON | level, stamp, lg.name, pid, text);
	} else {
		if (gmtime_r(&now, &tm) == NULL ||
		    strftime(stamp, sizeof(stamp), "%FT%TZ", &tm) == 0)
			stamp[0] = '\0';
		n = snprintf(line, sizeof(line), "%s %s[%ld]: %s\n", stamp,
		    lg.name, pid, text);
	}
	if (n < 0)
		return false;
	if ((size_t)n >= sizeof(line))
		n = (int)sizeof(line) - 1;
	return write(lg.fd, line, (size_t)n) == n;
}

static void
emit(int level, const char *text)
{
	char lost[64];

	if (lg.capture != NULL) {
		lg.capture(level, text, lg.capture_arg);
		return;
	}
	if (lg.lost != 0) {
		(void)snprintf(lost, sizeof(lost), "log lines lost count=%u",
		    lg.lost);
		if (!put(LOG_WARNING, lost)) {
			lg.lost++;
			return;
		}
		lg.lost = 0;
	}
	if (!put(level, text))
		lg.lost++;
}

static void __attribute__((__format__(printf, 3, 0)))
vlog(int level, int err, const char *fmt, va_list ap)
{
	char text[LINE_MAX_LEN];
	size_t n;

	if (vsnprintf(text, sizeof(text), fmt, ap) < 0)
		return;
	n = strlen(text);
	if (err != 0)
		(void)snprintf(text + n, sizeof(text) - n, ": %s",
		    strerror(err));
	flatten(text);
	emit(level, text);
}

void
log_warnx(const char *fmt, ...)
{
	va_list ap;
	int saved = errno;

	va_start(ap, fmt);
	vlog(LOG_ERR, 0, fmt, ap);
	va_end(ap);
	errno = saved;
}

void
log_warn(const char *fmt, ...)
{
	va_list ap;
	int saved = errno;

	va_start(ap, fmt);
	vlog(LOG_ERR, saved, fmt, ap);
	va_end(ap);
	errno = saved;
}

void
log_info(const char *fmt, ...)
{
	va_list ap;
	int saved = errno;

	va_start(ap, fmt);
	vlog(LOG_INFO, 0, fmt, ap);
	va_end(ap);
	errno = saved;
}

void
log_debug(const char *fmt, ...)
{
	va_list ap;
	int saved = errno;

	if (lg.verbose == 0)
		return;
	va_start(ap, fmt);
	vlog(LOG_DEBUG, 0, fmt, ap);
	va_end(ap);
	errno = saved;
}

void
fatal(const char *fmt, ...)
{
	va_list ap;
	int saved = errno;

	va_start(ap, fmt);
	vlog(LOG_CRIT, saved, fmt, ap);
	va_end(ap);
	exit(1);
}

void
fatalx(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vlog(LOG_CRIT, 0, fmt, ap);
	va_end(ap);
	exit(1);
}

const char *
log_vis(struct slice s)
{
	static char turn[NTURN][VIS_OUT];
	static unsigned int next;
	char *out;

	out = turn[next++ % NTURN];
	if (s.n == 0) {
		out[0] = '\0';
		return out;
	}
	(void)strvisx(out, s.p, s.n > VIS_IN ? VIS_IN : s.n,
	    VIS_OCTAL | VIS_CSTYLE | VIS_NL | VIS_TAB | VIS_DQ);
	return out;
}

const char *
log_key(const uint8_t key[32])
{
	static char turn[NTURN][8];
	static unsigned int next;
	char text[B64_LEN(32) + 1], *out;

	out = turn[next++ % NTURN];
	b64_enc(text, key, 32);
	(void)snprintf(out, sizeof(turn[0]), "[%.5s]", text);
	return out;
}
