#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/compat/compat.h"
#include "common/str.h"
#include "master/conf.h"
#include "master/conf_int.h"
#include "master/conf_schema.h"
#include "master/path.h"
#include "master/util.h"

#define FILE_MAX	(256 * 1024)
#define CORES_MAX	8

/*
 * Keys that other issues bring: to a reader of the manual of a later version
 * they are not mistakes.
 */
static const char *const later[] = {
	"database", "oidc", "api", "metrics", "listen|role", "listen|backlog",
	"dns|record", "derp|region", "derp|server|mesh_key_file", "log|format",
	"limits|register_per_minute"
};

/* Ends of key names, and beginnings of values, that are secrets. */
static const char *const secret_keys[] = {
	"secret", "password", "passwd", "token", "private_key", "auth_key",
	"api_key", "conninfo", "passphrase"
};
static const char *const secret_values[] = {
	"privkey:", "-----BEGIN", "tskey-", "hskey-"
};

/* libconfuse's error function gets no argument of ours. */
static struct {
	const struct scan	*scan;
	char			*why;
	size_t			 whylen;
	bool			 failed;
} reader;

static void
where(const struct scan *s, const struct scan_item *it, char *dst, size_t n)
{
	(void)snprintf(dst, n, "%s:%u", scan_file(s, it), it->line);
}

/* "dns|split" of "dns[0]|split[2]|". */
static void
plain_path(char *dst, size_t n, const char *path)
{
	size_t i = 0;
	bool in = false;

	for (; *path != '\0' && i + 1 < n; path++) {
		if (*path == '[')
			in = true;
		if (!in)
			dst[i++] = *path;
		if (*path == ']')
			in = false;
	}
	dst[i] = '\0';
}

static const cfg_opt_t *
option(const cfg_opt_t *opts, const char *name, size_t len)
{
	for (; opts != NULL && opts->name != NULL; opts++)
		if (strlen(opts->name) == len &&
		    memcmp(opts->name, name, len) == 0)
			return opts;
	return NULL;
}

/* The keys that may stand where the item stands. */
static const cfg_opt_t *
options_at(const struct scan *s, const cfg_opt_t *root, long section)
{
	const struct scan_item *it;
	const cfg_opt_t *up, *o;

	if (section == -1)
		return root;
	it = scan_at(s, (size_t)section);
	up = options_at(s, root, it->parent);
	o = option(up, it->name, it->name_len);
	return o == NULL ? NULL : o->subopts;
}

static void
unknown(const struct scan *s, const cfg_opt_t *root,
    const struct scan_item *it, char *why, size_t n)
{
	const struct scan_item *in;
	char at[300], path[256];
	size_t i;

	where(s, it, at, sizeof(at));
	plain_path(path, sizeof(path), it->path);
	for (i = 0; i < NITEMS(later); i++)
		if (strcmp(later[i], path) == 0) {
			(void)snprintf(why, n, "%s: %s %s is not built yet",
			    at, it->kind == SCAN_SECTION ? "section" : "key",
			    path);
			return;
		}
	if (it->parent == -1) {
		(void)snprintf(why, n, "%s: unknown %s %s", at,
		    it->kind == SCAN_SECTION ? "section" : "key", path);
		return;
	}
	in = scan_at(s, (size_t)it->parent);
	(void)snprintf(why, n, "%s: unknown %s %.*s in section %.*s%s", at,
	    it->kind == SCAN_SECTION ? "section" : "key",
	    (int)it->name_len, it->name, (int)in->name_len, in->name,
	    option(root, it->name, it->name_len) == NULL ? "" :
	    " (is that section closed?)");
}

