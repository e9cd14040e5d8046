#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/compat/compat.h"
#include "common/str.h"
#include "master/conf_int.h"

/* A label of 63 octets and a dot must fit in front of it in 253. */
#define DOMAIN_MAX	189
#define URL_MAX		255

char *
names_domain(const char *text, size_t max)
{
	size_t n = strlen(text);
	char *p, *q;

	if (n > 1 && text[n - 1] == '.')
		n--;
	if (n == 0 || n > max || !dns_name_ok(slice_mem(text, n)) ||
	    text[n - 1] == '.')
		return NULL;
	p = slice_dup(slice_mem(text, n));
	for (q = p; *q != '\0'; q++)
		*q = (char)tolower((unsigned char)*q);
	return p;
}

/* True if name is zone or lies under it. */
static bool
within(const char *name, const char *zone)
{
	size_t n = strlen(name), z = strlen(zone);

	return n >= z && strcasecmp(name + n - z, zone) == 0 &&
	    (n == z || name[n - z - 1] == '.');
}

char *
names_host(const char *p, size_t n, struct ip *ip)
{
	char *text, *name;

	memset(ip, 0, sizeof(*ip));
	if (n > 2 && p[0] == '[' && p[n - 1] == ']') {
		text = slice_dup(slice_mem(p + 1, n - 2));
		if (ip_parse(ip, slice_str(text)) && ip->family == 6)
			return text;
		free(text);
		return NULL;
	}
	text = slice_dup(slice_mem(p, n));
	if (ip_parse(ip, slice_str(text))) {
		if (ip->family == 4)
			return text;
		free(text);
		return NULL;
	}
	name = names_domain(text, 253);
	free(text);
	return name;
}

uint16_t
names_port(const char *p, const char *end)
{
	char digits[8];
	const char *err;
	long long v;
	size_t n = (size_t)(end - p);

	if (n == 0 || n > 5 || strspn(p, "0123456789") < n)
		return 0;
	memcpy(digits, p, n);
	digits[n] = '\0';
	v = strtonum(digits, 1, 65535, &err);
	return err == NULL ? (uint16_t)v : 0;
}

/*
 * protocol.md 1.3: on a host that is not private a client tries port 443
 * after a second dial within two minutes, and nothing else.
 */
static void
warn_scheme(struct check *c, bool tls, const struct ip *ip, const char *host)
{
	if (tls)
		return;
	if (ip->family != 0 ? ip_is_private(ip) && !ip_is_linklocal(ip) :
	    strcmp(host, "localhost") == 0)
		return;
	check_warn(c, "server_url", "plain http on a public host: clients "
	    "that reconnect within 2 minutes try only https");
}

static void
check_url(struct check *c)
{
	struct conf *conf = c->conf;
	const char *url, *host, *end, *p;
	struct ip ip;
	bool tls;

	if ((url = cfg_getstr(c->cfg, "server_url")) == NULL) {
		check_fail(c, "server_url", "missing server_url");
		return;
	}
	tls = strncmp(url, "https://", 8) == 0;
	if (!tls && strncmp(url, "http://", 7) != 0) {
		check_fail(c, "server_url", "server_url must begin with "
		    "http:// or https://");
		return;
	}
	host = url + (tls ? 8 : 7);
	end = host + strcspn(host, "/?#");
	if (memchr(host, '@', (size_t)(end - host)) != NULL) {
		check_fail(c, "server_url", "server_url: a user or a secret "
		    "does not belong here");
		return;
	}
	if (strlen(url) > URL_MAX || (*end != '\0' && strcmp(end, "/") != 0)) {
		check_fail(c, "server_url", "server_url must be a scheme, a "
		    "host and a port, with no path");
		return;
	}
	for (p = end; p > host && isdigit((unsigned char)p[-1]); p--)
		;
	conf->https = tls;
	conf->server_port = tls ? 443 : 80;
	if (p > host && p[-1] == ':') {
		if ((conf->server_port = names_port(p, end)) == 0) {
			check_fail(c, "server_url", "server_url: the port must "
			    "be between 1 and 65535");
			return;
		}
		p--;
	} else
		p = end;
	if ((conf->server_host = names_host(host, (size_t)(p - host), &ip)) ==
	    NULL) {
		check_fail(c, "server_url", "server_url: '%.*s' is neither a "
		    "host name nor an address", (int)(p - host), host);
		return;
	}
	conf->server_url = slice_dup(slice_mem(url, (size_t)(end - url)));
	conf->local = ip.family != 0 ? ip_is_private(&ip) :
	    strcmp(conf->server_host, "localhost") == 0;
	warn_scheme(c, tls, &ip, conf->server_host);
}

static void
check_domain(struct check *c)
{
	struct conf *conf = c->conf;
	const char *text = cfg_getstr(c->cfg, "base_domain");

	if ((conf->base_domain = names_domain(text, DOMAIN_MAX)) == NULL) {
		check_fail(c, "base_domain", "'%s' is not a DNS name of at "
		    "most %d octets", text, DOMAIN_MAX);
		return;
	}
	if (c->failed)
		return;
	/* Else clients resolve the server's name in their own tailnet. */
	if (strcasecmp(conf->server_host, conf->base_domain) == 0)
		check_fail(c, "base_domain", "base_domain must differ from the "
		    "host of server_url");
	else if (within(conf->server_host, conf->base_domain))
		check_fail(c, "base_domain", "base_domain must not contain the "
		    "host of server_url (%s)", conf->server_host);
}

