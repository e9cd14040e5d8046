/* What faces the Internet: TLS, proxies in front, the relay and STUN. */

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/compat/compat.h"
#include "common/str.h"
#include "master/conf_int.h"
#include "master/path.h"

/* What CFG_CONF_WORKER carries (record relay). */
#define CODE_MAX	32
#define TITLE_MAX	64
/* The longest frame: with less in the bucket it would never be read. */
#define BURST_MIN	65568
#define HTTPS_PORT	443

#define SERVER		"derp[0]|server[0]|"

static bool
speaks_tls(const struct conf_addr *a)
{
	return a->kind == CONF_TLS || a->kind == CONF_EITHER;
}

static bool
is_any(const struct ip *ip)
{
	static const uint8_t zero[16];

	return memcmp(ip->b, zero, ip->family == 4 ? 4 : 16) == 0;
}

static bool
is_loopback(const struct ip *ip)
{
	static const uint8_t one[16] = { [15] = 1 };

	return ip->family == 4 ? ip->b[0] == 127 :
	    memcmp(ip->b, one, sizeof(one)) == 0;
}

/* An address or a prefix of the list that is called key. */
static bool
check_prefix(struct check *c, const char *key, const char *text,
    struct prefix *p)
{
	struct ip ip;

	memset(p, 0, sizeof(*p));
	if (ip_parse(&ip, slice_str(text))) {
		p->addr = ip;
		p->bits = ip.family == 4 ? 32 : 128;
	} else if (!prefix_parse(p, slice_str(text))) {
		check_fail(c, key, "'%s' is neither an address nor a prefix, "
		    "with no bits set behind its length", text);
		return false;
	}
	return true;
}

static void
check_verify(struct check *c)
{
	static const char key[] = "derp[0]|verify_from";
	struct conf_derp *d = &c->conf->derp;
	cfg_t *sec = cfg_getsec(c->cfg, "derp");
	const char *text;
	struct prefix *p;
	unsigned int i;

	if (cfg_size(sec, "verify_from") > CONF_VERIFY_MAX)
		check_fail(c, key, "more than %d in verify_from",
		    CONF_VERIFY_MAX);
	for (i = 0; i < cfg_size(sec, "verify_from") && !c->failed; i++) {
		text = cfg_getnstr(sec, "verify_from", i);
		p = &d->verify_from[d->nverify_from++];
		/* Who is named may ask as often as he wants. */
		if (check_prefix(c, key, text, p) && p->bits == 0)
			check_fail(c, key, "%s: everybody may ask if "
			    "verify_from is left out", text);
	}
}

static void
check_proxies(struct check *c)
{
	struct conf *conf = c->conf;
	const char *text;
	struct prefix p;
	unsigned int i;

	if (cfg_size(c->cfg, "proxies") > CONF_PROXIES_MAX)
		check_fail(c, "proxies", "more than %d proxies",
		    CONF_PROXIES_MAX);
	for (i = 0; i < cfg_size(c->cfg, "proxies") && !c->failed; i++) {
		text = cfg_getnstr(c->cfg, "proxies", i);
		if (!check_prefix(c, "proxies", text, &p))
			return;
		/* Anybody could then say that he is anybody else. */
		if (p.bits == 0)
			check_fail(c, "proxies", "%s: not everybody is a "
			    "proxy", text);
		conf->proxies[conf->nproxies++] = p;
	}
}

