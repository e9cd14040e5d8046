#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/compat/compat.h"
#include "common/str.h"
#include "master/conf.h"
#include "master/conf_schema.h"
#include "master/util.h"

/*
 * Decimal digits only: libconfuse by itself takes "", " 8", 010 and 0x8.
 */
static int
number(cfg_t *cfg, cfg_opt_t *opt, const char *value, void *result)
{
	const char *err;
	long long v;

	v = strtonum(value, 0, INT32_MAX, &err);
	if (err != NULL || strspn(value, "0123456789") != strlen(value) ||
	    (value[0] == '0' && value[1] != '\0')) {
		cfg_error(cfg, "%s: '%s' is not a number", opt->name, value);
		return -1;
	}
	*(long *)result = (long)v;
	return 0;
}

/* "90", "90s", "30m", "24h" ...: seconds. */
static int
seconds(cfg_t *cfg, cfg_opt_t *opt, const char *value, void *result)
{
	int64_t v;

	v = duration_parse(value);
	if (v < 0 || v > INT32_MAX) {
		cfg_error(cfg, "%s: '%s' is not a time like 90s, 30m, 24h or "
		    "180d", opt->name, value);
		return -1;
	}
	*(long *)result = (long)v;
	return 0;
}

/* The same and "500ms": milliseconds. */
static int
milliseconds(cfg_t *cfg, cfg_opt_t *opt, const char *value, void *result)
{
	const char *err;
	char digits[16];
	size_t n = strlen(value);
	int64_t v;

	if (n > 2 && n < sizeof(digits) && strcmp(value + n - 2, "ms") == 0) {
		memcpy(digits, value, n - 2);
		digits[n - 2] = '\0';
		v = strtonum(digits, 0, INT32_MAX, &err);
		if (err != NULL ||
		    strspn(digits, "0123456789") != strlen(digits))
			v = -1;
	} else {
		v = duration_parse(value);
		if (v > 0)
			v = v > INT32_MAX / 1000 ? -1 : v * 1000;
	}
	if (v < 0) {
		cfg_error(cfg, "%s: '%s' is not a time like 500ms, 90s, 30m "
		    "or 24h", opt->name, value);
		return -1;
	}
	*(long *)result = (long)v;
	return 0;
}

/* Whether a listener speaks TLS: enum conf_kind. */
static int
speaks(cfg_t *cfg, cfg_opt_t *opt, const char *value, void *result)
{
	static const struct {
		const char	*word;
		enum conf_kind	 kind;
	} words[] = {
		{ "true", CONF_TLS }, { "yes", CONF_TLS }, { "on", CONF_TLS },
		{ "false", CONF_PLAIN }, { "no", CONF_PLAIN },
		{ "off", CONF_PLAIN }, { "either", CONF_EITHER }
	};
	size_t i;

	for (i = 0; i < NITEMS(words); i++)
		if (strcmp(value, words[i].word) == 0) {
			*(long *)result = (long)words[i].kind;
			return 0;
		}
	cfg_error(cfg, "%s: '%s' is neither true, nor false, nor either",
	    opt->name, value);
	return -1;
}

#define NUMBER(n, v)	CFG_INT_CB(n, v, CFGF_NONE, number)
#define SECONDS(n, v)	CFG_INT_CB(n, v, CFGF_NONE, seconds)
#define MILLIS(n, v)	CFG_INT_CB(n, v, CFGF_NONE, milliseconds)
#define STRING(n, v)	CFG_STR(n, v, CFGF_NONE)
#define LIST(n)		CFG_STR_LIST(n, "{}", CFGF_NONE)

/* cfg_init() copies them. */
static cfg_opt_t keypair[] = {
	STRING("certificate", NULL), STRING("key", NULL), CFG_END()
};

static cfg_opt_t tls[] = {
	CFG_SEC("keypair", keypair, CFGF_MULTI | CFGF_TITLE),
	CFG_BOOL("self_signed", cfg_false, CFGF_NONE),
	CFG_BOOL("hsts", cfg_true, CFGF_NONE),
	CFG_END()
};

static cfg_opt_t server[] = {
	CFG_BOOL("enabled", cfg_false, CFGF_NONE),
	NUMBER("region_id", 999),
	STRING("region_code", "headscaled"),
	STRING("region_name", "Embedded relay"),
	CFG_BOOL("in_map", cfg_true, CFGF_NONE),
	CFG_BOOL("verify_clients", cfg_true, CFGF_NONE),
	CFG_BOOL("open_relay", cfg_false, CFGF_NONE),
	STRING("private_key_file", NULL),
	STRING("ipv4", NULL),
	STRING("ipv6", NULL),
	STRING("stun_listen", "0.0.0.0:3478"),
	NUMBER("stun_port", 0),
	NUMBER("stun_rate", 1000),
	NUMBER("stun_burst", 2000),
	NUMBER("rate_limit", 0),
	NUMBER("rate_burst", 0),
	CFG_BOOL("plain", cfg_false, CFGF_NONE),
	CFG_BOOL("insecure_for_tests", cfg_false, CFGF_NONE),
	CFG_END()
};

