#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/compat/compat.h"
#include "common/str.h"
#include "master/path.h"

#define LINKS_MAX	32

struct walk {
	const char	*path;		/* as it was given */
	char		 done[PATH_MAX];	/* checked: no link, no dots */
	char		 todo[PATH_MAX];
	unsigned int	 links;
	bool		 missing;
	char		*why;
	size_t		 whylen;
};

char *
path_join(const char *dir, const char *name)
{
	size_t n = strlen(dir) + strlen(name) + 2;
	char *p;

	if (name[0] == '/')
		return xstrdup(name);
	p = xmalloc(n);
	(void)snprintf(p, n, "%s%s%s", dir, strcmp(dir, "/") == 0 ? "" : "/",
	    name);
	return p;
}

static bool __attribute__((__format__(printf, 2, 3)))
refuse(struct walk *w, const char *fmt, ...)
{
	char text[256];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	(void)snprintf(w->why, w->whylen, "%s: %s", w->path, text);
	return false;
}

static bool
owner_ok(struct walk *w, const struct stat *st)
{
	if (st->st_uid == 0 || st->st_uid == geteuid())
		return true;
	return refuse(w, "not safe: %s is owned by uid %lu",
	    w->done[0] == '\0' ? "/" : w->done, (unsigned long)st->st_uid);
}

static bool
mode_ok(struct walk *w, const struct stat *st, bool last, enum path_kind kind)
{
	bool sticky;

	if (S_ISLNK(st->st_mode))
		return true;
	sticky = S_ISDIR(st->st_mode) && (st->st_mode & S_ISVTX) != 0 &&
	    st->st_uid == 0 && !(last && kind == PATH_DIR);
	if ((st->st_mode & (S_IWGRP | S_IWOTH)) != 0 && !sticky)
		return refuse(w, "not safe: %s is writable by %s",
		    w->done[0] == '\0' ? "/" : w->done,
		    (st->st_mode & S_IWOTH) != 0 ? "everybody" : "its group");
	if (!last)
		return true;
	if (kind == PATH_DIR && !S_ISDIR(st->st_mode))
		return refuse(w, "not a directory");
	if (kind != PATH_DIR && !S_ISREG(st->st_mode))
		return refuse(w, "not a regular file");
	if (kind == PATH_SECRET && (st->st_mode & 077) != 0)
		return refuse(w, "not safe: a secret must have mode 0600, "
		    "not %04o", (unsigned int)st->st_mode & 07777);
	if (kind == PATH_PROGRAM && (st->st_mode & 0111) == 0)
		return refuse(w, "not executable");
	return true;
}

/* Takes the next component off todo; false if there is none. */
static bool
component(struct walk *w, char name[NAME_MAX + 1], bool *last)
{
	size_t skip, n;

	skip = strspn(w->todo, "/");
	n = strcspn(w->todo + skip, "/");
	if (n == 0)
		return false;
	if (n > NAME_MAX)
		n = NAME_MAX;
	memcpy(name, w->todo + skip, n);
	name[n] = '\0';
	skip += n;
	skip += strspn(w->todo + skip, "/");
	memmove(w->todo, w->todo + skip, strlen(w->todo + skip) + 1);
	*last = w->todo[0] == '\0';
	return true;
}

/* done is a link: what it names comes first now. */
static bool
follow(struct walk *w, bool last)
{
	char target[PATH_MAX], rest[PATH_MAX];
	ssize_t n;

	if (w->links++ == LINKS_MAX)
		return refuse(w, "too many symbolic links");
	n = readlink(w->done, target, sizeof(target) - 1);
	if (n == -1)
		return refuse(w, "%s: %s", w->done, strerror(errno));
	target[n] = '\0';
	if (target[0] == '/')
		w->done[0] = '\0';
	else
		*strrchr(w->done, '/') = '\0';
	(void)strlcpy(rest, w->todo, sizeof(rest));
	n = snprintf(w->todo, sizeof(w->todo), "%s%s%s", target,
	    last ? "" : "/", rest);
	if (n < 0 || (size_t)n >= sizeof(w->todo))
		return refuse(w, "%s", strerror(ENAMETOOLONG));
	return true;
}

