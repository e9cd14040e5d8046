#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/compat/compat.h"
#include "common/str.h"
#include "master/conf_int.h"
#include "master/path.h"
#include "master/util.h"

#define SOCKET_LEN_MAX	100	/* fits sun_path everywhere */

static void __attribute__((__format__(printf, 4, 0)))
say(struct check *c, const char *path, char *dst, const char *fmt, size_t n,
    va_list ap)
{
	char at[300], text[300];

	scan_where(c->conf->scan, path, at, sizeof(at));
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	(void)snprintf(dst, n, "%s: %s", at, text);
}

void
check_fail(struct check *c, const char *path, const char *fmt, ...)
{
	va_list ap;

	if (c->failed)
		return;
	c->failed = true;
	va_start(ap, fmt);
	say(c, path, c->why, fmt, c->whylen, ap);
	va_end(ap);
}

void
check_warn(struct check *c, const char *path, const char *fmt, ...)
{
	struct conf *conf = c->conf;
	char text[600];
	va_list ap;

	if (conf->nwarnings == NITEMS(conf->warnings))
		return;
	va_start(ap, fmt);
	say(c, path, text, fmt, sizeof(text), ap);
	va_end(ap);
	conf->warnings[conf->nwarnings++] = xstrdup(text);
}

/* libconfuse's name of a key ("dns|search") from ours ("dns[0]|search"). */
static void
schema_name(char dst[128], const char *path)
{
	const char *p;
	size_t n = 0;

	for (p = path; *p != '\0' && n < 127; p++)
		if (strncmp(p, "[0]", 3) == 0)
			p += 2;
		else
			dst[n++] = *p;
	dst[n] = '\0';
}

uint32_t
check_ranged(struct check *c, const char *path, uint32_t min, uint32_t max,
    const char *unit)
{
	char name[128];
	long v;

	schema_name(name, path);
	v = cfg_getint(c->cfg, name);
	if (v < (long)min || v > (long)max)
		check_fail(c, path, "%s must be between %u and %u%s",
		    strrchr(path, '|') == NULL ? path :
		    strrchr(path, '|') + 1, min, max, unit);
	return v < 0 ? 0 : (uint32_t)v;
}

static void
check_limits(struct check *c)
{
	struct conf_limits *l = &c->conf->limits;

	l->connections = check_ranged(c, "limits[0]|connections", 16, 1000000,
	    "");
	l->per_source = check_ranged(c, "limits[0]|per_source", 0, 1000000,
	    "");
	l->header_max = check_ranged(c, "limits[0]|request_header", 8192, 65536,
	    " octets");
	l->body_max = check_ranged(c, "limits[0]|request_body", 65536, 16777216,
	    " octets");
	/* A map names them all, and a client takes 1 GiB of it at most. */
	l->nodes = check_ranged(c, "limits[0]|max_nodes", 1, 100000, "");
	l->handshakes = check_ranged(c, "limits[0]|handshakes", 16, 65536, "");
	l->node_burst = check_ranged(c, "limits[0]|node_burst", 1, 1000000, "");
	/* A client gives a request up after about two minutes. */
	l->node_refill_ms = check_ranged(c, "limits[0]|node_refill", 1, 60000,
	    " ms");
	/* What one turn of dbd changes is 4 MB and more. */
	l->worker_queue = check_ranged(c, "limits[0]|worker_queue", 16777216,
	    1073741824, " octets");
	l->change_log = check_ranged(c, "limits[0]|change_log", 100, 10000000,
	    "");
}