static cfg_opt_t acme[] = {
	STRING("directory", "https://acme-v02.api.letsencrypt.org/directory"),
	LIST("names"),
	LIST("contact"),
	STRING("challenge", "http-01"),
	STRING("account_key_file", NULL),
	STRING("key_file", NULL),
	CFG_END()
};

static cfg_opt_t fetch[] = {
	LIST("allow"), STRING("ca_file", NULL), CFG_END()
};

static cfg_opt_t limits[] = {
	NUMBER("connections", 16384),
	NUMBER("per_source", 256),
	NUMBER("request_header", 16384),
	NUMBER("request_body", 1048576),
	NUMBER("max_nodes", 10000),
	NUMBER("handshakes", 4096),
	NUMBER("node_burst", 8),
	MILLIS("node_refill", 10000),
	NUMBER("worker_queue", 67108864),
	NUMBER("change_log", 10000),
	CFG_END()
};

static cfg_opt_t users[] = {
	STRING("worker", "_hsworker"),
	STRING("keyd", "_hskeyd"),
	STRING("dbd", "_hsdbd"),
	STRING("policyc", "_hspolicy"),
	STRING("stun", "_hsstun"),
	STRING("out", "_hsout"),
	CFG_END()
};

cfg_t *
schema_new(void)
{
	cfg_opt_t listen[] = {
		STRING("address", NULL),
		NUMBER("port", 0),
		CFG_INT_CB("tls", CONF_PLAIN, CFGF_NONE, speaks),
		CFG_BOOL("proxy_protocol", cfg_false, CFGF_NONE),
		CFG_END()
	};
	cfg_opt_t split[] = {
		LIST("nameservers"),
		CFG_END()
	};
	cfg_opt_t dns[] = {
		CFG_BOOL("magic_dns", cfg_true, CFGF_NONE),
		CFG_BOOL("override_local", cfg_true, CFGF_NONE),
		LIST("nameservers"),
		LIST("search"),
		CFG_SEC("split", split, CFGF_MULTI | CFGF_TITLE),
		STRING("extra_records_file", NULL),
		CFG_END()
	};
	cfg_opt_t derp[] = {
		STRING("map_file", NULL),
		LIST("urls"),
		SECONDS("update", 10800),
		SECONDS("avoid_after", 0),
		LIST("verify_from"),
		CFG_SEC("server", server, CFGF_NONE),
		CFG_END()
	};
	cfg_opt_t policy[] = {
		STRING("mode", "database"), STRING("path", NULL), CFG_END()
	};
	cfg_opt_t client[] = {
		CFG_BOOL("randomize_port", cfg_false, CFGF_NONE),
		CFG_BOOL("taildrop", cfg_true, CFGF_NONE),
		CFG_BOOL("logtail", cfg_false, CFGF_NONE),
		CFG_END()
	};
	cfg_opt_t log[] = {
		STRING("level", "info"),
		STRING("target", "syslog"),
		CFG_END()
	};
	cfg_opt_t timeouts[] = {
		SECONDS("handshake", 10),
		MILLIS("confirm", 10000),
		SECONDS("idle", 300),
		SECONDS("keepalive", 50),
		SECONDS("stall", 60),
		MILLIS("overload", 5000),
		MILLIS("grace", 10000),
		SECONDS("ephemeral", 120),
		MILLIS("resume", 5000),
		SECONDS("presume_online", 60),
		SECONDS("node_expiry", 0),
		CFG_END()
	};
	cfg_opt_t root[] = {
		STRING("server_url", NULL),
		STRING("base_domain", "tailnet.internal"),
		CFG_STR_LIST("prefixes",
		    "{'100.64.0.0/10', 'fd7a:115c:a1e0::/48'}", CFGF_NONE),
		LIST("domains"),
		LIST("proxies"),
		STRING("allocation", "sequential"),
		NUMBER("workers", 0),
		STRING("group", "_headscaled"),
		STRING("state_dir", "/var/lib/headscaled"),
		STRING("run_dir", "/run/headscaled"),
		STRING("control_socket", NULL),
		STRING("pid_file", NULL),
		STRING("chroot", NULL),
		STRING("libexec_dir", NULL),
		STRING("noise_key_file", NULL),
		CFG_SEC("users", users, CFGF_NONE),
		CFG_SEC("listen", listen, CFGF_MULTI | CFGF_TITLE),
		CFG_SEC("tls", tls, CFGF_NONE),
		CFG_SEC("acme", acme, CFGF_NONE),
		CFG_SEC("fetch", fetch, CFGF_NONE),
		CFG_SEC("dns", dns, CFGF_NONE),
		CFG_SEC("derp", derp, CFGF_NONE),
		CFG_SEC("policy", policy, CFGF_NONE),
		CFG_SEC("client", client, CFGF_NONE),
		CFG_SEC("log", log, CFGF_NONE),
		CFG_SEC("limits", limits, CFGF_NONE),
		CFG_SEC("timeouts", timeouts, CFGF_NONE),
		CFG_END()
	};

	/* cfg_init copies all of it. */
	return cfg_init(root, CFGF_NONE);
}