static void
check_pairs(struct check *c)
{
	struct conf *conf = c->conf;
	struct conf_pair *p;
	char path[80];
	cfg_t *tls = cfg_getsec(c->cfg, "tls"), *sec;
	const char *cert, *key;
	unsigned int i;

	for (i = 0; i < cfg_size(tls, "keypair") && !c->failed; i++) {
		(void)snprintf(path, sizeof(path), "tls[0]|keypair[%u]", i);
		if (i == CONF_PAIRS_MAX) {
			check_fail(c, path, "more than %d keypair sections",
			    CONF_PAIRS_MAX);
			return;
		}
		sec = cfg_getnsec(tls, "keypair", i);
		cert = cfg_getstr(sec, "certificate");
		key = cfg_getstr(sec, "key");
		if (cert == NULL || key == NULL) {
			check_fail(c, path, "missing %s in section keypair "
			    "\"%s\"", cert == NULL ? "certificate" : "key",
			    cfg_title(sec));
			return;
		}
		p = &conf->pairs[conf->npairs++];
		p->name = xstrdup(cfg_title(sec));
		p->certificate = path_join(c->dir, cert);
		p->key = path_join(c->dir, key);
		if (strlen(p->certificate) > PATH_LEN_MAX ||
		    strlen(p->key) > PATH_LEN_MAX)
			check_fail(c, path, "the path is longer than %d octets",
			    PATH_LEN_MAX);
		else if (strcmp(p->key, conf->files.noise_key) == 0)
			check_fail(c, path, "key must not be the "
			    "noise_key_file");
	}
	conf->self_signed = cfg_getbool(tls, "self_signed");
	conf->hsts = cfg_getbool(tls, "hsts") && (conf->npairs > 0 ||
	    conf->acme.nnames > 0);
}

static void
check_listeners(struct check *c)
{
	struct conf *conf = c->conf;
	char path[64];
	unsigned int i, tls = 0;

	for (i = 0; i < conf->naddrs && !c->failed; i++) {
		if (speaks_tls(&conf->addrs[i])) {
			tls++;
			(void)snprintf(path, sizeof(path), "listen[%u]|tls",
			    conf->addrs[i].section);
			if (conf->npairs == 0 && !conf->self_signed &&
			    conf->acme.nnames == 0)
				check_fail(c, path, "tls wants a keypair in "
				    "section tls, or acme");
		}
		if (conf->addrs[i].proxy && conf->nproxies == 0) {
			(void)snprintf(path, sizeof(path),
			    "listen[%u]|proxy_protocol",
			    conf->addrs[i].section);
			check_fail(c, path, "proxy_protocol wants proxies: who "
			    "may say for whom it speaks");
		}
	}
	if (c->failed)
		return;
	if (conf->https && tls == 0)
		check_warn(c, "server_url", "https: no listener speaks TLS, a "
		    "proxy in front must speak it");
	if (tls == 0 && conf->npairs > 0)
		check_warn(c, "tls[0]", "no listener speaks TLS: the "
		    "certificates are of no use");
	if (tls == 0 && conf->acme.nnames > 0)
		check_warn(c, "acme[0]", "no listener speaks TLS: the "
		    "certificate is of no use");
	if (conf->self_signed && !conf->local)
		check_warn(c, "tls[0]|self_signed", "clients do not believe a "
		    "self-signed certificate");
}

/* "0.0.0.0:3478", ":3478", "*:3478" and "[::]:3478" mean both families. */
static void
check_stun(struct check *c, const char *text)
{
	struct conf_derp *d = &c->conf->derp;
	struct ipport at;
	char host[IP_TEXT + 16], where[300];
	unsigned int i;

	if (strcmp(text, "none") == 0)
		return;
	(void)snprintf(host, sizeof(host), "%s%s", text[0] == ':' ? "0.0.0.0" :
	    text[0] == '*' ? "0.0.0.0" : "", text + (text[0] == '*'));
	if (strlen(text) > IP_TEXT + 8 ||
	    !ipport_parse(&at, slice_str(host)) || at.port == 0) {
		check_fail(c, SERVER "stun_listen", "'%s' is neither an "
		    "address and a port like 0.0.0.0:3478 nor \"none\"", text);
		return;
	}
	scan_where(c->conf->scan, SERVER "stun_listen", where, sizeof(where));
	d->nstun = is_any(&at.addr) ? 2 : 1;
	for (i = 0; i < d->nstun; i++) {
		d->stun[i].at = at;
		d->stun[i].kind = CONF_UDP;
		d->stun[i].any = d->nstun == 2;
		d->stun[i].where = xstrdup(where);
	}
	if (d->nstun == 2) {
		memset(&d->stun[0].at.addr, 0, sizeof(struct ip));
		memset(&d->stun[1].at.addr, 0, sizeof(struct ip));
		d->stun[0].at.addr.family = 4;
		d->stun[1].at.addr.family = 6;
	}
	d->stun_port = (uint16_t)check_ranged(c, SERVER "stun_port", 0, 65535,
	    "");
	if (d->stun_port == 0)
		d->stun_port = at.port;
}