/* Secrets are never in the configuration, and never in a message. */
static bool
secret(const struct scan *s, const struct scan_item *it, const char *line,
    size_t len, char *why, size_t n)
{
	char at[300];
	size_t i, k;
	bool found = false;

	for (i = 0; i < NITEMS(secret_keys); i++) {
		k = strlen(secret_keys[i]);
		if (it->kind != SCAN_SECTION && it->name_len >= k &&
		    strncasecmp(it->name + it->name_len - k, secret_keys[i],
		    k) == 0)
			found = true;
	}
	for (i = 0; i < NITEMS(secret_values); i++)
		if (memmem(line, len, secret_values[i],
		    strlen(secret_values[i])) != NULL)
			found = true;
	if (!found)
		return false;
	where(s, it, at, sizeof(at));
	(void)snprintf(why, n, "%s: %.*s: a secret does not belong here: put "
	    "it into a file of its own and name that", at, (int)it->name_len,
	    it->name);
	return true;
}

/* Everything that can be said of an item without its value's type. */
static bool
item_ok(const struct scan *s, const cfg_opt_t *root,
    const struct scan_item *it, char *why, size_t n)
{
	const cfg_opt_t *o;
	const char *is = NULL, *form = "= ...";
	char at[300];

	if (it->kind == SCAN_CLOSE)
		return true;
	o = option(options_at(s, root, it->parent), it->name, it->name_len);
	if (o == NULL) {
		unknown(s, root, it, why, n);
		return false;
	}
	if (o->type == CFGT_SEC) {
		form = "{ ... }";
		if (it->kind != SCAN_SECTION)
			is = "is a section";
		else if ((o->flags & CFGF_TITLE) == 0 && it->value != NULL)
			is = "has no name";
		else if ((o->flags & CFGF_TITLE) != 0 && it->value == NULL) {
			is = "wants a name";
			form = "\"name\" { ... }";
		}
	} else if (it->kind == SCAN_SECTION)
		is = "is not a section";
	else if ((o->flags & CFGF_LIST) != 0 && it->kind != SCAN_LIST) {
		is = "is a list";
		form = "= { ... }";
	} else if ((o->flags & CFGF_LIST) == 0 && it->kind == SCAN_LIST)
		is = "is one value, not a list";
	if (is == NULL)
		return true;
	where(s, it, at, sizeof(at));
	(void)snprintf(why, n, "%s: %.*s %s: write %.*s %s", at,
	    (int)it->name_len, it->name, is, (int)it->name_len, it->name,
	    form);
	return false;
}

static bool
items_ok(const struct scan *s, const cfg_opt_t *root, char *why, size_t n)
{
	const char *line = scan_text(s), *end;
	size_t i;

	for (i = 0; i < scan_count(s); i++, line = end + 1) {
		end = strchr(line, '\n');
		if (secret(s, scan_at(s, i), line, (size_t)(end - line), why,
		    n) || !item_ok(s, root, scan_at(s, i), why, n))
			return false;
	}
	return true;
}

static void __attribute__((__format__(printf, 2, 0)))
on_error(cfg_t *cfg, const char *fmt, va_list ap)
{
	const struct scan_item *it;
	char at[300] = "?", text[300];

	if (reader.failed)
		return;
	reader.failed = true;
	it = scan_at(reader.scan, cfg->line > 0 ? (size_t)cfg->line - 1 : 0);
	if (it != NULL)
		where(reader.scan, it, at, sizeof(at));
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	(void)snprintf(reader.why, reader.whylen, "%s: %s", at, text);
}

/* Plain form to values; false with the reason. */
static bool
read_values(cfg_t *cfg, const struct scan *s, char *why, size_t whylen)
{
	reader.scan = s;
	reader.why = why;
	reader.whylen = whylen;
	reader.failed = false;
	(void)cfg_set_error_function(cfg, on_error);
	if (cfg_parse_buf(cfg, scan_text(s)) == CFG_SUCCESS)
		return true;
	if (!reader.failed)
		(void)snprintf(why, whylen, "%s:1: it does not parse",
		    scan_count(s) == 0 ? "?" : scan_file(s, scan_at(s, 0)));
	return false;
}