/* An address, an address and port, or a DNS-over-HTTPS URL. */
static bool
resolver_ok(const char *text)
{
	struct ip ip;
	struct ipport at;
	const char *host, *p;
	char *name;
	bool ok;

	if (ip_parse(&ip, slice_str(text)))
		return true;
	if (ipport_parse(&at, slice_str(text)))
		return at.port != 0;
	if (strncmp(text, "https://", 8) != 0 || strlen(text) > URL_MAX)
		return false;
	host = text + 8;
	name = names_host(host, strcspn(host, "/:?#"), &ip);
	ok = name != NULL;
	free(name);
	for (p = text; *p != '\0'; p++)
		if (!isgraph((unsigned char)*p) || strchr("\"<>\\@#", *p) !=
		    NULL)
			ok = false;
	return ok;
}

/* Copies the list and checks each; how many. */
static unsigned int
resolvers(struct check *c, const char *path, cfg_t *sec, char **dst,
    unsigned int max)
{
	const char *text;
	unsigned int i, n = cfg_size(sec, "nameservers");

	if (n > max) {
		check_fail(c, path, "more than %u nameservers", max);
		n = max;
	}
	for (i = 0; i < n; i++) {
		text = cfg_getnstr(sec, "nameservers", i);
		dst[i] = xstrdup(text);
		if (!resolver_ok(text))
			check_fail(c, path, "'%s' is neither an address, nor "
			    "address:port, nor an https URL", text);
	}
	return n;
}

static void
check_splits(struct check *c, cfg_t *dns)
{
	struct conf *conf = c->conf;
	struct conf_split *s;
	char path[64], list[96];
	cfg_t *sec;
	unsigned int i, k;

	for (i = 0; i < cfg_size(dns, "split") && !c->failed; i++) {
		(void)snprintf(path, sizeof(path), "dns[0]|split[%u]", i);
		if (i == CONF_SPLITS_MAX) {
			check_fail(c, path, "more than %d split sections",
			    CONF_SPLITS_MAX);
			return;
		}
		sec = cfg_getnsec(dns, "split", i);
		s = &conf->splits[conf->nsplits++];
		if ((s->suffix = names_domain(cfg_title(sec), 253)) == NULL) {
			check_fail(c, path, "split: '%s' is not a DNS name",
			    cfg_title(sec));
			return;
		}
		for (k = 0; k < i; k++)
			if (strcmp(conf->splits[k].suffix, s->suffix) == 0)
				check_fail(c, path, "section split \"%s\" is "
				    "given twice", s->suffix);
		(void)snprintf(list, sizeof(list), "%s|nameservers", path);
		s->nresolvers = resolvers(c, list, sec, s->resolvers,
		    CONF_SPLIT_RESOLVERS);
		if (s->nresolvers == 0)
			check_fail(c, path, "missing nameservers in section "
			    "split \"%s\"", s->suffix);
	}
}

static void
check_dns(struct check *c)
{
	struct conf *conf = c->conf;
	cfg_t *dns = cfg_getsec(c->cfg, "dns");
	const char *text;
	char *name;
	unsigned int i, k;

	conf->magic_dns = cfg_getbool(dns, "magic_dns");
	conf->override_local = cfg_getbool(dns, "override_local");
	conf->nresolvers = resolvers(c, "dns[0]|nameservers", dns,
	    conf->resolvers, CONF_RESOLVERS_MAX);
	if (conf->nresolvers == 0) {
		if (conf->override_local && scan_find(conf->scan,
		    "dns[0]|override_local") != NULL)
			check_fail(c, "dns[0]|override_local",
			    "override_local wants at least one nameserver");
		conf->override_local = false;
	}
	if (cfg_size(dns, "search") > CONF_SEARCH_MAX)
		check_fail(c, "dns[0]|search", "more than %d search domains",
		    CONF_SEARCH_MAX);
	for (i = 0; i < cfg_size(dns, "search") && !c->failed; i++) {
		text = cfg_getnstr(dns, "search", i);
		if ((name = names_domain(text, 253)) == NULL) {
			check_fail(c, "dns[0]|search", "'%s' is not a DNS name",
			    text);
			return;
		}
		for (k = 0; k < conf->nsearch; k++)
			if (strcmp(conf->search[k], name) == 0)
				check_fail(c, "dns[0]|search", "%s is given "
				    "twice", name);
		conf->search[conf->nsearch++] = name;
	}
	check_splits(c, dns);
}

static void
check_domains(struct check *c)
{
	struct conf *conf = c->conf;
	const char *text;
	char *name;
	unsigned int i, k;

	if (cfg_size(c->cfg, "domains") > CONF_DOMAINS_MAX)
		check_fail(c, "domains", "more than %d domains",
		    CONF_DOMAINS_MAX);
	for (i = 0; i < cfg_size(c->cfg, "domains") && !c->failed; i++) {
		text = cfg_getnstr(c->cfg, "domains", i);
		if ((name = names_domain(text, 253)) == NULL) {
			check_fail(c, "domains", "'%s' is not a DNS name",
			    text);
			return;
		}
		for (k = 0; k < conf->ndomains; k++)
			if (strcmp(conf->domains[k], name) == 0)
				check_fail(c, "domains", "%s is given twice",
				    name);
		conf->domains[conf->ndomains++] = name;
	}
}

void
check_names(struct check *c)
{
	check_url(c);
	check_domain(c);
	check_domains(c);
	check_dns(c);
}