/* As Tailscale writes it in a map: literal, "none", or nothing. */
static char *
map_addr(struct check *c, cfg_t *sec, const char *key, unsigned int family)
{
	const char *text = cfg_getstr(sec, key);
	char path[64], out[IP_TEXT];
	struct ip ip;

	if (text == NULL || strcmp(text, "none") == 0)
		return xstrdup(text == NULL ? "" : text);
	(void)snprintf(path, sizeof(path), SERVER "%s", key);
	if (!ip_parse(&ip, slice_str(text)) || ip.family != family ||
	    is_any(&ip)) {
		check_fail(c, path, "'%s' is neither an IPv%u address nor "
		    "\"none\"", text, family);
		return NULL;
	}
	(void)ip_print(out, &ip);
	return xstrdup(out);
}

static char *
map_text(struct check *c, cfg_t *sec, const char *key, size_t max)
{
	const char *text = cfg_getstr(sec, key), *p;
	char path[64];

	(void)snprintf(path, sizeof(path), SERVER "%s", key);
	if (strlen(text) > max)
		check_fail(c, path, "%s is longer than %zu octets", key, max);
	for (p = text; strcmp(key, "region_code") == 0 && *p != '\0'; p++)
		if (!isgraph((unsigned char)*p))
			check_fail(c, path, "region_code must be printable, "
			    "without spaces");
	return xstrdup(text);
}

/*
 * Where clients dial the relay.  They always speak TLS: a plain server_url
 * says nothing of where that is (derp.md 10.5).
 */
static uint16_t
relay_port(const struct conf *conf)
{
	unsigned int i;

	if (conf->https)
		return conf->server_port;
	for (i = 0; i < conf->naddrs; i++)
		if (speaks_tls(&conf->addrs[i]) &&
		    conf->addrs[i].at.port == conf->server_port)
			return conf->server_port;
	for (i = 0; i < conf->naddrs; i++)
		if (speaks_tls(&conf->addrs[i]))
			return conf->addrs[i].at.port;
	return conf->server_port;
}

/* Plain http on port 80 of the very address that the map names. */
static bool
has_port80(const struct conf *conf)
{
	const struct conf_addr *a;
	struct ip ip;
	unsigned int i;

	if (!ip_parse(&ip, slice_str(conf->derp.ip4)))
		return false;
	for (i = 0; i < conf->naddrs; i++) {
		a = &conf->addrs[i];
		if (a->at.port == 80 && a->kind != CONF_TLS && !a->proxy &&
		    a->at.addr.family == 4 && (is_any(&a->at.addr) ||
		    ip_eq(&a->at.addr, &ip)))
			return true;
	}
	return false;
}

/* derp.md 14, S1 and S3: what may not be done without saying so. */
static void
check_open(struct check *c, cfg_t *sec)
{
	struct conf *conf = c->conf;
	const struct conf_derp *d = &conf->derp;
	bool tls = false, outside;
	unsigned int i;

	/* A proxy on this host, or a port that it maps, lets others in. */
	outside = !conf->local || conf->nproxies != 0;
	for (i = 0; i < conf->naddrs; i++) {
		tls = tls || speaks_tls(&conf->addrs[i]);
		outside = outside || !is_loopback(&conf->addrs[i].at.addr);
	}
	if (!tls && !d->plain && !d->insecure)
		check_fail(c, SERVER "enabled", "the relay wants a listener "
		    "that speaks TLS");
	if (d->plain && !conf->local && !d->insecure)
		check_fail(c, SERVER "plain", "plain is for private networks: "
		    "the host of server_url is not a private address");
	if (!d->verify && outside && !cfg_getbool(sec, "open_relay"))
		check_fail(c, SERVER "verify_clients", "without verify_clients "
		    "anybody may use the relay: say open_relay = true if that "
		    "is meant");
	if (!d->verify)
		check_warn(c, SERVER "verify_clients", "anybody who can reach "
		    "the relay may use it");
	if (d->insecure && !conf->local)
		check_warn(c, SERVER "insecure_for_tests", "clients do not "
		    "look at the relay's certificate: for tests only");
}