struct conf *
conf_parse(const char *name, const char *p, size_t n, const char *dir,
    unsigned int cores, const struct scan_env *env, char *why, size_t whylen)
{
	struct check c = { 0 };
	struct scan *s;
	struct conf *conf;
	cfg_t *cfg;

	if ((s = scan_new(name, p, n, env, why, whylen)) == NULL)
		return NULL;
	if ((cfg = schema_new()) == NULL) {
		(void)snprintf(why, whylen, "%s:1: out of memory", name);
		scan_free(s);
		return NULL;
	}
	conf = xcalloc(1, sizeof(*conf));
	conf->path = xstrdup(name);
	conf->scan = s;
	c.conf = conf;
	c.cfg = cfg;
	c.dir = dir;
	c.cores = cores > CORES_MAX ? CORES_MAX : cores;
	c.why = why;
	c.whylen = whylen;
	if (!items_ok(s, cfg->opts, why, whylen) ||
	    !read_values(cfg, s, why, whylen))
		c.failed = true;
	else
		check_all(&c);
	(void)cfg_free(cfg);
	if (!c.failed)
		return conf;
	conf_free(conf);
	return NULL;
}

/* A whole file, after the rule of path.h.  Its real path in *real. */
static char *
slurp(const char *path, char **real, size_t *n, char *why, size_t whylen)
{
	char *p;
	FILE *f;
	int fd;

	if ((fd = path_open(path, PATH_PLAIN, real, why, whylen)) == -1)
		return NULL;
	if ((f = fdopen(fd, "r")) == NULL) {
		(void)snprintf(why, whylen, "%s: %s", path, strerror(errno));
		close(fd);
		free(*real);
		return NULL;
	}
	p = xmalloc(FILE_MAX + 1);
	*n = fread(p, 1, FILE_MAX + 1, f);
	if (ferror(f) || *n > FILE_MAX) {
		(void)snprintf(why, whylen, "%s: %s", path, ferror(f) ?
		    "cannot be read" : "too large");
		free(p);
		free(*real);
		p = NULL;
	}
	(void)fclose(f);
	return p;
}

static char *
folder_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	if (slash == NULL)
		return xstrdup(".");
	if (slash == path)
		return xstrdup("/");
	return slice_dup(slice_mem(path, (size_t)(slash - path)));
}

static char *
on_include(const char *name, const char *from, char **full, size_t *n,
    char *why, size_t whylen, void *arg)
{
	char *dir, *path, *text, *real;

	(void)arg;
	dir = folder_of(from);
	path = path_join(dir, name);
	free(dir);
	text = slurp(path, &real, n, why, whylen);
	if (text != NULL) {
		free(real);
		*full = path;
	} else
		free(path);
	return text;
}

struct conf *
conf_load(const char *path, const struct scan_macro *macros, size_t nmacros,
    char *why, size_t whylen)
{
	struct scan_env env = { macros, nmacros, on_include, NULL };
	char *text, *real, *dir;
	struct conf *conf;
	long cores;
	size_t n;

	if ((text = slurp(path, &real, &n, why, whylen)) == NULL)
		return NULL;
	cores = sysconf(_SC_NPROCESSORS_ONLN);
	dir = folder_of(real);
	conf = conf_parse(path, text, n, dir, cores < 1 ? 1 :
	    (unsigned int)cores, &env, why, whylen);
	free(dir);
	free(real);
	free(text);
	return conf;
}

static void
free_all(char **p, unsigned int n)
{
	unsigned int i;

	for (i = 0; i < n; i++)
		free(p[i]);
}

