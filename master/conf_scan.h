/*
 * First pass over a configuration: words, strings, comments, braces, macros
 * and includes.  It is stricter than libconfuse, finds what libconfuse lets
 * pass (an unclosed section, a key or a section given twice, an environment
 * variable), remembers where everything stands, and writes the whole again
 * in one plain form that libconfuse reads in one way only: one item a line.
 */

#ifndef MASTER_CONF_SCAN_H
#define MASTER_CONF_SCAN_H

#include <stdbool.h>
#include <stddef.h>

#define SCAN_ITEMS_MAX	4096
#define SCAN_VALUE_MAX	1024	/* octets of a value or title */
#define SCAN_DEPTH_MAX	8	/* sections in sections; also includes */

enum scan_kind {
	SCAN_SCALAR,		/* name = value */
	SCAN_LIST,		/* name = { value, ... } */
	SCAN_SECTION,		/* name { or name "title" { */
	SCAN_CLOSE		/* } */
};

struct scan_item {
	enum scan_kind	 kind;
	/*
	 * Where it belongs, sections numbered within what holds them:
	 * "workers", "dns[0]", "listen[1]|port", "dns[0]|split[0]|nameservers".
	 */
	char		*path;
	const char	*name;		/* last part of path, no number */
	size_t		 name_len;
	char		*value;		/* of a scalar; a section's title */
	long		 parent;	/* the section it is in, or -1 */
	unsigned int	 file;
	unsigned int	 line;
};

/* -D name=value. */
struct scan_macro {
	char		*name;
	char		*value;
};

struct scan_env {
	const struct scan_macro	*macros;
	size_t			 nmacros;
	/*
	 * Reads an included file: a text that the scan frees, its length in
	 * *n and in *full the name under which it is known from now on (freed
	 * too).  from: the file that names it.  NULL with the reason in why.
	 * May be NULL: nothing can be included.
	 */
	char		*(*read)(const char *name, const char *from,
			    char **full, size_t *n, char *why, size_t whylen,
			    void *arg);
	void		*arg;
};

struct scan;

/*
 * Scans n octets of a file called name.  NULL with "name:line: message" in why
 * if anything is wrong.
 */
struct scan	*scan_new(const char *name, const char *, size_t n,
		    const struct scan_env *, char *why, size_t whylen);
/* NULL is fine. */
void		 scan_free(struct scan *);
/* The plain form; line k (from 1) is item k - 1. */
const char	*scan_text(const struct scan *);
size_t		 scan_count(const struct scan *);
const struct scan_item *scan_at(const struct scan *, size_t);
/* The item of this path (never a SCAN_CLOSE), or NULL. */
const struct scan_item *scan_find(const struct scan *, const char *path);
/* The name of an item's file. */
const char	*scan_file(const struct scan *, const struct scan_item *);
/*
 * "file:line" of the path; if it is not given, of the section that it would
 * be in; else the first line of the file.
 */
void		 scan_where(const struct scan *, const char *path, char *dst,
		    size_t);

/* A macro's name: letters, digits, underscores; no digit first. */
bool		 scan_name_ok(const char *, size_t);

#endif
