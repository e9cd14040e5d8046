#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/compat/compat.h"
#include "common/log.h"
#include "common/str.h"
#include "master/fetchdir.h"
#include "master/path.h"
#include "master/util.h"

#define FILE_MAX	(4 << 20)	/* it takes no more */

enum { RESOLV, HOSTS, CA, NFILES };

/* What was read; p NULL: nothing. */
struct text {
	char		*p;
	size_t		 n;
};

struct set {
	struct text	 text[NFILES];
	bool		 wanted;
};

struct fetchdir {
	char		*dir;
	struct fetchdir_from from;
	struct set	 now;
	struct set	 next;
};

static const char *const names[NFILES] = {
	"etc/resolv.conf", "etc/hosts", "etc/ssl/cert.pem"
};
static const char *const folders[] = { "", "etc", "etc/ssl" };

static const char *const bundles[] = {
	"/etc/ssl/certs/ca-certificates.crt",		/* Debian, Arch */
	"/etc/pki/tls/certs/ca-bundle.crt",		/* Fedora */
	"/etc/ssl/ca-bundle.pem",			/* openSUSE */
	"/etc/ssl/cert.pem",				/* OpenBSD, Alpine */
	NULL
};
static const struct fetchdir_from system_from = {
	"/etc/resolv.conf", "/etc/hosts", bundles
};

struct fetchdir *
fetchdir_new(const char *dir, const struct fetchdir_from *from)
{
	struct fetchdir *f;

	f = xcalloc(1, sizeof(*f));
	f->dir = xstrdup(dir);
	f->from = from == NULL ? system_from : *from;
	return f;
}

static void
set_clear(struct set *s)
{
	size_t i;

	for (i = 0; i < NFILES; i++)
		free(s->text[i].p);
	memset(s, 0, sizeof(*s));
}

void
fetchdir_free(struct fetchdir *f)
{
	if (f == NULL)
		return;
	set_clear(&f->now);
	set_clear(&f->next);
	free(f->dir);
	free(f);
}

const char *
fetchdir_path(const struct fetchdir *f)
{
	return f->dir;
}

/* All of an open file, which is closed; false with errno. */
static bool
slurp(struct text *t, int fd)
{
	ssize_t got = 1;
	int e = 0;

	t->p = xmalloc(FILE_MAX + 1);
	t->n = 0;
	while (got > 0 && t->n <= FILE_MAX) {
		got = read(fd, t->p + t->n, FILE_MAX + 1 - t->n);
		if (got > 0)
			t->n += (size_t)got;
	}
	if (got == -1)
		e = errno;
	else if (t->n > FILE_MAX)
		e = EFBIG;
	(void)close(fd);
	if (e == 0) {
		t->p = xrealloc(t->p, t->n + 1, 1);
		return true;
	}
	free(t->p);
	t->p = NULL;
	errno = e;
	return false;
}

/*
 * One of the system's.  It may be another user's (systemd-resolved's), who
 * must not be able to have us copy what he cannot read himself.
 */
static void
read_system(struct text *t, const char *path)
{
	struct stat st;
	int fd;

	fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (fd == -1)
		log_warn("%s", path);
	else if (fstat(fd, &st) == -1 || !S_ISREG(st.st_mode) ||
	    (st.st_mode & S_IROTH) == 0) {
		log_warnx("%s: not a file that everybody may read", path);
		(void)close(fd);
	} else if (!slurp(t, fd))
		log_warn("%s", path);
}

static bool
read_ca(struct fetchdir *f, const struct conf *conf, char *why, size_t whylen)
{
	struct text *t = &f->next.text[CA];
	const char *const *b;
	char at[300], text[400];
	int fd = -1;

	if (conf->fetch.ca != NULL) {
		fd = path_open(conf->fetch.ca, PATH_PLAIN, NULL, text,
		    sizeof(text));
		if (fd != -1 && slurp(t, fd))
			return true;
		if (fd != -1)
			(void)snprintf(text, sizeof(text), "%s: %s",
			    conf->fetch.ca, strerror(errno));
		conf_where(conf, "fetch[0]|ca_file", at, sizeof(at));
		(void)snprintf(why, whylen, "%s: %s", at, text);
		return false;
	}
	for (b = f->from.bundles; *b != NULL && t->p == NULL; b++)
		if ((fd = path_open(*b, PATH_PLAIN, NULL, text,
		    sizeof(text))) != -1 && !slurp(t, fd))
			log_warn("%s", *b);
	if (t->p != NULL)
		return true;
	conf_where(conf, "fetch[0]|ca_file", at, sizeof(at));
	(void)snprintf(why, whylen, "%s: this system has no bundle of CA "
	    "certificates: install ca-certificates, or name one in section "
	    "fetch", at);
	return conf_out(conf) == CONF_OUT_MAY;
}