static void
check_times(struct check *c)
{
	struct conf_times *t = &c->conf->times;

	t->handshake_s = check_ranged(c, "timeouts[0]|handshake", 1, 120,
	    " seconds");
	t->confirm_ms = check_ranged(c, "timeouts[0]|confirm", 1000, 120000,
	    " ms");
	t->idle_s = check_ranged(c, "timeouts[0]|idle", 10, 86400, " seconds");
	/* With 9 of jitter and a tick before the client's 120 are over. */
	t->keepalive_s = check_ranged(c, "timeouts[0]|keepalive", 5, 100,
	    " seconds");
	t->stall_s = check_ranged(c, "timeouts[0]|stall", 5, 3600, " seconds");
	t->overload_ms = check_ranged(c, "timeouts[0]|overload", 10, 60000,
	    " ms");
	t->grace_ms = check_ranged(c, "timeouts[0]|grace", 0, 600000, " ms");
	t->ephemeral_s = check_ranged(c, "timeouts[0]|ephemeral", 1, 31536000,
	    " seconds");
	t->resume_ms = check_ranged(c, "timeouts[0]|resume", 0, 60000, " ms");
	t->presume_s = check_ranged(c, "timeouts[0]|presume_online", 0, 3600,
	    " seconds");
	t->node_expiry_s = check_ranged(c, "timeouts[0]|node_expiry", 0,
	    315360000, " seconds");
	if (t->node_expiry_s != 0 && t->node_expiry_s < 60)
		check_fail(c, "timeouts[0]|node_expiry", "node_expiry must be "
		    "0 or at least 60 seconds");
}

/* Names as useradd(8) and adduser(8) take them. */
static char *
account(struct check *c, const char *path)
{
	char name[128];
	const char *v, *p;

	schema_name(name, path);
	v = cfg_getstr(c->cfg, name);
	for (p = v; *p != '\0'; p++)
		if (strchr("abcdefghijklmnopqrstuvwxyz_0123456789-", *p) ==
		    NULL || (p == v && *p == '-'))
			break;
	if (*p != '\0' || p == v || p - v > 31)
		check_fail(c, path, "'%s' is not the name of a user or group",
		    v);
	return xstrdup(v);
}

static void
check_users(struct check *c)
{
	struct conf_users *u = &c->conf->users;
	const char *all[6];
	size_t i, k;

	u->worker = account(c, "users[0]|worker");
	u->keyd = account(c, "users[0]|keyd");
	u->dbd = account(c, "users[0]|dbd");
	u->policyc = account(c, "users[0]|policyc");
	u->stun = account(c, "users[0]|stun");
	u->out = account(c, "users[0]|out");
	u->group = account(c, "group");
	all[0] = u->worker;
	all[1] = u->keyd;
	all[2] = u->dbd;
	all[3] = u->policyc;
	all[4] = u->stun;
	all[5] = u->out;
	for (i = 0; i < NITEMS(all); i++)
		for (k = 0; k < i; k++)
			if (strcmp(all[i], all[k]) == 0)
				check_fail(c, "users", "each role wants a user "
				    "of its own");
}

char *
check_file(struct check *c, const char *path, const char *dir, const char *def,
    size_t max)
{
	char name[128], *p;
	const char *v;

	schema_name(name, path);
	if ((v = cfg_getstr(c->cfg, name)) != NULL)
		p = path_join(c->dir, v);
	else if (def != NULL)
		p = path_join(dir, def);
	else
		return NULL;
	if (strlen(p) > max)
		check_fail(c, path, "the path is longer than %zu octets", max);
	return p;
}

static void
check_policy(struct check *c)
{
	const char *mode = cfg_getstr(c->cfg, "policy|mode");
	const char *path = cfg_getstr(c->cfg, "policy|path");

	if (strcmp(mode, "file") == 0) {
		if (path == NULL)
			check_fail(c, "policy[0]|mode", "mode \"file\" wants "
			    "a path");
		else
			c->conf->files.policy = check_file(c,
			    "policy[0]|path", "/", NULL, PATH_LEN_MAX);
	} else if (strcmp(mode, "database") != 0)
		check_fail(c, "policy[0]|mode", "mode must be \"database\" "
		    "or \"file\"");
	else if (path != NULL)
		check_warn(c, "policy[0]|path", "path is not read unless mode "
		    "is \"file\"");
}