static bool
step(struct walk *w, const char *name, bool last, enum path_kind kind)
{
	struct stat st;
	char *slash;

	if (strcmp(name, ".") == 0)
		return true;
	if (strcmp(name, "..") == 0) {
		if ((slash = strrchr(w->done, '/')) != NULL)
			*slash = '\0';
		return true;
	}
	if (strlcat(w->done, "/", sizeof(w->done)) >= sizeof(w->done) ||
	    strlcat(w->done, name, sizeof(w->done)) >= sizeof(w->done))
		return refuse(w, "%s", strerror(ENAMETOOLONG));
	if (lstat(w->done, &st) == -1) {
		w->missing = errno == ENOENT;
		if (last)
			return refuse(w, "%s", strerror(errno));
		return refuse(w, "%s: %s", w->done, strerror(errno));
	}
	if (!owner_ok(w, &st) || !mode_ok(w, &st, last, kind))
		return false;
	if (S_ISLNK(st.st_mode))
		return follow(w, last);
	if (!last && !S_ISDIR(st.st_mode))
		return refuse(w, "%s is not a directory", w->done);
	return true;
}

char *
path_check(const char *path, enum path_kind kind, bool *missing, char *why,
    size_t whylen)
{
	struct walk *w;
	struct stat st;
	char name[NAME_MAX + 1], *real = NULL;
	bool last, ok = true;

	w = xcalloc(1, sizeof(*w));
	w->path = path;
	w->why = why;
	w->whylen = whylen;
	if (path[0] != '/' && getcwd(w->todo, sizeof(w->todo)) == NULL)
		ok = refuse(w, "%s", strerror(errno));
	if (path[0] != '/')
		(void)strlcat(w->todo, "/", sizeof(w->todo));
	if (strlcat(w->todo, path, sizeof(w->todo)) >= sizeof(w->todo))
		ok = refuse(w, "%s", strerror(ENAMETOOLONG));
	if (ok && lstat("/", &st) == 0)
		ok = owner_ok(w, &st) && mode_ok(w, &st, false, kind);
	while (ok && component(w, name, &last))
		ok = step(w, name, last, kind);
	if (ok && w->done[0] == '\0')
		(void)strlcpy(w->done, "/", sizeof(w->done));
	/* The last step may have been a dot: look at the end once more. */
	if (ok)
		ok = lstat(w->done, &st) == 0 ?
		    owner_ok(w, &st) && mode_ok(w, &st, true, kind) :
		    refuse(w, "%s", strerror(errno));
	if (ok)
		real = xstrdup(w->done);
	if (missing != NULL)
		*missing = !ok && w->missing;
	free(w);
	return real;
}

int
path_open(const char *path, enum path_kind kind, char **real, char *why,
    size_t whylen)
{
	struct stat st;
	char *p;
	int fd;

	if ((p = path_check(path, kind, NULL, why, whylen)) == NULL)
		return -1;
	fd = open(p, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd == -1)
		(void)snprintf(why, whylen, "%s: %s", path, strerror(errno));
	else if (fstat(fd, &st) == -1 || !(S_ISREG(st.st_mode) ||
	    (kind == PATH_DIR && S_ISDIR(st.st_mode)))) {
		(void)snprintf(why, whylen, "%s: not a regular file", path);
		close(fd);
		fd = -1;
	}
	if (fd != -1 && real != NULL)
		*real = p;
	else
		free(p);
	return fd;
}

bool
path_parent_ok(const char *path, char *why, size_t whylen)
{
	const char *slash = strrchr(path, '/');
	char *dir, *real;

	if (slash == NULL)
		dir = xstrdup(".");
	else if (slash == path)
		dir = xstrdup("/");
	else
		dir = slice_dup(slice_mem(path, (size_t)(slash - path)));
	real = path_check(dir, PATH_DIR, NULL, why, whylen);
	free(dir);
	free(real);
	return real != NULL;
}
