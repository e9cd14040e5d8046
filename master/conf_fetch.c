/* What connects out: ACME, DERP maps from URLs, and who may be asked. */

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/compat/compat.h"
#include "common/str.h"
#include "master/conf_int.h"
#include "master/path.h"
#include "master/util.h"

/* What CFG_CONF_DBD carries. */
#define DIRECTORY_MAX	1024
#define TEXT_MAX	255

#define UPDATE_MIN	60
#define UPDATE_MAX	(30 * 86400)
#define AVOID_MAX	(365 * 86400)

/* libcurl, which takes the URL apart in the end, is no stricter. */
static bool
check_url(struct check *c, const char *key, const char *url, size_t max)
{
	const char *host, *end, *p;
	struct ip ip;
	char *name;

	if (strncmp(url, "https://", 8) != 0 || strlen(url) > max) {
		check_fail(c, key, "'%.80s' is not an https URL of at most "
		    "%zu octets", url, max);
		return false;
	}
	for (p = url; *p != '\0'; p++)
		if (!isgraph((unsigned char)*p) ||
		    strchr("\"<>\\^`{|}#", *p) != NULL) {
			check_fail(c, key, "'%.80s': an URL has no such "
			    "character", p);
			return false;
		}
	host = url + 8;
	end = host + strcspn(host, "/?");
	if (memchr(host, '@', (size_t)(end - host)) != NULL) {
		check_fail(c, key, "a user or a secret does not belong into "
		    "an URL");
		return false;
	}
	for (p = end; p > host && isdigit((unsigned char)p[-1]); p--)
		;
	if (p > host && p[-1] == ':') {
		if (names_port(p, end) == 0) {
			check_fail(c, key, "'%.80s': the port must be between "
			    "1 and 65535", url);
			return false;
		}
		p--;
	} else
		p = end;
	if ((name = names_host(host, (size_t)(p - host), &ip)) == NULL) {
		check_fail(c, key, "'%.*s' is neither a host name nor an "
		    "address", (int)(p - host > 80 ? 80 : p - host), host);
		return false;
	}
	free(name);
	return true;
}

/* A name that is dialled by http-01 or tls-alpn-01: no wildcard. */
static char *
acme_name(const char *text)
{
	char out[IP_TEXT];
	struct ip ip;

	if (!ip_parse(&ip, slice_str(text)))
		return names_domain(text, 253);
	(void)ip_print(out, &ip);
	return xstrdup(out);
}

static void
check_acme_names(struct check *c, cfg_t *sec)
{
	struct conf_acme *a = &c->conf->acme;
	const char *text;
	char *name;
	unsigned int i, k;

	if (cfg_size(sec, "names") > CONF_NAMES_MAX)
		check_fail(c, "acme[0]|names", "more than %d names",
		    CONF_NAMES_MAX);
	for (i = 0; i < cfg_size(sec, "names") && !c->failed; i++) {
		text = cfg_getnstr(sec, "names", i);
		if ((name = acme_name(text)) == NULL) {
			check_fail(c, "acme[0]|names", "'%s' is neither a DNS "
			    "name nor an address%s", text, text[0] == '*' ?
			    " (for a wildcard there is no challenge that we "
			    "could answer)" : "");
			return;
		}
		for (k = 0; k < a->nnames; k++)
			if (strcmp(a->names[k], name) == 0)
				check_fail(c, "acme[0]|names", "%s is given "
				    "twice", name);
		a->names[a->nnames++] = name;
	}
}

/* RFC 8555 7.3: one address, and nothing but it. */
static void
check_contacts(struct check *c, cfg_t *sec)
{
	struct conf_acme *a = &c->conf->acme;
	const char *text, *p;
	char url[TEXT_MAX + 1];
	unsigned int i;
	size_t n;

	if (cfg_size(sec, "contact") > CONF_CONTACTS_MAX)
		check_fail(c, "acme[0]|contact", "more than %d contacts",
		    CONF_CONTACTS_MAX);
	for (i = 0; i < cfg_size(sec, "contact") && !c->failed; i++) {
		text = cfg_getnstr(sec, "contact", i);
		p = strncmp(text, "mailto:", 7) == 0 ? text + 7 : text;
		n = strcspn(p, "@");
		if (n == 0 || p[n] == '\0' || p[n + 1] == '\0' ||
		    strpbrk(p, " \t,?\"<>:/\\") != NULL ||
		    strchr(p + n + 1, '@') != NULL ||
		    (size_t)snprintf(url, sizeof(url), "mailto:%s", p) >=
		    sizeof(url)) {
			check_fail(c, "acme[0]|contact", "'%.80s' is not an "
			    "e-mail address", text);
			return;
		}
		a->contact[a->ncontacts++] = xstrdup(url);
	}
}

/* The CA dials ports 80 or 443 whatever we listen on. */
static void
warn_challenge(struct check *c)
{
	const struct conf *conf = c->conf;
	enum conf_kind other = conf->acme.alpn ? CONF_PLAIN : CONF_TLS;
	uint16_t port = conf->acme.alpn ? 443 : 80;
	unsigned int i;

	for (i = 0; i < conf->naddrs; i++)
		if (conf->addrs[i].at.port == port &&
		    conf->addrs[i].kind != other)
			return;
	check_warn(c, "acme[0]|challenge", "the CA asks on port %u, where "
	    "nothing listens %s: somebody has to pass it on", port,
	    conf->acme.alpn ? "with tls" : "without tls");
}

