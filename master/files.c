#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/compat/compat.h"
#include "common/enc.h"
#include "common/log.h"
#include "common/memfd.h"
#include "common/str.h"
#include "master/files.h"
#include "master/path.h"

#define SECRET_MAX	65536
#define KINDS	3
#define COPY_MAX	(4 << 20)	/* a worker takes no more */

/* One version of a file, as it was when it was opened. */
struct version {
	int		 fd;		/* -1: none; a sealed copy */
	dev_t		 dev;
	ino_t		 ino;
	off_t		 size;
	struct timespec	 mtime;
};

struct watched {
	char		*path;		/* NULL: none is configured */
	struct version	 now;
	struct version	 before;	/* what now took the place of */
	struct version	 good;		/* as of the last commit */
	bool		 complained;
	char		*next_path;
	struct version	 next;
};

struct files {
	struct watched	 w[KINDS];
};

static const char *const keys[KINDS] = {
	"derp[0]|map_file", "dns[0]|extra_records_file", "policy[0]|path"
};

static size_t
slot_of(enum file_kind kind)
{
	if (kind == FILE_POLICY)
		return 2;
	return kind == FILE_DERP_MAP ? 0 : 1;
}

static void
version_close(struct version *v)
{
	if (v->fd != -1)
		(void)close(v->fd);
	v->fd = -1;
}

static bool
version_open(struct version *v, const char *path, char *why, size_t whylen)
{
	struct stat st;

	v->fd = path_open(path, PATH_PLAIN, NULL, why, whylen);
	if (v->fd == -1)
		return false;
	if (fstat(v->fd, &st) == -1) {
		(void)snprintf(why, whylen, "%s: %s", path, strerror(errno));
		version_close(v);
		return false;
	}
	v->dev = st.st_dev;
	v->ino = st.st_ino;
	v->size = st.st_size;
	v->mtime = st.st_mtim;
	return true;
}

/*
 * Takes a copy in its place: who edits a file in place changes what an open
 * descriptor reads, too.  False, and closed, if it cannot.
 */
static bool
version_keep(struct version *v, const char *path, char *why, size_t whylen)
{
	int fd = -1;

	if (v->size > COPY_MAX)
		(void)snprintf(why, whylen, "%s: has more than %d octets",
		    path, COPY_MAX);
	else if ((fd = memfd_copy("file", v->fd, (size_t)v->size)) == -1) {
		if (errno == ENOSYS)	/* the original must do */
			return true;
		(void)snprintf(why, whylen, "%s: cannot be copied: %s", path,
		    strerror(errno));
	}
	version_close(v);
	v->fd = fd;
	return fd != -1;
}

static bool
version_same(const struct version *a, const struct version *b)
{
	return a->dev == b->dev && a->ino == b->ino && a->size == b->size &&
	    a->mtime.tv_sec == b->mtime.tv_sec &&
	    a->mtime.tv_nsec == b->mtime.tv_nsec;
}

/* A second descriptor of the same open file. */
static int
version_dup(const struct version *v)
{
	int fd;

	if (v->fd == -1)
		return -1;
	if ((fd = fcntl(v->fd, F_DUPFD_CLOEXEC, 0)) == -1)
		log_warn("descriptor of a file");
	return fd;
}

struct files *
files_new(void)
{
	struct files *f;
	size_t i;

	f = xcalloc(1, sizeof(*f));
	for (i = 0; i < KINDS; i++)
		f->w[i].now.fd = f->w[i].before.fd = f->w[i].good.fd =
		    f->w[i].next.fd = -1;
	return f;
}

void
files_free(struct files *f)
{
	size_t i;

	if (f == NULL)
		return;
	files_discard(f);
	for (i = 0; i < KINDS; i++) {
		version_close(&f->w[i].now);
		version_close(&f->w[i].before);
		version_close(&f->w[i].good);
		free(f->w[i].path);
	}
	free(f);
}

bool
files_stage(struct files *f, const struct conf *conf, char *why, size_t whylen)
{
	const char *paths[KINDS] = {
		conf->files.derp_map, conf->files.records, conf->files.policy
	};
	char at[300], text[400];
	size_t i;

	files_discard(f);
	for (i = 0; i < KINDS; i++) {
		if (paths[i] == NULL)
			continue;
		if (!version_open(&f->w[i].next, paths[i], text,
		    sizeof(text)) || !version_keep(&f->w[i].next, paths[i],
		    text, sizeof(text))) {
			conf_where(conf, keys[i], at, sizeof(at));
			(void)snprintf(why, whylen, "%s: %s", at, text);
			files_discard(f);
			return false;
		}
		f->w[i].next_path = xstrdup(paths[i]);
	}
	return true;
}

void
files_commit(struct files *f)
{
	struct watched *w;
	size_t i;

	for (i = 0; i < KINDS; i++) {
		w = &f->w[i];
		version_close(&w->now);
		version_close(&w->before);
		version_close(&w->good);
		free(w->path);
		w->path = w->next_path;
		w->now = w->next;
		w->good = w->next;
		w->good.fd = version_dup(&w->next);
		w->next.fd = -1;
		w->next_path = NULL;
		w->complained = false;
	}
}

void
files_discard(struct files *f)
{
	size_t i;

	for (i = 0; i < KINDS; i++) {
		version_close(&f->w[i].next);
		free(f->w[i].next_path);
		f->w[i].next_path = NULL;
	}
}

int
files_get(const struct files *f, enum file_kind kind, bool staged,
    unsigned int tries)
{
	const struct watched *w = &f->w[slot_of(kind)];

	if (staged)
		return version_dup(&w->next);
	if (tries == 0)
		return version_dup(&w->now);
	if (w->before.fd != -1 && !version_same(&w->before, &w->good) &&
	    --tries == 0)
		return version_dup(&w->before);
	return tries == 1 ? version_dup(&w->good) : -1;
}