static void
check_files(struct check *c)
{
	struct conf_files *f = &c->conf->files;

	f->state_dir = check_file(c, "state_dir", "/", NULL, PATH_LEN_MAX - 16);
	f->run_dir = check_file(c, "run_dir", "/", NULL, PATH_LEN_MAX - 16);
	f->control_socket = check_file(c, "control_socket", f->run_dir,
	    "headscaled.sock", SOCKET_LEN_MAX);
	f->pid_file = check_file(c, "pid_file", f->run_dir, "headscaled.pid",
	    PATH_LEN_MAX);
	f->chroot = check_file(c, "chroot", f->run_dir, "empty", PATH_LEN_MAX);
	f->libexec_dir = check_file(c, "libexec_dir", "/", NULL,
	    PATH_LEN_MAX - 32);
	f->noise_key = check_file(c, "noise_key_file", f->state_dir,
	    "noise.key", PATH_LEN_MAX - 8);
	f->derp_map = check_file(c, "derp[0]|map_file", "/", NULL,
	    PATH_LEN_MAX);
	f->records = check_file(c, "dns[0]|extra_records_file", "/", NULL,
	    PATH_LEN_MAX);
	check_policy(c);
	if (strcmp(f->chroot, f->state_dir) == 0 ||
	    strcmp(f->chroot, f->run_dir) == 0)
		check_fail(c, "chroot", "chroot must be an empty folder, not "
		    "state_dir or run_dir");
}

static void
check_prefixes(struct check *c)
{
	struct conf *conf = c->conf;
	struct prefix p, *to;
	struct prefix v4 = { { 4, { 100, 64 } }, 10 };
	struct prefix v6 = { { 6, { 0xfd, 0x7a, 0x11, 0x5c, 0xa1, 0xe0 } },
	    48 };
	const char *text;
	unsigned int i;

	for (i = 0; i < cfg_size(c->cfg, "prefixes") && !c->failed; i++) {
		text = cfg_getnstr(c->cfg, "prefixes", i);
		if (!prefix_parse(&p, slice_str(text))) {
			check_fail(c, "prefixes", "'%s' is not a prefix like "
			    "100.64.0.0/10, with no bits set behind its length",
			    text);
			return;
		}
		to = p.addr.family == 4 ? &conf->prefix4 : &conf->prefix6;
		if (to->addr.family != 0)
			check_fail(c, "prefixes", "at most one IPv4 and one "
			    "IPv6 prefix");
		else if (p.bits < (p.addr.family == 4 ? 8 : 16) ||
		    p.bits > (p.addr.family == 4 ? 30 : 126))
			check_fail(c, "prefixes", "%s is too %s", text,
			    p.bits < 64 && p.bits < 30 ? "large" : "small");
		*to = p;
		if (!prefix_has(p.addr.family == 4 ? &v4 : &v6, &p.addr) ||
		    p.bits < (p.addr.family == 4 ? v4.bits : v6.bits))
			check_warn(c, "prefixes", "clients treat only %s as "
			    "theirs: %s may not work", p.addr.family == 4 ?
			    "100.64.0.0/10" : "fd7a:115c:a1e0::/48", text);
	}
	if (conf->prefix4.addr.family == 0 && conf->prefix6.addr.family == 0)
		check_fail(c, "prefixes", "at least one prefix is needed");
	text = cfg_getstr(c->cfg, "allocation");
	conf->random = strcmp(text, "random") == 0;
	if (!conf->random && strcmp(text, "sequential") != 0)
		check_fail(c, "allocation", "allocation must be \"sequential\" "
		    "or \"random\"");
}