static void
check_acme(struct check *c)
{
	struct conf *conf = c->conf;
	cfg_t *sec = cfg_getsec(c->cfg, "acme");
	const char *text;

	text = cfg_getstr(sec, "directory");
	if (!check_url(c, "acme[0]|directory", text, DIRECTORY_MAX))
		return;
	conf->acme.directory = xstrdup(text);
	check_acme_names(c, sec);
	check_contacts(c, sec);
	text = cfg_getstr(sec, "challenge");
	conf->acme.alpn = strcmp(text, "tls-alpn-01") == 0;
	if (!conf->acme.alpn && strcmp(text, "http-01") != 0)
		check_fail(c, "acme[0]|challenge", "challenge must be "
		    "\"http-01\" or \"tls-alpn-01\"");
	if (c->failed || conf->acme.nnames == 0)
		return;
	conf->files.acme_account = check_file(c, "acme[0]|account_key_file",
	    conf->files.state_dir, "acme-account.key", PATH_LEN_MAX - 8);
	conf->files.acme_key = check_file(c, "acme[0]|key_file",
	    conf->files.state_dir, "acme.key", PATH_LEN_MAX - 8);
	warn_challenge(c);
}

static void
check_urls(struct check *c)
{
	struct conf_fetch *f = &c->conf->fetch;
	cfg_t *derp = cfg_getsec(c->cfg, "derp");
	const char *text;
	unsigned int i, k;

	if (cfg_size(derp, "urls") > CONF_URLS_MAX)
		check_fail(c, "derp[0]|urls", "more than %d urls",
		    CONF_URLS_MAX);
	for (i = 0; i < cfg_size(derp, "urls") && !c->failed; i++) {
		text = cfg_getnstr(derp, "urls", i);
		if (!check_url(c, "derp[0]|urls", text, TEXT_MAX))
			return;
		for (k = 0; k < f->nurls; k++)
			if (strcmp(f->urls[k], text) == 0)
				check_fail(c, "derp[0]|urls", "%s is given "
				    "twice", text);
		f->urls[f->nurls++] = xstrdup(text);
	}
	f->update_s = check_ranged(c, "derp[0]|update", UPDATE_MIN, UPDATE_MAX,
	    " seconds");
	f->avoid_s = check_ranged(c, "derp[0]|avoid_after", 0, AVOID_MAX,
	    " seconds");
}

static void
check_allow(struct check *c)
{
	struct conf_fetch *f = &c->conf->fetch;
	cfg_t *sec = cfg_getsec(c->cfg, "fetch");
	const char *text;
	struct prefix p;
	struct ip ip;
	unsigned int i;

	if (cfg_size(sec, "allow") > CONF_ALLOW_MAX)
		check_fail(c, "fetch[0]|allow", "more than %d prefixes",
		    CONF_ALLOW_MAX);
	for (i = 0; i < cfg_size(sec, "allow") && !c->failed; i++) {
		text = cfg_getnstr(sec, "allow", i);
		memset(&p, 0, sizeof(p));
		if (ip_parse(&ip, slice_str(text))) {
			p.addr = ip;
			p.bits = ip.family == 4 ? 32 : 128;
		} else if (!prefix_parse(&p, slice_str(text))) {
			check_fail(c, "fetch[0]|allow", "'%s' is neither an "
			    "address nor a prefix, with no bits set behind its "
			    "length", text);
			return;
		}
		if (p.bits == 0)
			check_fail(c, "fetch[0]|allow", "%s: name the networks "
			    "that are meant", text);
		f->allow[f->nallow++] = p;
	}
	f->ca = check_file(c, "fetch[0]|ca_file", "/", NULL, PATH_LEN_MAX);
}

void
check_fetch(struct check *c)
{
	if (!c->failed)
		check_acme(c);
	if (!c->failed)
		check_urls(c);
	if (!c->failed)
		check_allow(c);
}

void
check_keys(struct check *c)
{
	static const char *const keys[] = {
		"acme[0]|account_key_file", "acme[0]|key_file"
	};
	const struct conf *conf = c->conf;
	const char *ours[2], *others[2], *what[] = {
		"noise_key_file", "private_key_file of the relay"
	};
	unsigned int i, k;

	ours[0] = conf->files.acme_account;
	ours[1] = conf->files.acme_key;
	if (c->failed || ours[0] == NULL || ours[1] == NULL)
		return;
	others[0] = conf->files.noise_key;
	others[1] = conf->files.derp_key;
	if (strcmp(ours[0], ours[1]) == 0)
		check_fail(c, keys[1], "key_file must not be the "
		    "account_key_file");
	for (i = 0; i < 2; i++) {
		for (k = 0; k < 2; k++)
			if (others[k] != NULL &&
			    strcmp(ours[i], others[k]) == 0)
				check_fail(c, keys[i], "%s must not be the %s",
				    strrchr(keys[i], '|') + 1, what[k]);
		for (k = 0; k < conf->npairs; k++)
			if (strcmp(ours[i], conf->pairs[k].key) == 0)
				check_fail(c, keys[i], "%s must not be that of "
				    "a keypair", strrchr(keys[i], '|') + 1);
	}
}

enum conf_out
conf_out(const struct conf *c)
{
	if (c->acme.nnames > 0 || c->fetch.nurls > 0)
		return CONF_OUT_MUST;
	return c->files.derp_map != NULL ? CONF_OUT_MAY : CONF_OUT_NONE;
}

void
conf_fetch_free(struct conf *c)
{
	unsigned int i;

	free(c->acme.directory);
	for (i = 0; i < c->acme.nnames; i++)
		free(c->acme.names[i]);
	for (i = 0; i < c->acme.ncontacts; i++)
		free(c->acme.contact[i]);
	for (i = 0; i < c->fetch.nurls; i++)
		free(c->fetch.urls[i]);
	free(c->fetch.ca);
	free(c->files.acme_account);
	free(c->files.acme_key);
}