static bool
write_file(const char *dir, const char *name, const struct text *t,
    char *why, size_t whylen)
{
	char *path = path_join(dir, name), tmp[600];
	size_t at = 0;
	ssize_t put = 1;
	bool ok;
	int fd;

	(void)snprintf(tmp, sizeof(tmp), "%s.new", path);
	(void)unlink(tmp);
	fd = open(tmp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
	    0644);
	while (fd != -1 && at < t->n && put > 0)
		if ((put = write(fd, t->p + at, t->n - at)) > 0)
			at += (size_t)put;
	/* The umask may have taken bits. */
	ok = fd != -1 && put != -1 && fchmod(fd, 0644) == 0 &&
	    rename(tmp, path) == 0;
	if (!ok) {
		(void)snprintf(why, whylen, "%s: %s", path, strerror(errno));
		(void)unlink(tmp);
	}
	if (fd != -1)
		(void)close(fd);
	free(path);
	return ok;
}

static bool
make_folder(const char *path, char *why, size_t whylen)
{
	char *real;

	if (mkdir(path, 0755) == 0 ? chmod(path, 0755) == -1 :
	    errno != EEXIST) {
		(void)snprintf(why, whylen, "%s: %s", path, strerror(errno));
		return false;
	}
	real = path_check(path, PATH_DIR, NULL, why, whylen);
	free(real);
	return real != NULL;
}

static char *
below(const struct fetchdir *f, const char *name)
{
	return name[0] == '\0' ? xstrdup(f->dir) : path_join(f->dir, name);
}

/* What could not be read is there, and empty. */
static bool
write_set(const struct fetchdir *f, const struct set *s, char *why,
    size_t whylen)
{
	char *path;
	size_t i;
	bool ok = true;

	for (i = 0; i < NITEMS(folders) && ok; i++) {
		path = below(f, folders[i]);
		ok = make_folder(path, why, whylen);
		free(path);
	}
	for (i = 0; i < NFILES && ok; i++)
		ok = write_file(f->dir, names[i], &s->text[i], why, whylen);
	return ok;
}

bool
fetchdir_stage(struct fetchdir *f, const struct conf *conf, char *why,
    size_t whylen)
{
	set_clear(&f->next);
	if (conf_out(conf) == CONF_OUT_NONE)
		return true;
	if (!read_ca(f, conf, why, whylen)) {
		set_clear(&f->next);
		return false;
	}
	if (f->next.text[CA].p == NULL) {
		log_info("%s; relays are not asked how they are", why);
		return true;
	}
	f->next.wanted = true;
	read_system(&f->next.text[RESOLV], f->from.resolv);
	read_system(&f->next.text[HOSTS], f->from.hosts);
	if (write_set(f, &f->next, why, whylen))
		return true;
	fetchdir_discard(f);
	return false;
}

void
fetchdir_commit(struct fetchdir *f)
{
	set_clear(&f->now);
	f->now = f->next;
	memset(&f->next, 0, sizeof(f->next));
}

void
fetchdir_discard(struct fetchdir *f)
{
	char why[600];
	bool wrote = f->next.wanted;

	set_clear(&f->next);
	if (wrote && f->now.wanted &&
	    !write_set(f, &f->now, why, sizeof(why)))
		log_warnx("%s", why);
}

bool
fetchdir_ready(const struct fetchdir *f, bool staged)
{
	return staged ? f->next.wanted : f->now.wanted;
}

void
fetchdir_remove(const struct fetchdir *f)
{
	char *path;
	size_t i;

	for (i = 0; i < NFILES; i++) {
		path = below(f, names[i]);
		(void)unlink(path);
		free(path);
	}
	for (i = NITEMS(folders); i > 0; i--) {
		path = below(f, folders[i - 1]);
		(void)rmdir(path);
		free(path);
	}
}