static void
add_addr(struct check *c, const char *path, const struct ip *ip,
    const struct conf_addr *like)
{
	struct conf *conf = c->conf;
	struct conf_addr *a;
	char at[300], text[IPPORT_TEXT];
	unsigned int i;

	if (conf->naddrs == CONF_ADDRS_MAX) {
		check_fail(c, path, "more than %d addresses to listen on",
		    CONF_ADDRS_MAX);
		return;
	}
	a = &conf->addrs[conf->naddrs];
	*a = *like;
	a->at.addr = *ip;
	for (i = 0; i < conf->naddrs; i++)
		if (ipport_eq(&conf->addrs[i].at, &a->at)) {
			ipport_print(text, &a->at);
			check_fail(c, path, "%s is given twice, first in %s",
			    text, conf->addrs[i].where);
			return;
		}
	scan_where(conf->scan, path, at, sizeof(at));
	a->where = xstrdup(at);
	conf->naddrs++;
}

static void
check_listen(struct check *c)
{
	struct ip any4 = { 4, { 0 } }, any6 = { 6, { 0 } }, ip;
	struct conf_addr a;
	char path[64];
	const char *text;
	cfg_t *sec;
	unsigned int i;
	long port;

	if (cfg_size(c->cfg, "listen") == 0)
		check_fail(c, "listen", "missing listen \"name\" { address = "
		    "... port = ... }");
	for (i = 0; i < cfg_size(c->cfg, "listen") && !c->failed; i++) {
		sec = cfg_getnsec(c->cfg, "listen", i);
		(void)snprintf(path, sizeof(path), "listen[%u]|address", i);
		if ((text = cfg_getstr(sec, "address")) == NULL) {
			check_fail(c, path, "missing address in section "
			    "listen \"%s\"", cfg_title(sec));
			return;
		}
		(void)snprintf(path, sizeof(path), "listen[%u]|port", i);
		if (scan_find(c->conf->scan, path) == NULL) {
			check_fail(c, path, "missing port in section listen "
			    "\"%s\"", cfg_title(sec));
			return;
		}
		port = cfg_getint(sec, "port");
		if (port < 1 || port > 65535)
			check_fail(c, path, "port must be between 1 and "
			    "65535");
		memset(&a, 0, sizeof(a));
		a.at.port = (uint16_t)port;
		a.section = i;
		a.any = strcmp(text, "*") == 0;
		a.kind = (enum conf_kind)cfg_getint(sec, "tls");
		a.proxy = cfg_getbool(sec, "proxy_protocol");
		(void)snprintf(path, sizeof(path), "listen[%u]|address", i);
		if (a.any) {
			add_addr(c, path, &any4, &a);
			add_addr(c, path, &any6, &a);
		} else if (ip_parse(&ip, slice_str(text)))
			add_addr(c, path, &ip, &a);
		else
			check_fail(c, path, "'%s' is neither an IP address nor "
			    "\"*\"", text);
	}
}

static void
check_log(struct check *c)
{
	const char *v;

	v = cfg_getstr(c->cfg, "log|level");
	c->conf->log_debug = strcmp(v, "debug") == 0;
	if (!c->conf->log_debug && strcmp(v, "info") != 0)
		check_fail(c, "log[0]|level", "level must be \"info\" or "
		    "\"debug\"");
	v = cfg_getstr(c->cfg, "log|target");
	c->conf->log_stderr = strcmp(v, "stderr") == 0;
	if (!c->conf->log_stderr && strcmp(v, "syslog") != 0)
		check_fail(c, "log[0]|target", "target must be \"syslog\" or "
		    "\"stderr\"");
}

void
check_all(struct check *c)
{
	struct conf *conf = c->conf;

	check_names(c);
	check_prefixes(c);
	check_listen(c);
	check_users(c);
	check_files(c);
	check_log(c);
	check_limits(c);
	check_times(c);
	conf->workers = check_ranged(c, "workers", 0, CONF_WORKERS_MAX, "");
	if (conf->workers == 0)
		conf->workers = c->cores == 0 ? 1 : c->cores;
	conf->randomize_port = cfg_getbool(c->cfg, "client|randomize_port");
	conf->taildrop = cfg_getbool(c->cfg, "client|taildrop");
	conf->logtail = cfg_getbool(c->cfg, "client|logtail");
	check_fetch(c);
	check_edge(c);
	check_keys(c);
}