void
conf_free(struct conf *c)
{
	unsigned int i;

	if (c == NULL)
		return;
	free(c->path);
	free(c->server_url);
	free(c->server_host);
	free(c->base_domain);
	for (i = 0; i < c->naddrs; i++)
		free(c->addrs[i].where);
	free_all(c->resolvers, c->nresolvers);
	free_all(c->search, c->nsearch);
	for (i = 0; i < c->nsplits; i++) {
		free(c->splits[i].suffix);
		free_all(c->splits[i].resolvers, c->splits[i].nresolvers);
	}
	free_all(c->domains, c->ndomains);
	free_all(c->warnings, c->nwarnings);
	for (i = 0; i < c->npairs; i++) {
		free(c->pairs[i].name);
		free(c->pairs[i].certificate);
		free(c->pairs[i].key);
	}
	free(c->derp.code);
	free(c->derp.name);
	free(c->derp.ip4);
	free(c->derp.ip6);
	for (i = 0; i < c->derp.nstun; i++)
		free(c->derp.stun[i].where);
	free(c->files.state_dir);
	free(c->files.run_dir);
	free(c->files.control_socket);
	free(c->files.pid_file);
	free(c->files.chroot);
	free(c->files.libexec_dir);
	free(c->files.noise_key);
	free(c->files.derp_key);
	free(c->files.derp_map);
	free(c->files.records);
	free(c->files.policy);
	conf_fetch_free(c);
	free(c->users.worker);
	free(c->users.keyd);
	free(c->users.dbd);
	free(c->users.policyc);
	free(c->users.stun);
	free(c->users.out);
	free(c->users.group);
	scan_free(c->scan);
	free(c);
}

static bool
same(const char *a, const char *b)
{
	if (a == NULL || b == NULL)
		return a == b;
	return strcmp(a, b) == 0;
}

bool
conf_reloadable(const struct conf *a, const struct conf *b, char *why,
    size_t whylen)
{
	const struct {
		const char	*key;
		bool		 same;
	} fixed[] = {
		{ "workers", a->workers == b->workers },
		{ "state_dir", same(a->files.state_dir, b->files.state_dir) },
		{ "run_dir", same(a->files.run_dir, b->files.run_dir) },
		{ "control_socket", same(a->files.control_socket,
		    b->files.control_socket) },
		{ "pid_file", same(a->files.pid_file, b->files.pid_file) },
		{ "chroot", same(a->files.chroot, b->files.chroot) },
		{ "libexec_dir", same(a->files.libexec_dir,
		    b->files.libexec_dir) },
		{ "noise_key_file", same(a->files.noise_key,
		    b->files.noise_key) },
		{ "group", same(a->users.group, b->users.group) },
		{ "users[0]|worker", same(a->users.worker, b->users.worker) },
		{ "users[0]|keyd", same(a->users.keyd, b->users.keyd) },
		{ "users[0]|dbd", same(a->users.dbd, b->users.dbd) },
		{ "users[0]|policyc", same(a->users.policyc,
		    b->users.policyc) },
		{ "users[0]|stun", same(a->users.stun, b->users.stun) },
		{ "users[0]|out", same(a->users.out, b->users.out) },
		{ "acme[0]|names", (a->acme.nnames == 0) ==
		    (b->acme.nnames == 0) },
		{ "acme[0]|account_key_file", same(a->files.acme_account,
		    b->files.acme_account) },
		{ "acme[0]|key_file", same(a->files.acme_key,
		    b->files.acme_key) },
		{ "derp[0]|server[0]|enabled", a->derp.enabled ==
		    b->derp.enabled },
		{ "derp[0]|server[0]|private_key_file",
		    same(a->files.derp_key, b->files.derp_key) },
		{ "derp[0]|server[0]|stun_listen", (a->derp.nstun == 0) ==
		    (b->derp.nstun == 0) },
		{ "log[0]|target", a->log_stderr == b->log_stderr }
	};
	char at[300], key[64];
	size_t i;

	for (i = 0; i < NITEMS(fixed); i++) {
		if (fixed[i].same)
			continue;
		conf_where(b, fixed[i].key, at, sizeof(at));
		plain_path(key, sizeof(key), fixed[i].key);
		(void)snprintf(why, whylen, "%s: %s changes only with a "
		    "restart", at, key);
		return false;
	}
	return true;
}

void
conf_where(const struct conf *c, const char *path, char *dst, size_t n)
{
	scan_where(c->scan, path, dst, n);
}