/* What works, but worse than who has set it up may think (derp.md 15). */
static void
check_reach(struct check *c)
{
	const struct conf *conf = c->conf;
	const struct conf_derp *d = &conf->derp;

	/* Clients on a private network need none of it. */
	if (!d->in_map || conf->local)
		return;
	if (d->port != HTTPS_PORT)
		check_warn(c, "server_url", "clients dial the relay on port "
		    "%u: browsers measure it, and clients without DNS ask it, "
		    "on port %d alone", d->port, HTTPS_PORT);
	if (d->nstun == 0)
		check_warn(c, SERVER "stun_listen", "without STUN clients find "
		    "no direct way to each other, or make another region "
		    "their home");
	if (conf->files.derp_map == NULL && conf->fetch.nurls == 0)
		check_warn(c, SERVER "enabled", "the only region: clients do "
		    "not learn what NAT they are behind, which takes a second "
		    "one (map_file, urls)");
}

static void
check_relay(struct check *c)
{
	struct conf *conf = c->conf;
	struct conf_derp *d = &conf->derp;
	cfg_t *sec = cfg_getsec(cfg_getsec(c->cfg, "derp"), "server");

	d->verify = cfg_getbool(sec, "verify_clients");
	d->enabled = cfg_getbool(sec, "enabled");
	d->region = (uint16_t)check_ranged(c, SERVER "region_id", 1, 65535,
	    "");
	d->rate = check_ranged(c, SERVER "rate_limit", 0, INT32_MAX, "");
	d->burst = check_ranged(c, SERVER "rate_burst", 0, INT32_MAX, "");
	d->stun_rate = check_ranged(c, SERVER "stun_rate", 0, 1000000, "");
	d->stun_burst = check_ranged(c, SERVER "stun_burst", 1, 1000000, "");
	d->code = map_text(c, sec, "region_code", CODE_MAX);
	d->name = map_text(c, sec, "region_name", TITLE_MAX);
	d->ip4 = map_addr(c, sec, "ipv4", 4);
	d->ip6 = map_addr(c, sec, "ipv6", 6);
	if (c->failed || !d->enabled)
		return;
	if (d->burst == 0)
		d->burst = d->rate > BURST_MIN ? d->rate : BURST_MIN;
	else if (d->burst < BURST_MIN)
		check_fail(c, SERVER "rate_burst", "rate_burst must be at "
		    "least %d octets, the longest packet", BURST_MIN);
	d->in_map = cfg_getbool(sec, "in_map");
	d->plain = cfg_getbool(sec, "plain");
	d->insecure = cfg_getbool(sec, "insecure_for_tests");
	conf->files.derp_key = check_file(c, SERVER "private_key_file",
	    conf->files.state_dir, "derp.key", PATH_LEN_MAX - 8);
	if (strcmp(conf->files.derp_key, conf->files.noise_key) == 0)
		check_fail(c, SERVER "private_key_file", "private_key_file "
		    "must not be the noise_key_file");
	check_stun(c, cfg_getstr(sec, "stun_listen"));
	d->port = relay_port(conf);
	d->port80 = has_port80(conf);
	check_open(c, sec);
	if (!c->failed)
		check_reach(c);
}

void
check_edge(struct check *c)
{
	if (c->failed)
		return;
	check_proxies(c);
	if (!c->failed)
		check_verify(c);
	if (!c->failed)
		check_pairs(c);
	if (!c->failed)
		check_listeners(c);
	if (!c->failed)
		check_relay(c);
}