static void
complain(struct watched *w, const char *why)
{
	if (!w->complained)
		log_warnx("%s; the old one stays", why);
	w->complained = true;
}

bool
files_changed(struct files *f, enum file_kind kind)
{
	struct watched *w = &f->w[slot_of(kind)];
	struct version v;
	char why[400];

	if (w->path == NULL)
		return false;
	if (!version_open(&v, w->path, why, sizeof(why))) {
		complain(w, why);
		return false;
	}
	if (version_same(&v, &w->now)) {
		w->complained = false;
		version_close(&v);
		return false;
	}
	if (!version_keep(&v, w->path, why, sizeof(why))) {
		complain(w, why);
		return false;
	}
	w->complained = false;
	version_close(&w->before);
	w->before = w->now;
	w->now = v;
	return true;
}

int
files_copy(const char *path, char *why, size_t whylen)
{
	struct version v;

	if (!version_open(&v, path, why, whylen) ||
	    !version_keep(&v, path, why, whylen))
		return -1;
	return v.fd;
}

int
files_copy_secret(const char *path, char *why, size_t whylen)
{
	struct stat st;
	int fd, to;

	if ((fd = path_open(path, PATH_SECRET, NULL, why, whylen)) == -1)
		return -1;
	if (fstat(fd, &st) == -1)
		to = -1;
	else if (st.st_size > SECRET_MAX) {
		(void)snprintf(why, whylen, "%s: more than %d octets", path,
		    SECRET_MAX);
		(void)close(fd);
		return -1;
	} else if ((to = memfd_copy("file", fd, (size_t)st.st_size)) == -1 &&
	    errno == ENOSYS)
		return fd;
	if (to == -1)
		(void)snprintf(why, whylen, "%s: %s", path, strerror(errno));
	(void)close(fd);
	return to;
}

int
files_again(int fd)
{
	struct stat st;
	int to;

	if (fstat(fd, &st) == -1)
		return -1;
	if ((to = memfd_copy("file", fd, (size_t)st.st_size)) == -1 &&
	    errno == ENOSYS)
		to = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (to != -1)
		(void)lseek(to, 0, SEEK_SET);
	return to;
}

/* Keys. */

static char *
temporary(const char *path)
{
	size_t n = strlen(path) + 5;
	char *p;

	p = xmalloc(n);
	(void)snprintf(p, n, "%s.new", path);
	return p;
}

/* A key that was begun and never named has never been used. */
static int
create(const char *path, char *why, size_t whylen)
{
	char *tmp;
	int fd;

	if (!path_parent_ok(path, why, whylen))
		return -1;
	tmp = temporary(path);
	if (unlink(tmp) == -1 && errno != ENOENT) {
		(void)snprintf(why, whylen, "%s: %s", tmp, strerror(errno));
		free(tmp);
		return -1;
	}
	fd = open(tmp, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
	    0600);
	if (fd == -1)
		(void)snprintf(why, whylen, "%s: %s", tmp, strerror(errno));
	free(tmp);
	return fd;
}

int
key_open(const char *path, bool make, bool *made, char *why, size_t whylen)
{
	bool missing;
	char *real;
	int fd;

	*made = false;
	real = path_check(path, PATH_SECRET, &missing, why, whylen);
	if (real != NULL) {
		fd = path_open(real, PATH_SECRET, NULL, why, whylen);
		free(real);
		return fd;
	}
	if (!missing || !make)
		return -1;
	*made = true;
	return create(path, why, whylen);
}

static bool
sync_folder(const char *path)
{
	char *dir = xstrdup(path), *slash = strrchr(dir, '/');
	bool ok;
	int fd;

	if (slash != NULL)
		slash[slash == dir ? 1 : 0] = '\0';
	fd = open(slash == NULL ? "." : dir, O_RDONLY | O_DIRECTORY |
	    O_CLOEXEC);
	free(dir);
	if (fd == -1)
		return false;
	ok = fsync(fd) == 0;
	(void)close(fd);
	return ok;
}

bool
key_made(const char *path, char *why, size_t whylen)
{
	char *tmp = temporary(path);
	bool ok;

	/* link(2), unlike rename(2), cannot take the place of a key. */
	ok = link(tmp, path) == 0 && unlink(tmp) == 0 && sync_folder(path);
	if (!ok)
		(void)snprintf(why, whylen, "%s: %s", path, strerror(errno));
	free(tmp);
	return ok;
}

int
key_blank(void)
{
	char path[] = "/tmp/headscaled.XXXXXX";
	int fd;

	if ((fd = mkostemp(path, O_CLOEXEC)) != -1)
		(void)unlink(path);
	return fd;
}

int
key_nowhere(void)
{
	char text[80] = "privkey:";
	uint8_t key[32];
	size_t n;
	int fd;

	if ((fd = key_blank()) == -1)
		return -1;
	arc4random_buf(key, sizeof(key));
	hex_enc(text + strlen(text), key, sizeof(key));
	n = strlen(text);
	if (write(fd, text, n) == (ssize_t)n && lseek(fd, 0, SEEK_SET) == 0)
		return fd;
	(void)close(fd);
	return -1;
}

bool
key_check(const char *path, char *why, size_t whylen)
{
	bool missing;
	char *real;

	real = path_check(path, PATH_SECRET, &missing, why, whylen);
	free(real);
	/* A folder that is not there yet is made at the start. */
	return real != NULL || missing;
}
